"""ServerProcess: one server of ours as a process of its own, for tests that need real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from control_plane.ready_file import read_ready_file

START_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0


class ServerProcess:
    """A context manager: begun when made, serving once entered, and gone when left, also where
    it does not come to serve. `told` is what its ready file says. `kill` is SIGKILL.

    command: what Python runs; the ready file is named to it. environment: beside ours. Its log is
    written on where there is one.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        start_within_s: float = START_WITHIN_S,
    ) -> None:
        self._start_within_s = start_within_s
        self.ready_file = folder / f"{name}.json"
        self.ready_file.unlink(missing_ok=True)
        self.log_file = folder / f"{name}.log"
        self.told: Mapping[str, object] = {}
        with self.log_file.open("a") as sink:
            self.process = subprocess.Popen(
                [sys.executable, *command, f"--ready-file={self.ready_file}"],
                stdout=sink,
                stderr=sink,
                env={**os.environ, **(environment or {})},
            )

    def __enter__(self) -> Self:
        end = time.monotonic() + self._start_within_s
        try:
            while (told := read_ready_file(self.ready_file)) is None:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(f"a server did not start:\n{self.log()}")
                time.sleep(0.02)
        except BaseException:  # Ctrl-C, too: whoever did not get it cannot end it
            self.kill()
            raise
        self.told = told
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.send_signal(signal.SIGCONT)  # one that was frozen hears nothing else
        self.process.terminate()
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def log(self) -> str:
        """The end of what it wrote."""
        return self.log_file.read_text()[-4000:]

    @property
    def serves(self) -> bool:
        """Whether it has said that it serves."""
        return read_ready_file(self.ready_file) is not None

    @property
    def address(self) -> str:
        """host:port of its gRPC."""
        return str(self.told["grpc"])

    @property
    def metrics(self) -> str:
        """host:port of its metrics."""
        return str(self.told["metrics"])
