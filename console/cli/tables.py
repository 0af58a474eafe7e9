"""Tables that lose nothing: whatever the width, the text of every cell that is shown is whole.

Rich cuts cells with an ellipsis where a table is too wide. Here every column says what becomes
of it instead: it folds over several lines, it stays whole, or it is left out, and then a line
below the table says so. Piped output is as wide as it needs to be (`output.console_for`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement
    from rich.table import Table as RichTable

LEAST_FOLDED = 12  # characters a folding column keeps before optional columns are left out

Fit: TypeAlias = Literal["fold", "whole", "optional"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`fit`: "fold" breaks long text into lines; "whole" keeps a short text in one line, so
    long as there is room for that; "optional" is whole, or left out. `footer` needs a table
    with `footers`."""

    title: str
    fit: Fit = "fold"
    right: bool = False
    footer: str = ""
    style: str = ""


def fold(title: str, *, footer: str = "", style: str = "") -> Column:
    """A column of texts: ids, names, sentences."""
    return Column(title=title, footer=footer, style=style)


def whole(title: str, *, footer: str = "", style: str = "") -> Column:
    """A column of short words."""
    return Column(title=title, fit="whole", footer=footer, style=style)


def number(title: str, *, footer: str = "") -> Column:
    """A column of numbers with their units."""
    return Column(title=title, fit="whole", right=True, footer=footer)


def optional(column: Column) -> Column:
    """The same, left out where there is no room for it. Of several the last one goes first."""
    return Column(
        title=column.title, fit="optional", right=column.right, footer=column.footer,
        style=column.style,
    )  # fmt: skip


class Table:
    """Rows of cells in rich's markup. Columns without a title have no head."""

    def __init__(
        self,
        *columns: Column,
        title: str = "",
        caption: str = "",
        footers: bool = False,
    ) -> None:
        self.columns = columns
        self.title = title
        self.caption = caption
        self._footers = footers
        self._head = any(column.title for column in columns)
        self.rows: list[tuple[tuple[str, ...], str]] = []  # cells and style

    def add_row(self, *cells: str, style: str = "") -> None:
        """One cell for each column."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append((cells, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        shown, widths = self._fitted(console, options)
        if self.title:
            yield Text.from_markup(self.title, style="bold")
        yield self._built(shown, widths)
        if self.caption:
            yield Text.from_markup(self.caption, style="dim")
        left_out = [one.title for at, one in enumerate(self.columns) if at not in shown]
        if left_out:
            yield Text(f"no room for: {', '.join(left_out)} (-o json has all)", style="dim")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        anything = options.update(width=1 << 20)
        everything = self._built(range(len(self.columns)), None)
        natural = Measurement.get(console, anything, everything).maximum
        return Measurement(min(natural, options.max_width), min(natural, options.max_width))

    def _fitted(
        self, console: Console, options: ConsoleOptions
    ) -> tuple[list[int], Sequence[int] | None]:
        """The columns to show, by place, and the width of each; None: as wide as they are."""
        from rich.measure import Measurement

        anything = options.update(width=1 << 20)
        natural = [
            Measurement.get(console, anything, self._built([at], None)).maximum
            for at in range(len(self.columns))
        ]
        shown = list(range(len(self.columns)))
        while True:
            wanted = Measurement.get(console, anything, self._built(shown, None)).maximum
            if wanted <= options.max_width:
                return shown, None
            between = wanted - sum(natural[at] for at in shown)
            room = options.max_width - between
            widths = allotted(
                [natural[at] for at in shown],
                [self.columns[at].fit == "fold" for at in shown],
                room,
            )
            if widths is not None:
                return shown, widths
            spare = [at for at in shown if self.columns[at].fit == "optional"]
            if not spare:
                needed = [natural[at] for at in shown]
                return shown, allotted(needed, [True] * len(shown), room, least=1)
            shown.remove(spare[-1])

    def _built(self, shown: Sequence[int], widths: Sequence[int] | None) -> RichTable:
        from rich import box
        from rich.table import Table as RichTable

        table = RichTable(
            box=box.SIMPLE_HEAD if self._head else None,
            show_header=self._head,
            show_footer=self._footers,
            pad_edge=False,
        )
        for place, at in enumerate(shown):
            column = self.columns[at]
            table.add_column(
                column.title,
                footer=column.footer,
                style=column.style or None,
                justify="right" if column.right else "left",
                width=None if widths is None else widths[place],
                overflow="fold",
            )
        for cells, style in self.rows:
            table.add_row(*(cells[at] for at in shown), style=style or None)
        return table


def allotted(
    natural: Sequence[int], folds: Sequence[bool], room: int, *, least: int = LEAST_FOLDED
) -> list[int] | None:
    """Widths of columns that come to `room` at most: whole ones get what they need, the others
    equal shares of what is left, and none more than it needs. None: some that fold would get
    less than `least` though they need it.

    >>> allotted([5, 60, 20], [False, True, True], 45)
    [5, 20, 20]
    """
    left = room - sum(width for width, may in zip(natural, folds, strict=True) if not may)
    widths = list(natural)
    folding = [at for at, may in enumerate(folds) if may]
    folding.sort(key=lambda at: natural[at])  # what the narrow ones leave is the others'
    for done, at in enumerate(folding):
        share = left // (len(folding) - done)
        widths[at] = min(natural[at], max(share, least))
        left -= widths[at]
    return widths if left >= 0 else None


def facts(*rows: tuple[str, str]) -> Table:
    """Names and values of one thing, a row each."""
    table = Table(whole("", style="dim"), fold(""))
    for name, value in rows:
        table.add_row(name, value)
    return table
