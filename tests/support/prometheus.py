"""A real Prometheus over servers of a test, with the chart's rules.

Pauses before an alert fires (`for`) are cut to a second, so that a scenario takes seconds. `faster`
divides what else rules wait for: the ranges that they look back over, how far ahead they look, and
ages; all else is as in the chart.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
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
LEAST_RANGE_S = 4
"""A rate needs two scrapes, and one may be late."""

ENDED: list[str] = []
"""Alerts that fired and then ended, as scenarios of this process saw; those that a test is marked
with (`@pytest.mark.fires`) must be among them when it is over (tests/faults/conftest.py)."""


class Prometheus:
    """A context manager: it runs inside. targets: host:port of metrics ports, by job."""

    def __init__(self, folder: Path, targets: Mapping[str, list[str]], *, faster: int = 1) -> None:
        assert PROGRAM is not None
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        for path in RULES.glob("*.yaml"):
            (folder / path.name).write_text(yaml.safe_dump(hastened(path.read_text(), faster)))
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
        self._fired: set[str] = set()

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
        return {labels["alertname"] for labels in self.labels()}

    def labels(self) -> list[dict[str, str]]:
        """The labels of each alert that fires now, `alertname` among them."""
        alerts = self._ask("/api/v1/alerts")["data"]["alerts"]
        return [one["labels"] for one in alerts if one["state"] == "firing"]

    def wait(self, alert: str, *, firing: bool, within_s: float = WITHIN_S) -> None:
        """Until the alert fires, or does not any more. Blocks."""
        end = time.monotonic() + within_s
        while (alert in self.firing()) is not firing:
            if time.monotonic() > end:
                now = self.firing()
                raise AssertionError(f"{alert} firing: {not firing}, after {within_s} s; {now}")
            time.sleep(0.2)
        if firing:
            self._fired.add(alert)
        elif alert in self._fired:
            ENDED.append(alert)

    def value(self, query: str) -> float | None:
        """The greatest of what a query selects now; None where that is nothing."""
        path = f"/api/v1/query?query={urllib.parse.quote(query)}"
        found = [float(one["value"][1]) for one in self._ask(path)["data"]["result"]]
        return max(found, default=None)

    def wait_for_value(self, query: str) -> None:
        """Until the query selects something. Blocks."""
        end = time.monotonic() + WITHIN_S
        while self.value(query) is None:
            assert time.monotonic() < end, f"{query} selects nothing after {WITHIN_S} s"
            time.sleep(0.2)

    def _ask(self, path: str, *, text: bool = False) -> Any:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
            return answer.read() if text else json.load(answer)


async def fires(prometheus: Prometheus, alert: str, *, within_s: float = WITHIN_S) -> None:
    """Until the alert fires."""
    await asyncio.to_thread(prometheus.wait, alert, firing=True, within_s=within_s)


async def ends(prometheus: Prometheus, alert: str, *, within_s: float = WITHIN_S) -> None:
    """Until the alert does not fire any more."""
    await asyncio.to_thread(prometheus.wait, alert, firing=False, within_s=within_s)


def hastened(rules: str, faster: int) -> Any:
    """The rules with every `for` a second, and other waiting divided by `faster`."""
    document = yaml.safe_load(rules)
    for group in document["groups"]:
        group.pop("interval", None)
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = EVERY
            if faster > 1:
                rule["expr"] = hastened_query(rule["expr"], faster)
    return document


_RANGE = re.compile(r"\[(\d+)([smhd])\]")
_AHEAD = re.compile(r"(?<=\], )([\d *]+)(?=\))")
_AGE = re.compile(r"(?<=_age_seconds > )(\d+)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def hastened_query(query: str, faster: int) -> str:
    """Ranges, what predict_linear looks ahead, and thresholds of ages, divided by `faster`; no
    range is shorter than scrapes allow."""

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found[1]) * _SECONDS[found[2]] // faster
        return f"[{max(seconds, LEAST_RANGE_S)}s]"

    query = _RANGE.sub(shorter, query)
    query = _AHEAD.sub(rf"\1 / {faster}", query)
    return _AGE.sub(rf"\1 / {faster}", query)
