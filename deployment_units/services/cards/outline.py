"""What a card shows, in order, without how it looks: what its HTML and its text are made of.

Static forms show what a viewer could have brought to light: a card behind a button stands below
that button, and what a button shows and hides stands where it is; such buttons are not listed.
What is hidden for good stays hidden. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

from deployment_units.services.cards.addresses import WebAddress, read_web_address
from deployment_units.services.cards.card import Card, CardAction, CardInput
from deployment_units.services.cards.parts import OPEN_URL, SHOW_CARD, SUBMITS, TOGGLE

_MORE = "More"  # what a button that opens a card is called without a title


class Mark(Enum):
    """How a run of text stands out. The value is its element in HTML."""

    STRONG = "strong"
    ITALIC = "em"
    CODE = "code"
    STRUCK = "s"
    UNDERLINED = "u"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    """A text in Markdown."""

    text: str
    marks: tuple[Mark, ...] = ()
    heading: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """A button that sends something to the application."""

    action: CardAction


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A button that opens an address."""

    title: str  # empty: it has none but its host
    address: WebAddress
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class More:
    """A card behind a button."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A piece of a line, without Markdown."""

    text: str
    marks: tuple[Mark, ...] = ()
    button: Press | Open | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """A line of several pieces."""

    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Names and values, in Markdown."""

    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image, by the address that the author gave and the words for who does not see it."""

    address: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """An input."""

    input: CardInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Blocks below each other."""

    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Rows of cells; of one row where they are columns beside each other."""

    rows: tuple[tuple[tuple[Block, ...], ...], ...]
    table: bool = False  # a table of its own, and no columns
    header: bool = False  # its first row names what stands below


Block: TypeAlias = Paragraph | Runs | Facts | Picture | Field | Group | Grid | Press | Open | More


def outline(card: Card) -> tuple[Block, ...]:
    """All that a card shows."""
    return _Outline(card).blocks()


def pressed_in_order(card: Card) -> tuple[CardAction, ...]:
    """The actions that can be pressed now, in the order in which they are shown."""
    return tuple([one.action for one in _presses(outline(card)) if one.action.enabled])


def shows_images(card: Card) -> bool:
    """Whether there is an image in it, wherever."""
    return any(isinstance(one, Picture) for one in _all(outline(card)))


def _presses(blocks: tuple[Block, ...]) -> Iterator[Press]:
    for block in _all(blocks):
        match block:
            case Press():
                yield block
            case Runs():
                yield from (one.button for one in block.runs if isinstance(one.button, Press))
            case _:
                pass


def _all(blocks: tuple[Block, ...]) -> Iterator[Block]:
    """Blocks, each before those within it."""
    for block in blocks:
        yield block
        match block:
            case Group() | More():
                yield from _all(block.blocks)
            case Grid():
                for row in block.rows:
                    for cell in row:
                        yield from _all(cell)
            case _:
                pass


class _Outline:
    def __init__(self, card: Card) -> None:
        self._card = card
        self._toggled = frozenset(_toggled(card.document))

    def blocks(self) -> tuple[Block, ...]:
        return self._of_card(self._card.document)

    def _of_card(self, document: Mapping[str, Any]) -> tuple[Block, ...]:
        return (
            *self._items(document.get("body", ())),
            *self._buttons(document.get("actions", ())),
            *self._whole(document),
        )

    def _items(self, items: Any) -> tuple[Block, ...]:
        return tuple([block for one in items for block in self._element(one)])

    def _element(self, one: Mapping[str, Any]) -> Iterator[Block]:
        if one.get("isVisible", True) is False and one.get("id") not in self._toggled:
            return
        match one["type"]:
            case "TextBlock":
                yield _paragraph(one)
            case "RichTextBlock":
                yield Runs(runs=tuple([self._run(run) for run in one["inlines"]]))
            case "FactSet":
                yield Facts(facts=tuple([(fact["title"], fact["value"]) for fact in one["facts"]]))
            case "Image":
                yield Picture(address=one["url"], words=one.get("altText", ""))
                yield from self._whole(one)
            case "ImageSet":
                yield Group(blocks=self._items(one["images"]))
            case "Container":
                yield Group(blocks=self._box(one))
            case "ColumnSet":
                columns = [each for each in one.get("columns", ()) if self._is_shown(each)]
                yield Grid(rows=(tuple([self._box(each) for each in columns]),))
                yield from self._whole(one)
            case "Table":
                yield self._table(one)
            case "ActionSet":
                yield from self._buttons(one["actions"])
            case _:
                yield Field(input=self._card.inputs[one["id"]])
                if "inlineAction" in one:
                    yield from self._button(one["inlineAction"])

    def _is_shown(self, one: Mapping[str, Any]) -> bool:
        return one.get("isVisible", True) is not False or one.get("id") in self._toggled

    def _box(self, one: Mapping[str, Any]) -> tuple[Block, ...]:
        return (*self._items(one.get("items", ())), *self._whole(one))

    def _table(self, one: Mapping[str, Any]) -> Grid:
        rows = [
            tuple([self._box(cell) for cell in row.get("cells", ())]) for row in one.get("rows", ())
        ]
        header = one.get("firstRowAsHeaders", one.get("firstRowAsHeader", True))
        return Grid(rows=tuple(rows), table=True, header=header)

    def _whole(self, one: Mapping[str, Any]) -> Iterator[Block]:
        """The button that a part is as a whole, behind what is in it."""
        if "selectAction" in one:
            yield from self._button(one["selectAction"])

    def _run(self, one: Mapping[str, Any] | str) -> Run:
        if isinstance(one, str):
            return Run(text=one)
        button = next(iter(self._whole(one)), None)
        return Run(
            text=one["text"],
            marks=_marks(one),
            button=button if isinstance(button, Press | Open) else None,
        )

    def _buttons(self, actions: Any) -> tuple[Block, ...]:
        return tuple([block for one in actions for block in self._button(one)])

    def _button(self, one: Mapping[str, Any]) -> Iterator[Press | Open | More]:
        type_ = one["type"]
        title = one.get("title") or one.get("tooltip") or ""
        if type_ in SUBMITS:
            action = self._card.action(one["id"])
            if action is not None:
                yield Press(action=action)
        elif type_ == OPEN_URL:
            address = read_web_address(one["url"])
            if isinstance(address, WebAddress):
                yield Open(title=title, address=address, enabled=one.get("isEnabled", True))
        elif type_ == SHOW_CARD:
            yield More(title=title or _MORE, blocks=self._of_card(one.get("card", {})))


def _toggled(node: Any) -> Iterator[str]:
    """The ids of all that a button shows and hides. (Nested no deeper than a card may be.)"""
    if isinstance(node, list):
        for one in node:
            yield from _toggled(one)
    elif isinstance(node, Mapping):
        if node.get("type") == TOGGLE:
            for target in node.get("targetElements", ()):
                yield target if isinstance(target, str) else target["elementId"]
        for one in node.values():
            if isinstance(one, Mapping | list):
                yield from _toggled(one)


def _paragraph(one: Mapping[str, Any]) -> Paragraph:
    return Paragraph(text=one["text"], marks=_marks(one), heading=one.get("style") == "heading")


def _marks(one: Mapping[str, Any]) -> tuple[Mark, ...]:
    said = {
        Mark.STRONG: one.get("weight") == "bolder",
        Mark.ITALIC: one.get("italic", False),
        Mark.CODE: one.get("fontType") == "monospace",
        Mark.STRUCK: one.get("strikethrough", False),
        Mark.UNDERLINED: one.get("underline", False),
    }
    return tuple([mark for mark, is_so in said.items() if is_so])
