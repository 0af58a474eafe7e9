"""`homeport up` as a process of its own, for tests: started, watched, ended, always cleaned up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

LIMIT_S = 60.0
POLL_S = 0.02


def wait_until(holds: Callable[[], bool], what: str, within_s: float = LIMIT_S) -> None:
    """Until `holds()`, or the test fails after so long."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, f"not within {within_s:.0f} s: {what}"
        time.sleep(POLL_S)


class Up:
    """One run of `homeport up` on free ports. Inside the context it serves."""

    def __init__(
        self,
        data_dir: Path,
        *arguments: str,
        command: Sequence[str] = (sys.executable, "-m", "console.cli.main"),
        cwd: Path | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.ready_file = data_dir.parent / f"{data_dir.name}-ready.json"
        self._command = [
            *command, "up", "--port", "0",
            "--data-dir", str(data_dir), "--ready-file", str(self.ready_file), *arguments,
        ]  # fmt: skip
        self._cwd = cwd
        self.process: subprocess.Popen[bytes] | None = None
        self.out = self.err = ""
        self._seen: set[psutil.Process] = set()

    def start(self) -> Self:
        """Starts it, without waiting."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("HOMEPORT_")}
        self.process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            cwd=self._cwd,
        )
        return self

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.ready_file.exists() or self.ended, "homeport up is ready")
        if self.ended:
            self.finish()
            raise AssertionError(f"homeport up ended: {self.err}")
        self.note_processes()

    @staticmethod
    def read(ready_file: Path) -> dict[str, Any]:
        """What a ready file says."""
        document: dict[str, Any] = json.loads(ready_file.read_text())
        return document

    @property
    def ready(self) -> dict[str, Any]:
        """The ready file as it stands."""
        return self.read(self.ready_file)

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def grpc(self) -> str:
        return str(self.ready["grpc"])

    def note_processes(self) -> None:
        """Remembers every process that belongs to the stack now."""
        assert self.process is not None
        try:
            parent = psutil.Process(self.process.pid)
            self._seen |= {parent, *parent.children(recursive=True)}
        except psutil.NoSuchProcess:
            pass  # it has ended; what it had started was noted before

    def left_behind(self) -> list[str]:
        """Processes of the stack that still run, once it should be gone."""
        return [
            f"{process.pid} {process.name()}"
            for process in self._seen
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        ]

    def kill_child(self, name: str) -> None:
        """SIGKILL to one process of the stack, as a crash would be; returns when another one
        serves in its place."""
        pid = self.ready["pids"][name]
        os.kill(pid, signal.SIGKILL)
        program = name.removesuffix("-member")
        serves = self.data_dir / "run" / f"{program}.json"  # removed before each start
        wait_until(
            lambda: self.ready["pids"].get(name, pid) != pid and serves.exists(),
            f"another {name} serves",
        )
        self.note_processes()

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def finish(self) -> int:
        """Waits for the end; returns the exit code."""
        assert self.process is not None
        out, err = self.process.communicate(timeout=LIMIT_S)
        self.out, self.err = out.decode(), err.decode()
        return self.process.returncode

    def stop(self, number: int = signal.SIGINT) -> int:
        """Signals and waits; returns the exit code."""
        self.note_processes()
        self.send(number)
        return self.finish()

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process is not None and not self.ended:
            self.stop(signal.SIGTERM)
