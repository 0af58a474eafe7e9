"""What a command reads: a file that it names, or stdin for `-`. Nothing is read without a bound."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from console.cli.failure import CommandFailed, ExitCode
from control_plane.printable import why_unreadable

STDIN = Path("-")
MOST_DOCUMENT_BYTES = 1 << 20  # rules, a plan, a manifest: what the service takes of one
MOST_EVENTS_BYTES = 64 << 20  # sample events, which are all held at once


def read_text(
    path: Path, *, most_bytes: int = MOST_DOCUMENT_BYTES, stdin: BinaryIO | None = None
) -> str:
    """What it holds, UTF-8. Raises CommandFailed where it cannot be read, or is larger."""
    content = read_content(path, most_bytes=most_bytes, stdin=stdin)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(path, error) from error


def read_content(path: Path, *, most_bytes: int, stdin: BinaryIO | None = None) -> bytes:
    """The same as bytes."""
    with open_input(path, stdin=stdin) as file:
        try:
            content = file.read(most_bytes + 1)
        except OSError as error:
            raise _unreadable(path, error) from error
    if len(content) > most_bytes:
        raise CommandFailed(
            f"{name_of(path)} is larger than {most_bytes:,} bytes; split it, or name another",
            ExitCode.USAGE,
        )
    return content


@contextmanager
def open_input(path: Path, *, stdin: BinaryIO | None = None) -> Iterator[BinaryIO]:
    """The file, or stdin for `-`: the process's, where none is given. Raises CommandFailed where it
    cannot be opened."""
    if path == STDIN:
        if stdin is None and sys.stdin is None:
            raise CommandFailed("there is no stdin to read", ExitCode.USAGE)
        yield stdin or sys.stdin.buffer
        return
    try:
        file: IO[bytes] = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        yield file  # type: ignore[misc]  # IO[bytes] is what open("rb") has


def name_of(path: Path) -> str:
    """How messages call it."""
    return "stdin" if path == STDIN else str(path)


def check_stdin_once(paths: Sequence[Path]) -> None:
    """Of several files of one command, one may be stdin: it can be read once. Raises
    CommandFailed."""
    if sum(path == STDIN for path in paths) > 1:
        raise CommandFailed("stdin can be only one of the files: give `-` once", ExitCode.USAGE)


def _unreadable(path: Path, error: OSError | UnicodeDecodeError) -> CommandFailed:
    said = f"{name_of(path)} cannot be read: {why_unreadable(error)}"
    return CommandFailed(said, ExitCode.USAGE)
