"""The one place where results reach stdout, as a table for people or as one JSON or YAML document
for programs, and notes reach stderr.

Whatever is printed goes through here, and no control character of it reaches a terminal: not
of an application's output, an agent's version, a note or a reason. Lines for people are broken
between words and never within one, so that ids can be copied; rich neither cuts nor folds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import contextmanager
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from console.cli.markup import escape
from console.cli.paragraphs import unfolded
from control_plane.errors import InvalidInput
from control_plane.printable import printable_json, printable_lines, why_unreadable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

UNFOLDED = 1 << 16  # columns; wider than any line
Document: TypeAlias = Any  # what json.dumps takes


def opened(path: Path, named: str) -> TextIO:
    """A file that takes the place of one that is there, to be written as text and closed. named: by
    what, such as `--file`. Raises InvalidInput."""
    try:
        return path.open("w", encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InvalidInput(
            named.lstrip("-"),
            f"{named} {path} cannot be written: {why_unreadable(error)}; name another file",
        ) from error


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def show(
    document: Document,
    output: Format,
    view: Callable[[], RenderableType],
    *,
    stream: TextIO | None = None,
) -> None:
    """Prints the document in the format asked for; `view` is only made for people. A string
    that it gives is in rich's markup. stream: stdout, where none is given."""
    stream = sys.stdout if stream is None else stream
    if output is Format.JSON:
        print(json_text(document, indent=2), file=stream)
    elif output is Format.YAML:
        print(yaml_text(document), end="", file=stream)
    else:
        _console(stream).print(unfolded(view()), overflow="ignore", crop=False)


def show_event(document: Document, output: Format, line: Callable[[], str]) -> None:
    """Prints one of many, as it comes: a line in rich's markup for people; for programs a line
    of JSON (NDJSON), or a YAML document behind `---`."""
    if output is Format.JSON:
        print(json_text(document), flush=True)
    elif output is Format.YAML:
        print(f"---\n{yaml_text(document)}", end="", flush=True)
    else:
        console_for_people().print(line(), soft_wrap=True)
        sys.stdout.flush()


def note(words: str) -> None:
    """Says something beside the result, on stderr, in rich's markup; in one line where that is
    no terminal."""
    console_for_notes().print(unfolded(f"[dim]{words}[/]"), overflow="ignore", crop=False)


def json_text(document: Document, *, indent: int | None = None) -> str:
    """The document as JSON, without control characters but the line feeds of `indent`."""
    return printable_json(json.dumps(document, indent=indent, ensure_ascii=False))


def yaml_text(document: Document) -> str:
    """The document as YAML; characters above ASCII are escaped where one of them controls."""
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    if printable_lines(text) != text:
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=False, width=100)
    return text


def console_for_people() -> Console:
    """stdout, with colours where it is a terminal."""
    return _console(sys.stdout)


def console_for_notes() -> Console:
    """stderr, likewise."""
    return _console(sys.stderr)


def _console(file: TextIO) -> Console:
    """As wide as the terminal. Where there is none, nothing is folded: who reads a pipe line by
    line gets a line for each row."""
    # emoji: `a:100:b` is an id, and no emoji.
    console = _console_type()(file=file, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = UNFOLDED
    return console


@cache
def _console_type() -> type[Console]:
    from rich.console import Console
    from rich.segment import Segment

    class PrintableConsole(Console):
        """Shows the control characters of texts; those that rich itself sends stay."""

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                if segment.control:
                    yield segment
                else:
                    yield Segment(printable_lines(segment.text), segment.style)

    return PrintableConsole


def warn(warnings: Iterable[str]) -> None:
    """Says on stderr what hinders nothing, one a line."""
    for one in warnings:
        console_for_notes().print(f"warning: {one}", style="yellow", markup=False, soft_wrap=True)


@contextmanager
def busy(doing: str) -> Iterator[Callable[[str], None]]:
    """A spinner on stderr while something lasts; where stderr is no terminal, nothing. Yields
    a function that changes the words."""
    notes = console_for_notes()
    if not notes.is_terminal:
        yield lambda words: None
        return
    with notes.status(escape(doing)) as status:
        yield lambda words: status.update(escape(words))


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
