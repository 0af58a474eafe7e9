"""What a viewer filled in, held against the inputs of the card: values as Adaptive Cards sends
them, or what is wrong with them. Pure.

Every value is a text: a number as JSON writes it, a date as YYYY-MM-DD, a time as HH:MM, a toggle
as its `valueOn` or `valueOff`, several choices with commas between. What was left out is what the
card has there. Patterns run in time linear in the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, time
from typing import Any

from control_plane.printable import quoted
from deployment_units.services.cards.card import (
    Card,
    CardAction,
    CardFlaw,
    CardFlawReason,
    CardInput,
    InputKind,
)
from deployment_units.services.cards.pointers import below
from deployment_units.services.cards.pressable import pattern_check

MAX_VALUE = 4_096  # characters of one value
MAX_VALUES_BYTES = 8 * 1024  # of all of them, in UTF-8
_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?\Z")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_TIME = re.compile(r"[0-9]{2}:[0-9]{2}\Z")


def check_inputs(
    card: Card, action: CardAction, values: Mapping[str, Any]
) -> dict[str, str] | list[CardFlaw]:
    """The value of each input that goes with an action, by id; or every flaw, each with a
    pointer into `values`."""
    if len(values) > len(action.inputs) or any(one not in action.inputs for one in values):
        unknown = next(str(one) for one in values if one not in action.inputs)
        return [_flaw(unknown, CardFlawReason.UNKNOWN_INPUT, _unknown(action, unknown))]
    found: dict[str, str] = {}
    flaws: list[CardFlaw] = []
    for one in card.inputs_of(action):
        value = _checked(one, values.get(one.id))
        if isinstance(value, CardFlaw):
            flaws.append(value)
        elif value:
            found[one.id] = value
    size = sum(len(one.encode(errors="replace")) for one in found.values())
    if not flaws and size > MAX_VALUES_BYTES:
        why = f"the values have {size:,} bytes together; at most {MAX_VALUES_BYTES:,}"
        flaws.append(CardFlaw(pointer="", reason=CardFlawReason.TOO_LARGE, message=why))
    return flaws or found


def _unknown(action: CardAction, name: str) -> str:
    asked = ", ".join(quoted(one) for one in action.inputs)
    said = f"{quoted(action.title)} takes {asked}" if asked else "this button takes none"
    return f"there is no input {quoted(name)} here; {said}"


def _checked(one: CardInput, given: Any) -> str | CardFlaw:
    """The value; empty: none."""
    value = one.value if given is None else _text(one, given)
    if value is None:
        return _wrong(one, f"{quoted(given)} is neither text nor a number")
    if len(value) > MAX_VALUE:
        return _wrong(one, f"it has {len(value):,} characters; at most {MAX_VALUE:,}")
    if not _encodable(value):
        return _wrong(one, "it is not UTF-8")
    if one.kind is not InputKind.TEXT:
        value = value.strip()
    if _is_toggle(one) and not value:
        value = one.choices[1].value
    if one.required and _is_nothing(one, value):
        message = one.error or f"{quoted(one.name)} has to be filled in"
        return _flaw(one.id, CardFlawReason.INPUT_MISSING, message)
    if not value:
        return value
    why = _why_wrong(one, value)
    return _wrong(one, why) if why else value


def _is_nothing(one: CardInput, value: str) -> bool:
    """Of a toggle that is required: that it is not on, as an agreement has to be."""
    return value != one.choices[0].value if one.kind is InputKind.TOGGLE else not value.strip()


def _text(one: CardInput, given: Any) -> str | None:
    """What was given as text; None: it is no value."""
    match given:
        case str():
            return given
        case bool():
            on, off = (choice.value for choice in one.choices) if _is_toggle(one) else ("", "")
            return (on if given else off) if _is_toggle(one) else None
        case int() | float():
            if isinstance(given, int):
                return str(given) if abs(given) < 10**30 else None
            if not math.isfinite(given):
                return None
            return str(int(given)) if given.is_integer() and abs(given) < 1e15 else str(given)
        case list() if one.several and all(isinstance(each, str) for each in given):
            return ",".join(given)
        case _:
            return None


def _is_toggle(one: CardInput) -> bool:
    return one.kind is InputKind.TOGGLE


def _why_wrong(one: CardInput, value: str) -> str:
    """Why a value will not do; empty: it will."""
    match one.kind:
        case InputKind.TEXT:
            return _why_no_text(one, value)
        case InputKind.NUMBER:
            return _why_no_number(one, value)
        case InputKind.DATE:
            return _why_no_moment(one, value, _date, "a date, as YYYY-MM-DD")
        case InputKind.TIME:
            return _why_no_moment(one, value, _time, "a time, as HH:MM")
        case InputKind.TOGGLE | InputKind.CHOICES:
            return _why_no_choice(one, value)


def _why_no_text(one: CardInput, value: str) -> str:
    if one.max_length is not None and len(value) > one.max_length:
        return f"it has {len(value):,} characters; at most {one.max_length:,}"
    if one.pattern and not pattern_check(one.pattern).is_valid(value):
        return one.error or f"it does not look as asked for ({quoted(one.pattern)})"
    return ""


def _why_no_number(one: CardInput, value: str) -> str:
    number = _number(value)
    if number is None:
        return f"{quoted(value)} is no number"
    least, most = _number(one.least), _number(one.most)
    if (least is not None and number < least) or (most is not None and number > most):
        return _outside(one)
    return ""


def _why_no_moment(one: CardInput, value: str, read: Any, what: str) -> str:
    moment = read(value)
    if moment is None:
        return f"{quoted(value)} is not {what}"
    least, most = read(one.least), read(one.most)
    if (least is not None and moment < least) or (most is not None and moment > most):
        return _outside(one)
    return ""


def _why_no_choice(one: CardInput, value: str) -> str:
    values = {each.value for each in one.choices}
    if value in values:
        return ""
    chosen = value.split(",") if one.several else [value]
    if wrong := [each for each in chosen if each not in values]:
        return f"{quoted(wrong[0])} is none of its choices"
    return "" if len(set(chosen)) == len(chosen) else "a choice is there twice"


def _outside(one: CardInput) -> str:
    bounds = [
        f"{one.least} or more" if one.least else "",
        f"{one.most} or less" if one.most else "",
    ]
    return one.error or f"it has to be {' and '.join([each for each in bounds if each])}"


def _number(text: str) -> float | None:
    number = float(text) if _NUMBER.match(text) else None
    return number if number is not None and math.isfinite(number) else None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.match(text) else None
    except ValueError:
        return None


def _time(text: str) -> time | None:
    try:
        return time.fromisoformat(text) if _TIME.match(text) else None
    except ValueError:
        return None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _wrong(one: CardInput, why: str) -> CardFlaw:
    return _flaw(one.id, CardFlawReason.INPUT_VALUE, f"{quoted(one.name)}: {why}")


def _flaw(name: str, reason: CardFlawReason, message: str) -> CardFlaw:
    return CardFlaw(pointer=below("", name), reason=reason, message=message)
