"""What a terminal shows of a view, and what of it stands there."""

from __future__ import annotations

import io
import re

from rich.console import Console, Group, RenderableType
from rich.text import Text

from console.cli.paragraphs import unfolded
from console.cli.tables import Table


def rendered(view: RenderableType, width: int) -> str:
    """As `output.show` prints it to a terminal without colours."""
    console = Console(
        file=io.StringIO(), width=width, highlight=False, emoji=False, force_terminal=True,
        color_system=None,
    )  # fmt: skip
    console.print(unfolded(view), overflow="ignore", crop=False)
    return console.file.getvalue()  # type: ignore[attr-defined]


def tables_in(view: RenderableType) -> list[Table]:
    if isinstance(view, Table):
        return [view]
    return [one for part in view.renderables for one in tables_in(part)] if isinstance(
        view, Group
    ) else []  # fmt: skip


def plain(markup: str) -> str:
    return Text.from_markup(markup).plain


def left_out_of(shown: str) -> list[str]:
    """Titles that the notes below tables name."""
    notes = re.findall(r"no room for: (.*?) \(-o json has all\)", " ".join(shown.split()))
    return [title for note in notes for title in note.split(", ")]


def words(text: str) -> set[str]:
    """Those of content; lines and frames are drawn as long as they have to be."""
    return {word for word in text.split() if not re.fullmatch("[─│┃━]+", word)}
