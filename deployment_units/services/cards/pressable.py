"""What can be pressed and filled in on a card, gathered while the card is read.

Every action of a card has an id, its own or one by its place, and knows which inputs go with it:
those of the card that it is in and of the cards around that one, as Adaptive Cards lays down. Ids
are used once, or nobody could say what was pressed. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jsonschema_rs

from control_plane.printable import printable, quoted
from deployment_units.services.cards.card import (
    MAX_PATTERN,
    MAX_PATTERNS,
    Card,
    CardAction,
    CardFlaw,
    CardFlawReason,
    CardInput,
    Choice,
    InputKind,
    Once,
)
from deployment_units.services.cards.pointers import below

PATTERN_BYTES = 256 * 1024  # of a compiled one
_UNTITLED = "Submit"
_NO_IDS = frozenset({"__proto__"})  # what renderers in browsers cannot keep values under
_ON, _OFF = "true", "false"  # what a toggle sends where it does not say


@dataclass(slots=True)
class Scope:
    """The inputs of one card, and the card around it."""

    around: Scope | None = None
    inputs: list[str] = field(default_factory=list)

    def reach(self) -> tuple[str, ...]:
        """The ids of all inputs that an action here sends: outermost first."""
        outer = self.around.reach() if self.around else ()
        return (*outer, *self.inputs)


class _Found(NamedTuple):
    part: dict[str, Any]
    scope: Scope


class Pressables:
    """Of one card that is being read."""

    def __init__(self) -> None:
        self._actions: list[_Found] = []
        self._inputs: list[tuple[CardInput, Scope]] = []

    def mark(self) -> tuple[int, int]:
        """To which `forget` goes back."""
        return len(self._actions), len(self._inputs)

    def forget(self, mark: tuple[int, int]) -> None:
        """What was found since, because it is not shown after all."""
        actions, inputs = mark
        del self._actions[actions:]
        for one, scope in self._inputs[inputs:]:
            scope.inputs.remove(one.id)
        del self._inputs[inputs:]

    def add_action(self, pointer: str, part: dict[str, Any], scope: Scope) -> Iterator[CardFlaw]:
        """An action that sends something. Yields what is wrong with it."""
        given = part.get("id")
        if given is not None:
            yield from _id_flaws(pointer, given)
            if any(one.part.get("id") == given for one in self._actions):
                yield _taken(pointer, given, "action")
        self._actions.append(_Found(part, scope))

    def add_input(self, pointer: str, part: Mapping[str, Any], scope: Scope) -> Iterator[CardFlaw]:
        """An input. Yields what is wrong with it."""
        found = read_input(part)
        yield from _id_flaws(pointer, found.id)
        if any(one.id == found.id for one, _ in self._inputs):
            yield _taken(pointer, found.id, "input")
            return
        if found.pattern and (why := self._pattern_flaw(found.pattern)):
            where = below(pointer, "regex")
            yield CardFlaw(pointer=where, reason=CardFlawReason.PATTERN, message=why)
        self._inputs.append((found, scope))
        scope.inputs.append(found.id)

    def card(self, document: Mapping[str, Any]) -> Card:
        """The card, once all of it was read; the actions in its document have ids from here on."""
        taken = {one.part["id"] for one in self._actions if "id" in one.part}
        for number, one in enumerate(self._actions, 1):
            if "id" not in one.part:
                one.part["id"] = _free_id(f"action-{number}", taken)
                taken.add(one.part["id"])
        return Card(
            document=document,
            actions=tuple([_action(one) for one in self._actions]),
            inputs={one.id: one for one, _ in self._inputs},
        )

    def _pattern_flaw(self, pattern: str) -> str:
        if len(pattern) > MAX_PATTERN:
            return f"it has {len(pattern):,} characters; a pattern has at most {MAX_PATTERN}"
        if sum(1 for one, _ in self._inputs if one.pattern) >= MAX_PATTERNS:
            return f"a card has at most {MAX_PATTERNS} patterns; leave some out"
        try:
            pattern_check(pattern)
        except ValueError:
            return (
                f"{quoted(pattern)} is no pattern that can be tried in time linear to the text; "
                "do without look-around, back-references and very large counts"
            )
        return ""


def pattern_check(pattern: str) -> jsonschema_rs.Draft202012Validator:
    """Whose `is_valid` says whether a text has the pattern in it; linear in the text. Raises
    ValueError where the pattern is none."""
    return jsonschema_rs.Draft202012Validator(
        {"pattern": pattern},
        offline=True,
        pattern_options=jsonschema_rs.RegexOptions(size_limit=PATTERN_BYTES),
    )


def read_input(part: Mapping[str, Any]) -> CardInput:
    """An input from its part of a card, whose form is right."""
    kind = InputKind(part["type"])
    length = part.get("maxLength")
    choices = [Choice(title=one["title"], value=one["value"]) for one in part.get("choices", ())]
    value = part.get("value", "")
    if kind is InputKind.TOGGLE:
        on, off = part.get("valueOn", _ON), part.get("valueOff", _OFF)
        choices = [Choice(title=part["title"], value=on), Choice(title="", value=off)]
        value = on if value == on else off
    if kind is InputKind.CHOICES:
        value = _chosen(value, {one.value for one in choices}, part.get("isMultiSelect", False))
    return CardInput(
        id=part["id"],
        kind=kind,
        label=part.get("label") or (part.get("title") or ""),
        value=_text(value),
        required=part.get("isRequired", False),
        error=part.get("errorMessage", ""),
        placeholder=part.get("placeholder", ""),
        multiline=part.get("isMultiline", False),
        secret=part.get("style") == "password",
        max_length=int(length) if isinstance(length, int | float) and length >= 1 else None,
        pattern=part.get("regex", ""),
        least=_text(part.get("min", "")),
        most=_text(part.get("max", "")),
        choices=tuple(choices),
        several=part.get("isMultiSelect", False),
    )


def _action(found: _Found) -> CardAction:
    part = found.part
    return CardAction(
        id=part["id"],
        title=_shown(part.get("title")) or _shown(part.get("tooltip")) or _UNTITLED,
        once=Once(part.get("once", Once.VIEWER)),
        enabled=part.get("isEnabled", True),
        verb=part.get("verb", ""),
        data=part.get("data"),
        inputs=() if part.get("associatedInputs") == "none" else found.scope.reach(),
    )


def _shown(title: str | None) -> str:
    """A title; empty: nothing of it could be seen."""
    seen = title and any(one.isprintable() and not one.isspace() for one in title)
    return title if title and seen else ""


def _chosen(value: str, values: set[str], several: bool) -> str:
    """What of a set is chosen at first: what is no choice is not."""
    if value in values or not several:
        return value if value in values else ""
    return ",".join([one for one in value.split(",") if one in values])


def _text(value: Any) -> str:
    """A value as Adaptive Cards sends it: numbers as JSON writes them, whole ones without a
    point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _id_flaws(pointer: str, given: str) -> Iterator[CardFlaw]:
    visible = given and printable(given) == given and given == given.strip()
    if not visible or given in _NO_IDS:
        yield CardFlaw(
            pointer=below(pointer, "id"),
            reason=CardFlawReason.FORM,
            message=f"{quoted(given)} is no id; take letters, digits and what can be seen",
        )


def _taken(pointer: str, given: str, what: str) -> CardFlaw:
    return CardFlaw(
        pointer=below(pointer, "id"),
        reason=CardFlawReason.ID_TAKEN,
        message=f"another {what} of this card has the id {quoted(given)}; give each its own",
    )


def _free_id(wanted: str, taken: set[str]) -> str:
    found, number = wanted, 2
    while found in taken:
        found, number = f"{wanted}-{number}", number + 1
    return found
