"""One child process of the local stack: started, watched, stopped, never left behind.

A child leads its own session, so that Ctrl-C in the terminal reaches only us and we decide the
order; `die_with_parent` makes it end when this process does, however that ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from console.local.stack_plan import Program
from control_plane.private_files import open_private
from control_plane.ready_file import read_ready_file, ready_file_fault

# -P: a folder of the operator's that happens to be called `console` is not ours.
_PYTHON = (sys.executable, "-P", "-m")
_LAST_LINES = 12
_KILLED_WITHIN_S = 10.0


class Child:
    """The process of one program. Not safe for use from several threads: Linux ties the death
    signal to the thread that started the child, so start it where you stay."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, arguments: Sequence[str]) -> None:
        """Starts it. An old ready file is removed first, so the next one is this process's."""
        self.program.ready_file.unlink(missing_ok=True)
        command = [*_PYTHON, self.program.module, *arguments]
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        with os.fdopen(open_private(self.program.log, flags), "ab") as log:
            self._process = subprocess.Popen(
                [*_PYTHON, "console.local.die_with_parent", str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        """While it runs."""
        return self._process.pid if self._process and self.exit_code is None else None

    @property
    def exit_code(self) -> int | None:
        """Once it ended; negative: by that signal."""
        return self._process.poll() if self._process else None

    def ready(self) -> dict[str, object] | None:
        """What it reported when it began to serve; None before."""
        return read_ready_file(self.program.ready_file)

    def ready_file_fault(self) -> str:
        """What is wrong with that file, if anything is."""
        return ready_file_fault(self.program.ready_file)

    def stop(self) -> bool:
        """SIGTERM, then SIGKILL when it takes too long. False when that was needed. Returns
        when it is gone. Idempotent."""
        if self._process is None:
            return True
        self._process.terminate()
        try:
            self._process.wait(self.program.stop_within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait(_KILLED_WITHIN_S)
            return False
        return True

    def kill(self) -> None:
        """Sends SIGKILL to the child and its process group, if it still runs. Waits for
        nothing, so a signal handler may call it while `stop` waits."""
        if (pid := self.pid) is not None:
            os.killpg(pid, signal.SIGKILL)

    def end(self) -> str:
        """How it ended, for people."""
        code = self.exit_code
        if code is None:
            return "still runs"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"

    def last_words(self) -> str:
        """The end of its log."""
        return end_of(self.program.log)


def end_of(log: Path) -> str:
    """The last lines of a log, indented; says so when there are none."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"    {line}" for line in lines[-_LAST_LINES:]) or "    (it wrote nothing)"
