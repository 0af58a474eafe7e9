"""Processes of the demo that are no part of Homeport: started, killed and started again by it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from console.cli.failure import CommandFailed
from console.local.child import Child
from console.local.stack_plan import Program

READY_WITHIN_S = 150.0
POLL_S = 0.03


class DemoChild:
    """One of them. Where it listens it keeps when it is started again."""

    def __init__(self, name: str, module: str, folder: Path, arguments: tuple[str, ...]) -> None:
        self._child = Child(
            Program(
                name=name,
                module=module,
                arguments=(),
                ready_file=folder / f"{name}.json",
                log=folder / f"{name}.log",
                ready_within_s=READY_WITHIN_S,
                stop_within_s=10.0,
            )
        )
        self._arguments = arguments
        self.facts: Mapping[str, object] = {}

    def start(self, *more: str) -> None:
        """Returns once it serves. Raises CommandFailed."""
        program = self._child.program
        self._child.start([*self._arguments, *more, f"--ready-file={program.ready_file}"])
        end_s = time.monotonic() + READY_WITHIN_S
        while (facts := self._child.ready()) is None:
            if self._child.exit_code is not None or time.monotonic() > end_s:
                raise CommandFailed(
                    f"{program.name} {self._child.end()}:\n{self._child.last_words()}"
                )
            time.sleep(POLL_S)
        self.facts = facts

    @property
    def runs(self) -> bool:
        return self._child.pid is not None

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self._child.kill()
        self._child.stop()

    def stop(self) -> None:
        """Idempotent."""
        self._child.stop()
