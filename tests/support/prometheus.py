"""A real Prometheus over servers of a test, with the chart's rules.

Pauses before an alert fires (`for`) are cut to a second, so that a scenario takes seconds; what
they look at and over which range is as in the chart.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from console.local.etcd_process import free_ports
from tests.support.rule_files import RULES

PROGRAM = shutil.which("prometheus")
WITHIN_S = 90.0
EVERY = "1s"


class Prometheus:
    """A context manager: it runs inside. targets: host:port of metrics ports, by job."""

    def __init__(self, folder: Path, targets: Mapping[str, list[str]]) -> None:
        assert PROGRAM is not None
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        for path in RULES.glob("*.yaml"):
            (folder / path.name).write_text(yaml.safe_dump(without_pauses(path.read_text())))
        config = {
            "global": {"scrape_interval": EVERY, "evaluation_interval": EVERY,
                       "scrape_timeout": EVERY},
            "rule_files": [str(folder / path.name) for path in RULES.glob("*.yaml")],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": addresses}]}
                for job, addresses in targets.items()
            ],
        }  # fmt: skip
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._command = [
            PROGRAM, f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={self.address}",
        ]  # fmt: skip
        self._log = folder / "prometheus.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("w") as sink:
            self._process = subprocess.Popen(self._command, stdout=sink, stderr=sink)
        end = time.monotonic() + WITHIN_S
        while True:
            try:
                self._ask("/-/ready", text=True)
                return self
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    self.__exit__()
                    raise AssertionError(self._log.read_text()) from None
                time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def firing(self) -> set[str]:
        """Names of the alerts that fire now."""
        alerts = self._ask("/api/v1/alerts")["data"]["alerts"]
        return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}

    def wait(self, alert: str, *, firing: bool, within_s: float = WITHIN_S) -> None:
        """Until the alert fires, or does not any more. Blocks."""
        end = time.monotonic() + within_s
        while (alert in self.firing()) is not firing:
            if time.monotonic() > end:
                now = self.firing()
                raise AssertionError(f"{alert} firing: {not firing}, after {within_s} s; {now}")
            time.sleep(0.2)

    def _ask(self, path: str, *, text: bool = False) -> Any:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
            return answer.read() if text else json.load(answer)


def without_pauses(rules: str) -> Any:
    """The rules with every `for` a second."""
    document = yaml.safe_load(rules)
    for group in document["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = EVERY
    return document
