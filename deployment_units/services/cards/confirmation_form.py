"""The page behind a button in a mail: what is about to be pressed, what it asks for, and the
button that really presses; and what comes back when it does.

Opening the page changes nothing: a mail scanner that follows every link finds a form, and posts
none. The form is of elements alone, as all HTML here, and goes back to where it came from. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from deployment_units.services.cards.card import (
    Card,
    CardAction,
    CardFlaw,
    CardInput,
    InputKind,
)
from deployment_units.services.cards.inputs import MAX_VALUE
from deployment_units.services.cards.pointers import below
from deployment_units.services.cards.safe_text import safe_line

_PREFIX = "input."  # of the names of fields, so that no id is taken for another field
_TYPES = {
    InputKind.TEXT: "text",
    InputKind.NUMBER: "number",
    InputKind.DATE: "date",
    InputKind.TIME: "time",
}


def to_confirmation(
    card: Card,
    action: CardAction,
    *,
    address: str,
    values: Mapping[str, str] | None = None,
    flaws: Sequence[CardFlaw] = (),
) -> str:
    """A form in HTML. address: to which it is posted, that of the page itself. values: what was
    filled in before, else the card's own. flaws: what `check_inputs` found wrong with them."""
    wrong = {one.pointer: one.message for one in flaws}
    rows = [
        _row(one, one.value if values is None else values.get(one.id, ""), wrong)
        for one in card.inputs_of(action)
    ]
    whole = f'<p class="card-flaw" dir="auto">{_plain(wrong[""])}</p>\n' if "" in wrong else ""
    button = f'<p><button type="submit">{_plain(action.title)}</button></p>\n'
    return (
        f'<form class="card-confirmation" method="post" action="{escape(address)}" '
        f'accept-charset="utf-8" autocomplete="off">\n{whole}{"".join(rows)}{button}</form>\n'
    )


def filled_in(
    card: Card, action: CardAction, fields: Mapping[str, Sequence[str]]
) -> dict[str, str | list[str]]:
    """What a form said, by the inputs' ids, for `check_inputs`: a box that is not ticked is off,
    and nothing chosen is nothing. fields: of the form, each with all its values; others are
    left out."""
    found: dict[str, str | list[str]] = {}
    for one in card.inputs_of(action):
        given = list(fields.get(_PREFIX + one.id, ()))
        if one.kind is InputKind.TOGGLE:
            on, off = one.choices
            found[one.id] = on.value if on.value in given else off.value
        elif one.kind is InputKind.CHOICES and one.several:
            found[one.id] = given
        else:
            # Browsers end the lines of a text with CR LF (HTML, 4.10.21.4).
            found[one.id] = given[0].replace("\r\n", "\n") if given else ""
    return found


def _row(one: CardInput, value: str, wrong: Mapping[str, str]) -> str:
    said = wrong.get(below("", one.id))
    flaw = f'<p class="card-flaw" dir="auto">{_plain(said)}</p>\n' if said else ""
    label = f"<bdi>{_plain(one.name)}</bdi>{' *' if one.required else ''}"
    match one.kind:
        case InputKind.CHOICES:
            return f"{_choices(one, value, label)}{flaw}"
        case InputKind.TOGGLE:
            on, _ = one.choices
            box = f'<input type="checkbox"{_attributes(one, on.value, value == on.value)}>'
            title = f" <bdi>{_plain(on.title)}</bdi>" if on.title != one.name else ""
            return f"<p><label>{box} {label}{title}</label></p>\n{flaw}"
        case _:
            return f"<p><label>{label} {_line(one, value)}</label></p>\n{flaw}"


def _choices(one: CardInput, value: str, label: str) -> str:
    kind = "checkbox" if one.several else "radio"
    chosen = value.split(",") if one.several else [value]
    rows = [
        f'<p><label><input type="{kind}"{_attributes(one, each.value, each.value in chosen)}> '
        f"<bdi>{_plain(each.title)}</bdi></label></p>\n"
        for each in one.choices
    ]
    return f"<fieldset><legend>{label}</legend>\n{''.join(rows)}</fieldset>\n"


def _attributes(one: CardInput, value: str, checked: bool) -> str:
    named = f' name="{escape(_PREFIX + one.id)}" value="{escape(value)}"'
    return named + (" checked" if checked else "")


def _line(one: CardInput, value: str) -> str:
    name = f' name="{escape(_PREFIX + one.id)}" dir="auto"'
    hint = f' placeholder="{_plain(one.placeholder)}"' if one.placeholder else ""
    needed = " required" if one.required else ""
    if one.kind is InputKind.TEXT:
        hint += f' maxlength="{min(one.max_length or MAX_VALUE, MAX_VALUE)}"'
        if one.multiline and not one.secret:
            # A line end behind the tag is no part of the text (HTML, 13.1.2.5).
            return f"<textarea{name}{hint}{needed}>\n{escape(value)}</textarea>"
    ends = (("min", one.least), ("max", one.most))
    bounds = "".join([f' {word}="{escape(end)}"' for word, end in ends if end])
    step = ' step="any"' if one.kind is InputKind.NUMBER else ""
    kind = "password" if one.secret else _TYPES[one.kind]
    shown = "" if one.secret else f' value="{escape(value)}"'
    return f'<input type="{kind}"{name}{shown}{hint}{bounds}{step}{needed}>'


def _plain(text: str) -> str:
    return escape(safe_line(text))
