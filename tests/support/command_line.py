"""Runs `homeport` for tests: inside this process for speed, or as a process of its own where
that is what the test is about."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

LIMIT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """stdout as one JSON document, and nothing else."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """stdout as NDJSON."""
        return [json.loads(line) for line in self.out.splitlines()]


class CommandLine(Protocol):
    """`cli("get", "alice", "-o", "json")`. stdin: what it can read there."""

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Ran: ...


def run_process(*arguments: str, stdin: bytes = b"", **environ: str) -> Ran:
    """`homeport` as users start it, with no environment but `environ`."""
    done = subprocess.run(
        [sys.executable, "-m", "console.cli.main", *arguments],
        input=stdin,
        capture_output=True,
        timeout=LIMIT_S,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environ},
    )
    return Ran(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def leaves(command: Any, *above: str) -> Iterator[tuple[str, Any]]:
    """Each command below one: its words, and the command."""
    children = getattr(command, "commands", None)
    if children is None:
        yield " ".join(above), command
        return
    for name, child in children.items():
        yield from leaves(child, *above, name)
