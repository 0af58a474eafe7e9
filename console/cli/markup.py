"""Text from outside within rich's markup: it neither formats nor controls anything."""

from __future__ import annotations

from control_plane.printable import printable


def escape(text: str) -> str:
    """The text in one line as it is, to stand in markup: brackets mean nothing, and control
    characters are shown (`control_plane.printable`)."""
    from rich.markup import escape as escape_markup

    return escape_markup(printable(text))
