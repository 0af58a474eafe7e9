"""The seven systems that the story is about, and what of each was shown: of the chapters that were
told, and of no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, whole
from console.demo.directory.story import Chapter
from control_plane.printable import number_of

# Letter, name, and the chapter that shows it.
SYSTEMS = (
    ("B", "one presence on the web and by telephone", 2),
    ("E", "messages over the channel that suits", 5),
    ("A", "programs that are written to, and answer with cards", 6),
    ("D", "domains of organisations, and invitations", 3),
    ("G", "as whom one writes, and where to", 4),
    ("F", "calls and texts over numbers of the service", 7),
    ("C", "which browser is on which device", 8),
)


def shown(chapters: Sequence[Chapter]) -> list[dict[str, Any]]:
    """For programs. chapters: that were true. `chapter` None: no chapter showed it."""
    told = {one.number: one for one in chapters}
    return [
        {
            "system": letter,
            "name": name,
            "chapter": told[at].number if at in told else None,
            "title": told[at].title if at in told else None,
            "true": len(told[at].found) if at in told else 0,
        }
        for letter, name, at in SYSTEMS
    ]


def shown_view(chapters: Sequence[Chapter]) -> Table:
    """For people."""
    table = Table(whole("system", style="bold"), fold("what it is"), fold("shown by"), number(""))
    for one in shown(chapters):
        if one["chapter"] is None:
            table.add_row(one["system"], one["name"], "[dim]no chapter of this run[/]", "")
        else:
            by = f"chapter {one['chapter']}: {escape(one['title'])}"
            table.add_row(one["system"], one["name"], by, number_of(one["true"], "claim"))
    return table
