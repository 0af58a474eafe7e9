"""Runs `homeport` for tests: inside this process for speed, or as a process of its own where
that is what the test is about."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, Protocol
from unittest.mock import patch

from console.cli.main import main

LIMIT_S = 60.0
SURROUNDINGS = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


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
        env={**SURROUNDINGS, **environ},
    )
    return Ran(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def run_here(*arguments: str, stdin: bytes = b"", **environ: str) -> Ran:
    """The same within this process, which takes a hundredth of the processor time: where it is
    about what the command says and does, not about how it starts and ends. Nothing else may run
    beside it: it has the environment and the streams of the process."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_here(arguments, stdin, environ)
    with ThreadPoolExecutor(1) as alone:  # a command begins an event loop of its own
        return alone.submit(_run_here, arguments, stdin, environ).result(LIMIT_S)


def _run_here(arguments: tuple[str, ...], stdin: bytes, environ: dict[str, str]) -> Ran:
    code: object = None
    with (
        patch.dict(os.environ, {**SURROUNDINGS, "COLUMNS": "80", **environ}, clear=True),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")),
        redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) as out,
        redirect_stderr(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) as err,
    ):
        try:
            main(arguments)
        except SystemExit as ended:
            code = ended.code
    return Ran(code=int(code or 0), out=_written(out), err=_written(err))  # type: ignore[call-overload]


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()


def leaves(command: Any, *above: str) -> Iterator[tuple[str, Any]]:
    """Each command below one: its words, and the command."""
    children = getattr(command, "commands", None)
    if children is None:
        yield " ".join(above), command
        return
    for name, child in children.items():
        yield from leaves(child, *above, name)
