"""What an answer in words presses: a number or the title of a button, and behind it what the
button asks for. Pure.

A text message and a reply by mail have no buttons, so `to_text` numbers them. An answer that is
no more than a number, or a title as a whole, presses; words that only begin with a number are
words. What is pressed is judged like any other press.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.printable import number_of, quoted
from deployment_units.services.cards.card import Card, CardAction, CardInput, InputKind
from deployment_units.services.cards.outline import pressed_in_order

MAX_ANSWER = 8 * 1024  # characters; longer ones are no answers
_NUMBERED = re.compile(r"\s*[\[(#]?\s*(\d{1,4})\s*[\])]?[.):,]?(?:\s+(.*)|\s*)\Z", re.S)
_NAMED = re.compile(r"\s*([^:=]{1,80}?)\s*[:=]\s*(.*?)\s*\Z", re.S)
_PARTS = re.compile(r"[\n;]")
_YES = frozenset({"yes", "y", "on", "true", "x"})
_NO = frozenset({"no", "n", "off", "false"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer that presses a button."""

    action: CardAction
    inputs: Mapping[str, str]  # by id; `check_inputs` has not seen them


@dataclass(frozen=True, slots=True, kw_only=True)
class Unclear:
    """An answer that means a button, and it cannot be told which or with what."""

    message: str  # one sentence to send back


def read_answer(card: Card, text: str) -> Answered | Unclear | None:
    """None: it is no answer to the card, but a message like any other."""
    actions = pressed_in_order(card)
    if not actions or len(text) > MAX_ANSWER:
        return None
    if found := _NUMBERED.match(text):
        return _numbered(card, actions, int(found[1]), found[2] or "")
    titled = [one for one in actions if _folded(one.title) == _folded(text)]
    if len(titled) > 1:
        which = ", ".join(str(actions.index(one) + 1) for one in titled)
        return Unclear(
            message=f"several buttons are called {quoted(titled[0].title)}; answer one of {which}"
        )
    return Answered(action=titled[0], inputs={}) if titled else None


def _numbered(
    card: Card, actions: tuple[CardAction, ...], number: int, rest: str
) -> Answered | Unclear | None:
    if not 0 < number <= len(actions):
        if rest.strip():
            return None
        has = number_of(len(actions), "button")
        return Unclear(message=f"there is no button {number}; the card has {has}")
    action = actions[number - 1]
    if not rest.strip():
        return Answered(action=action, inputs={})
    if not action.inputs:  # its title may stand there, as it does in the card
        same = _folded(rest) == _folded(action.title)
        return Answered(action=action, inputs={}) if same else None
    values = _values(card.inputs_of(action), rest)
    return values if isinstance(values, Unclear) else Answered(action=action, inputs=values)


def _values(asked: tuple[CardInput, ...], rest: str) -> dict[str, str] | Unclear:
    """What stands behind a number: `name: value` for each, parted by lines or semicolons; of one
    input, the value alone will do."""
    names = {_folded(name): one for one in reversed(asked) for name in (one.id, one.name)}
    found: dict[str, str] = {}
    if len(asked) == 1:
        named = _NAMED.match(rest)
        value = named[2] if named and _folded(named[1]) in names else rest.strip()
        return {asked[0].id: _value(asked[0], value)}
    for part in _PARTS.split(rest):
        if not part.strip():
            continue
        named = _NAMED.match(part)
        one = names.get(_folded(named[1])) if named else None
        if named is None or one is None:
            wanted = ", ".join(quoted(each.name) for each in asked)
            return Unclear(
                message=f"{quoted(part.strip())} names nothing that is asked for; "
                f"write name: value, a line each, of {wanted}"
            )
        found[one.id] = _value(one, named[2])
    return found


def _value(one: CardInput, said: str) -> str:
    """As a card sends it: a choice by its title, a toggle by yes and no."""
    match one.kind:
        case InputKind.CHOICES:
            whole = _choice(one, said)
            if whole is not None or not one.several:
                return said if whole is None else whole
            pieces = [each.strip() for each in said.split(",")]
            return ",".join(each if (v := _choice(one, each)) is None else v for each in pieces)
        case InputKind.TOGGLE:
            on, off = one.choices
            word = _folded(said)
            if word in _YES or word == _folded(on.title):
                return on.value
            return off.value if word in _NO else said
        case _:
            return said


def _choice(one: CardInput, said: str) -> str | None:
    return next((each.value for each in one.choices if each.value == said), None) or next(
        (each.value for each in one.choices if _folded(each.title) == _folded(said)), None
    )


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".!")
