"""Stack: `homeport up` as a process of its own, in a folder, that can be stopped and started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from console.cli.calls.fleet import FleetCalls
from console.cli.profile import Target
from console.local.stack_plan import SERVER
from control_plane.fleet.file import SAMPLE, read_fleet
from control_plane.fleet.unit import UnitSpec

START_WITHIN_S = 900.0  # a store of ten million clients is read again
STOP_WITHIN_S = 120.0
POLL_S = 0.1
ROOM = 1.5  # of all users, together: a unit near half of mankind fills first


def roomy_units(users: int) -> tuple[UnitSpec, ...]:
    """The sample fleet, each unit with room for all users, and so that none is ever full."""
    return tuple(replace(unit, capacity=int(users * ROOM)) for unit in read_fleet(SAMPLE))


def fleet_text(users: int) -> str:
    """The same as a fleet file."""
    units = [
        {
            "id": unit.id, "endpoint": unit.endpoint, "capacity": unit.capacity,
            "country": unit.country,
            "position": {
                "latitude": unit.position.latitude, "longitude": unit.position.longitude,
            },
        }
        for unit in roomy_units(users)
    ]  # fmt: skip
    return json.dumps({"units": units}, indent=1)


class Stack:
    """folder: for its data, its logs and its fleet file; port: the first of ten."""

    def __init__(self, folder: Path, *, store: str, users: int, port: int) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._ready = folder / "ready.json"
        self._log = folder / "up.log"
        self._store = store
        self._port = port
        self._running: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "fleet.yaml").write_text(fleet_text(users))

    def start(self) -> float:
        """How long it took until everything served, in seconds. Raises RuntimeError."""
        began = time.monotonic()
        self._ready.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(
                [*homeport(), "up", "--store", self._store, "--port", str(self._port),
                 "--units", str(self.folder / "fleet.yaml"), "--data-dir", str(self.data),
                 "--ready-file", str(self._ready)],
                stdout=log, stderr=log,
            )  # fmt: skip
        while not self._ready.exists():
            if self._running.poll() is not None or time.monotonic() - began > START_WITHIN_S:
                raise RuntimeError(f"homeport up did not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(POLL_S)
        return time.monotonic() - began

    def stop(self) -> float:
        """How long it took, in seconds."""
        began, running = time.monotonic(), self._running
        if running is not None:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
            self._running = None
        return time.monotonic() - began

    @property
    def facts(self) -> dict[str, Any]:
        """What it wrote to its ready file."""
        found: dict[str, Any] = json.loads(self._ready.read_text())
        return found

    def pids(self) -> Mapping[str, int]:
        """Of its programs, by name; none while it is not there."""
        try:
            return {name: int(pid) for name, pid in self.facts["pids"].items()}
        except (FileNotFoundError, ValueError, KeyError):
            return {}

    def target(self) -> Target:
        """For calls."""
        facts = self.facts
        return Target(
            servers=(facts["grpc"],),
            tenant="default",
            token=Path(facts["token_file"]).read_text().strip(),
            ca=facts["ca"],
        )

    def clients(self) -> dict[str, int]:
        """How many each unit has."""
        with FleetCalls(self.target()) as calls:
            return {unit.spec.unit_id: unit.clients for unit in calls.list_units()}

    def command(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """A command of `homeport` at this stack. Raises CalledProcessError."""
        return subprocess.run(
            [*homeport(), *words], env=self.environment(), check=True, stdout=subprocess.PIPE
        )

    def environment(self) -> dict[str, str]:
        """In which commands find it."""
        facts = self.facts
        return {
            **os.environ,
            "HOMEPORT_SERVER": facts["grpc"],
            "HOMEPORT_CA": facts["ca"],
            "HOMEPORT_TOKEN_FILE": facts["token_file"],
        }

    def store_settings(self) -> Path:
        """A settings file for commands that go to the store itself."""
        facts = self.facts
        path = self.folder / "store.toml"
        lines = [f'store = "{facts["store"]}"']
        if facts.get("store_user"):
            lines += [
                f'store_user = "{facts["store_user"]}"',
                f'store_password_file = "{facts["store_password_file"]}"',
            ]
        path.write_text("\n".join(lines) + "\n")
        return path


def homeport() -> list[str]:
    """The command of this environment."""
    return [str(Path(sys.executable).with_name("homeport"))]


__all__ = ["SERVER", "Stack", "fleet_text", "homeport", "roomy_units"]
