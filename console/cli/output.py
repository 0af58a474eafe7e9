"""The one place where results reach stdout: as a table for people, or as one JSON or YAML
document for programs. Progress, notes and errors go to stderr, never here."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

UNFOLDED = 1 << 16  # columns; wider than any line
Document: TypeAlias = Any  # what json.dumps takes


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def show(document: Document, output: Format, view: Callable[[], RenderableType]) -> None:
    """Prints the document in the format asked for; `view` is only made for people."""
    if output is Format.JSON:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    elif output is Format.YAML:
        import yaml

        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
        print(text, end="")
    else:
        console_for_people().print(view())


def show_event(document: Document, output: Format, line: Callable[[], str]) -> None:
    """Prints one of many, as it comes: a line in rich's markup for people; for programs a line
    of JSON (NDJSON), or a YAML document behind `---`."""
    if output is Format.JSON:
        print(json.dumps(document, ensure_ascii=False), flush=True)
    elif output is Format.YAML:
        import yaml

        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
        print(f"---\n{text}", end="", flush=True)
    else:
        console_for_people().print(line(), soft_wrap=True)
        sys.stdout.flush()


def console_for_people() -> Console:
    """stdout, with colours where it is a terminal."""
    return _console(sys.stdout)


def console_for_notes() -> Console:
    """stderr, likewise."""
    return _console(sys.stderr)


def _console(file: TextIO) -> Console:
    """As wide as the terminal. Where there is none, nothing is folded: who reads a pipe line by
    line gets a line for each row."""
    from rich.console import Console

    console = Console(file=file, highlight=False)
    if not console.is_terminal:
        console.width = UNFOLDED
    return console


@contextmanager
def busy(doing: str) -> Iterator[Callable[[str], None]]:
    """A spinner on stderr while something lasts; where stderr is no terminal, nothing. Yields
    a function that changes the words."""
    notes = console_for_notes()
    if not notes.is_terminal:
        yield lambda words: None
        return
    with notes.status(doing) as status:
        yield lambda words: status.update(words)


def load_bar(load: float, width: int = 12) -> str:
    """A bar of eighths of a character, in rich's markup: green, yellow from 70 %, red from
    90 %. `load` above 1.0 is shown as full.

    >>> load_bar(0.5, width=4)
    '[green]██[/][dim]··[/]'
    """
    eighths = round(min(1.0, max(0.0, load)) * width * 8)
    if load > 0.0:
        eighths = max(1, eighths)  # a few clients are not none
    full, part = divmod(eighths, 8)
    bar = "█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")
    colour = "green" if load < 0.7 else "yellow" if load < 0.9 else "red"
    return f"[{colour}]{bar}[/][dim]{'·' * (width - len(bar))}[/]"


def kilometres(distance_km: float | None) -> str:
    """A distance for people; unknown is a dash.

    >>> kilometres(1234.5), kilometres(None)
    ('1,234 km', '–')
    """
    return "–" if distance_km is None or distance_km < 0 else f"{distance_km:,.0f} km"
