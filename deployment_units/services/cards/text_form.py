"""A card as text: for terminals, text messages and the plain part of mail.

Buttons that can be answered have a number in brackets; `answers` reads what comes back. Nothing
of it moves a cursor or turns what stands around it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from deployment_units.services.cards.card import Card, CardInput, InputKind
from deployment_units.services.cards.markdown import marked_text, with_dates
from deployment_units.services.cards.outline import (
    Block,
    Facts,
    Field,
    Grid,
    Group,
    More,
    Open,
    Paragraph,
    Picture,
    Press,
    Run,
    Runs,
    outline,
    pressed_in_order,
)
from deployment_units.services.cards.safe_text import isolated, safe_line
from deployment_units.services.cards.viewing import Viewer

_BETWEEN_CELLS = " | "
_NOT_NOW = "not available"


def to_text(card: Card, viewer: Viewer | None = None, *, answerable: bool = True) -> str:
    """The card in lines, each ended. answerable: with numbers, and a line that says how to
    answer, where there is something to press. In a thread, as `to_html`."""
    actions = pressed_in_order(card) if answerable else ()
    write = _Writer(
        viewer=viewer or Viewer(),
        inputs=card.inputs,
        numbers={one.id: number for number, one in enumerate(actions, 1)},
    )
    lines = write.lines(outline(card))
    if actions:
        lines += ["", _how_to_answer(card, len(actions))]
    return "".join([f"{one}\n" for one in _without_gaps(lines)])


def _how_to_answer(card: Card, count: int) -> str:
    numbers = "1" if count == 1 else "1 or 2" if count == 2 else f"a number from 1 to {count}"
    said = f"Answer {numbers} to press a button."
    if any(one.inputs for one in pressed_in_order(card)):
        said += " What it asks for goes behind the number, as name: value."
    return said


@dataclass(slots=True)
class _Writer:
    viewer: Viewer
    inputs: Mapping[str, CardInput]
    numbers: dict[str, int] = field(default_factory=dict)

    def lines(self, blocks: tuple[Block, ...]) -> list[str]:
        return [line for one in blocks for line in self._block(one)]

    def _block(self, block: Block) -> list[str]:
        match block:
            case Paragraph():
                return self._markdown(block.text)
            case Runs():
                text = "".join([self._run(one) for one in block.runs])
                return text.split("\n") if text.strip() else []
            case Facts():
                return [self._fact(title, value) for title, value in block.facts]
            case Picture():
                return [f"[{safe_line(block.words)}]"] if block.words else []
            case Field():
                return [self._field(block.input)]
            case Group():
                return self.lines(block.blocks)
            case Grid():
                return self._grid(block)
            case Press():
                return [self._press(block)]
            case Open():
                return [self._open(block)]
            case More():
                inside = [f"  {one}" for one in self.lines(block.blocks)]
                return ["", f"{safe_line(block.title)}:", *inside]

    def _markdown(self, text: str) -> list[str]:
        found = marked_text(with_dates(text, self.viewer.zone))
        return found.split("\n") if found.strip() else []

    def _run(self, run: Run) -> str:
        words = safe_line(with_dates(run.text, self.viewer.zone))
        match run.button:
            case Open() if run.button.enabled:
                return f"{isolated(words)} ({run.button.address.url})"
            case Press() if number := self.numbers.get(run.button.action.id):
                return f"[{number}] {words}"
            case _:
                return words

    def _fact(self, title: str, value: str) -> str:
        name = " ".join(self._markdown(title))
        return f"{isolated(name)}: {isolated(' '.join(self._markdown(value)))}"

    def _grid(self, grid: Grid) -> list[str]:
        """A row is one line where each of its cells is."""
        lines: list[str] = []
        for row in grid.rows:
            cells = [_without_gaps(self.lines(cell)) for cell in row]
            cells = [one for one in cells if one]
            if grid.table or all(len(one) == 1 for one in cells):
                words = [isolated(" ".join(one)) for one in cells]
                lines += [_BETWEEN_CELLS.join(words)] if words else []
            else:
                lines += [line for one in cells for line in one]
        return lines

    def _press(self, press: Press) -> str:
        action = press.action
        title = safe_line(action.title)
        number = self.numbers.get(action.id)
        if number is None:
            return f"* {title}" + ("" if action.enabled else f" ({_NOT_NOW})")
        asked = [self.inputs[one] for one in action.inputs]
        names = ", ".join([isolated(safe_line(one.name)) for one in asked])
        return f"[{number}] {title}" + (f" ({names})" if names else "")

    def _open(self, one: Open) -> str:
        title = safe_line(one.title)
        if not one.enabled:
            return f"* {title or one.address.host} ({_NOT_NOW})"
        return f"* {isolated(title)}: {one.address.url}" if title else f"* {one.address.url}"

    def _field(self, one: CardInput) -> str:
        name = isolated(safe_line(one.name)) + (" *" if one.required else "")
        match one.kind:
            case InputKind.CHOICES:
                chosen = set(one.value.split(",")) if one.several else {one.value}
                marks = [(each.value in chosen, safe_line(each.title)) for each in one.choices]
                listed = ", ".join([f"{isolated(t)} (✓)" if on else isolated(t) for on, t in marks])
                return f"{name}: {listed}"
            case InputKind.TOGGLE:
                on, _ = one.choices
                title = "" if on.title == one.name else f" {safe_line(on.title)}"
                return f"{'[x]' if one.value == on.value else '[ ]'} {name}{title}"
            case _:
                value = "" if one.secret else one.value or (one.placeholder if one.label else "")
                return f"{name}: {safe_line(value)}".rstrip()


def _without_gaps(lines: list[str]) -> list[str]:
    """Without empty lines at the ends and behind one another."""
    found: list[str] = []
    for one in lines:
        line = one.rstrip()
        if line or (found and found[-1]):
            found.append(line)
    while found and not found[-1]:
        found.pop()
    return found
