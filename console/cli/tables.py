"""Tables that lose nothing: whatever the width, the text of every cell that is shown is whole.

Rich cuts cells with an ellipsis where a table is too wide, and folds words that are too long.
Here every column says what becomes of it instead: it folds over several lines, between words
and never within one, so that what is to be copied stands in one piece; it stays whole; or it is
left out, and then a line below the table says so. Where even that does not fit, each row becomes
a block of names and values, and a word that is longer than the terminal has a line of its own.
Piped output is as wide as it needs to be, a line for each row and nothing beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from console.cli.paragraphs import Paragraph, longest_word, text_of, wrapped

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.measure import Measurement
    from rich.table import Table as RichTable
    from rich.text import Text

LEAST_FOLDED = 12  # characters a folding column keeps before optional columns are left out
_ANYTHING = 1 << 20  # columns; wider than any table

Fit: TypeAlias = Literal["fold", "whole", "optional"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`fit`: "fold" breaks long text into lines, between words; "whole" keeps a text in one
    line; "optional" is whole, or left out. `footer` needs a table with `footers`."""

    title: str
    fit: Fit = "fold"
    right: bool = False
    footer: str = ""
    style: str = ""


def fold(title: str, *, footer: str = "", style: str = "") -> Column:
    """A column of sentences and lists."""
    return Column(title=title, footer=footer, style=style)


def whole(title: str, *, footer: str = "", style: str = "") -> Column:
    """A column of ids and short words."""
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
        if self.title:
            yield Paragraph(text_of(self.title, style="bold"))
        if not console.is_terminal:
            yield from self._lines()
            if self.caption:
                yield Paragraph(text_of(self.caption))
            return
        fitted = self._fitted(console, options)
        if fitted is None:
            yield from self._blocks(options.max_width)
            shown = list(range(len(self.columns)))
        else:
            shown, widths = fitted
            yield self._built(shown, widths)
        if self.caption:
            yield Paragraph(text_of(self.caption, style="dim"))
        left_out = [one.title for at, one in enumerate(self.columns) if at not in shown]
        if left_out:
            said = f"no room for: {', '.join(left_out)} (-o json has all)"
            yield Paragraph(text_of(said, style="dim"))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        everything = self._built(range(len(self.columns)), None)
        natural = _measured(console, options, everything).maximum
        return Measurement(min(natural, options.max_width), min(natural, options.max_width))

    def _fitted(
        self, console: Console, options: ConsoleOptions
    ) -> tuple[list[int], Sequence[int] | None] | None:
        """The columns to show, by place, and the width of each; None: as wide as they are.
        Nothing where they do not fit whatever is left out."""
        sizes = [
            _measured(console, options, self._built([at], None)) for at in range(len(self.columns))
        ]
        natural = [size.maximum for size in sizes]
        # What a folding column cannot do without: its longest word.
        least = [
            max(size.minimum, min(size.maximum, LEAST_FOLDED))
            if self.columns[at].fit == "fold"
            else size.maximum
            for at, size in enumerate(sizes)
        ]
        shown = list(range(len(self.columns)))
        while True:
            wanted = _measured(console, options, self._built(shown, None)).maximum
            if wanted <= options.max_width:
                return shown, None
            between = wanted - sum(natural[at] for at in shown)
            widths = allotted(
                [natural[at] for at in shown],
                [least[at] for at in shown],
                options.max_width - between,
            )
            if widths is not None:
                return shown, widths
            spare = [at for at in shown if self.columns[at].fit == "optional"]
            if not spare:
                return None
            shown.remove(spare[-1])

    def _lines(self) -> Iterator[Text]:
        """A line for each row, below one with the titles; for pipes."""
        rows = [tuple(column.title for column in self.columns)] if self._head else []
        rows += [cells for cells, _ in self.rows]
        texts = [[text_of(cell.replace("\n", " ")) for cell in cells] for cells in rows]
        widths = [max(text.cell_len for text in column) for column in zip(*texts, strict=True)]
        for line in texts:
            for text, column, width in zip(line, self.columns, widths, strict=True):
                missing = width - text.cell_len
                text.pad_left(missing) if column.right else text.pad_right(missing)
            joined = text_of("   ").join(line)
            joined.rstrip()
            joined.no_wrap, joined.overflow = True, "ignore"
            yield joined

    def _blocks(self, width: int) -> Iterator[Text]:
        """Each row as lines of a name and a value."""
        for place, (cells, style) in enumerate(self.rows):
            if place and self._head:
                yield text_of("")
            pairs = list(zip([column.title for column in self.columns], cells, strict=True))
            if not self._head:
                pairs = [(cells[0], "  ".join(filter(None, cells[1:])))]
            yield from _block([pair for pair in pairs if any(pair)], width, style)
        if self._footers:
            yield text_of("")
            sums = [(column.title, column.footer) for column in self.columns if column.footer]
            yield from _block(sums, width, "")

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
                no_wrap=column.fit != "fold"
                and all("\n" not in cells[at] for cells, _ in self.rows),
                overflow="fold",
            )
        for cells, style in self.rows:
            table.add_row(*(cells[at] for at in shown), style=style or None)
        return table


def _block(pairs: Sequence[tuple[str, str]], width: int, style: str) -> Iterator[Text]:
    """Names and values in rich's markup, a line for each pair. A value with a word that does not
    fit beside the names stands below its name, from the first column on."""
    names = [text_of(name) for name, _ in pairs]
    indent = max((name.cell_len for name in names), default=0) + 2
    for name, (_, cell) in zip(names, pairs, strict=True):
        value = text_of(cell, style=style)
        beside = width - indent
        below = longest_word(value) > max(beside, 0)
        name.stylize("dim")
        lines = wrapped(value, max(1, width if below else beside))
        if below:
            yield name
            yield from lines
            continue
        for place, line in enumerate(lines):
            head = name.copy() if not place else text_of("")
            head.append(" " * (indent - head.cell_len))
            head.append_text(line)
            yield head


def _measured(console: Console, options: ConsoleOptions, table: RenderableType) -> Measurement:
    from rich.measure import Measurement

    return Measurement.get(console, options.update(width=_ANYTHING), table)


def allotted(natural: Sequence[int], least: Sequence[int], room: int) -> list[int] | None:
    """Widths of columns that come to `room` at most: each gets its least, and what is left goes
    to the narrowest ones, none more than it needs. None: there is not so much room.

    >>> allotted([5, 60, 20], [5, 12, 12], 45)
    [5, 20, 20]
    """

    def at_level(level: int) -> list[int]:
        return [min(wide, max(few, level)) for wide, few in zip(natural, least, strict=True)]

    if sum(at_level(0)) > room:
        return None
    low, high = 0, max(natural, default=0) + 1  # the highest level that fits is in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if sum(at_level(middle)) <= room else (low, middle)
    return at_level(low)


def facts(*rows: tuple[str, str]) -> Table:
    """Names and values of one thing, a row each."""
    table = Table(whole("", style="dim"), fold(""))
    for name, value in rows:
        table.add_row(name, value)
    return table
