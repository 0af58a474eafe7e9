"""Texts for people, broken into lines between words and never within one.

Rich folds a word that is longer than a line, and then an id cannot be copied; here it goes
beyond the line's end, where a terminal continues it without a break of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement
    from rich.text import Text

_WORD = re.compile(r"\s*\S+\s*")
_ANYTHING = 1 << 20  # columns; wider than any text


def unfolded(view: RenderableType) -> RenderableType:
    """The same view, with its texts and trees so that no word of them is folded or cut."""
    from rich.console import Group
    from rich.text import Text
    from rich.tree import Tree

    if isinstance(view, str):
        return Paragraph(text_of(view))
    if isinstance(view, Text):
        return view if view.no_wrap else Paragraph(view)
    if isinstance(view, Group):
        return Group(*map(unfolded, view.renderables))
    return _WideTree(view) if isinstance(view, Tree) else view


class Paragraph:
    """A text that is broken between words."""

    def __init__(self, text: Text) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from wrapped(self._text, options.max_width)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        return Measurement.get(console, options, self._text)


class _WideTree:
    """A tree, as wide as its longest word needs where that is more than there is room for."""

    def __init__(self, tree: RenderableType) -> None:
        self._tree = tree

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.measure import Measurement

        anything = options.update(width=_ANYTHING, overflow="fold")
        least = Measurement.get(console, anything, self._tree).minimum
        wide = options.update(width=max(options.max_width, least), overflow="fold")
        yield from console.render(self._tree, wide)


def text_of(markup: str, style: str = "") -> Text:
    """A text in rich's markup; `:100:` in it is no emoji."""
    from rich.text import Text

    return Text.from_markup(markup, style=style, emoji=False)


def longest_word(text: Text) -> int:
    """In terminal cells."""
    from rich.cells import cell_len

    return max(map(cell_len, text.plain.split()), default=0)


def wrapped(text: Text, width: int) -> list[Text]:
    """Its lines. Each has `width` cells at most, or is one word."""
    from rich.cells import cell_len

    lines: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        breaks, position = [], 0
        for found in _WORD.finditer(line.plain):
            if position and position + cell_len(found[0].rstrip()) > width:
                breaks.append(found.start())
                position = 0
            position += cell_len(found[0])
        lines += line.divide(breaks)
    for line in lines:
        line.rstrip()
        line.no_wrap, line.overflow = True, "ignore"
    return lines
