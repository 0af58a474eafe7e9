"""The processes of a cluster: each started with a log of its own, ended by its pid."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_POLL_S = 0.05
_END_WITHIN_S = 10.0
_LAST_LINES = 15


class ClusterFailed(Exception):
    """A process of the cluster ended, or was not ready in time."""


class Programs:
    """What was started, in order; `stop` ends them, the last one first. Each ends with this
    process as well, however that ends."""

    def __init__(self, folder: Path) -> None:
        """folder: for the logs."""
        self._folder = folder
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, name: str, command: Sequence[str], *, cleans_up: bool = False) -> None:
        """cleans_up: it is asked to end when this process has ended, and else it is killed then:
        an API server whose store is gone takes minutes to end."""
        ending = [] if cleans_up else [shutil.which("setpriv") or "", "--pdeathsig", "KILL"]
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "console.local.die_with_parent",
                    str(os.getpid()),
                    *ending,
                    *command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running.append((name, process))

    def log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self._running}

    def wait(self, what: str, is_so: Callable[[], bool], deadline: float) -> None:
        """Until it is so. Raises ClusterFailed, with the end of a log, when a process ended or
        `deadline` (time.monotonic) has passed."""
        while not is_so():
            for name, process in self._running:
                if process.poll() is not None:
                    raise ClusterFailed(
                        f"{name} ended with {process.returncode}; {self._end(name)}"
                    )
            if time.monotonic() > deadline:
                raise ClusterFailed(f"not in time: {what}; {self._end(self._running[-1][0])}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Returns when all are gone. Idempotent."""
        for _, process in reversed(self._running):
            process.terminate()
            try:
                process.wait(_END_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_END_WITHIN_S)
        self._running.clear()

    def _end(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return f"the end of {self.log(name)}:\n" + "\n".join(lines)
