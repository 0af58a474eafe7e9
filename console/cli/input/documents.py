"""Documents that a command reads by itself: a file, its YAML or JSON, and what a reader makes of
the values. What is wrong names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from console.cli.failure import CommandFailed, ExitCode
from console.cli.input.text_file import name_of, read_text
from control_plane.errors import InvalidInput
from data_sharing.documents import value_of

T = TypeVar("T")


def read_document(path: Path, made_of: Callable[[Any], T]) -> T:
    """Raises CommandFailed, with the exit code of wrong usage."""
    text = read_text(path)
    try:
        return made_of(value_of(text, "the document"))
    except InvalidInput as error:
        raise CommandFailed(f"{name_of(path)}: {error.message}", ExitCode.USAGE) from error
