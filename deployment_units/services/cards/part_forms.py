"""The form of each part of a card: which properties a type has, and what may stand there.

From `card.schema.json`, one schema for each type without what it contains, so that a flaw is told
at the part that has it and not as an alternative that nothing fits. Names of styles and sizes are
taken in any case, as every renderer takes them, and written as Adaptive Cards 1.5 does. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema_rs

from control_plane.printable import printable_json, quoted
from deployment_units.services.cards.card import CardFlaw, CardFlawReason
from deployment_units.services.cards.pointers import below

_HOST_SPECIFIC = {
    "refresh": "a card is replaced by its application; send a new revision",
    "authentication": "whoever presses is known already; leave it out",
    "choices.data": "choices stand in the card; list them in `choices`",
}
_TEMPLATE_WORDS = ("$data", "$when", "$root", "$index")
_EXPRESSION = "${"
_FILL_IN = "fill the template in and send the card that it makes"
_MOST_WORDS = 240  # characters of the validator's own message


class PartForm:
    """What one type of part may say of itself."""

    def __init__(self, type_: str, schema: Mapping[str, Any]) -> None:
        self.type = type_
        definitions = schema["$defs"]
        self.properties: Mapping[str, Any] = definitions[type_]["properties"]
        self._spellings = {
            name: {str(one).casefold(): one for one in values}
            for name, one in self.properties.items()
            if (values := _enum(one, definitions))
        }
        self._validator = jsonschema_rs.Draft202012Validator(
            {"$defs": definitions, "$ref": f"#/$defs/{type_}"}, offline=True
        )

    def normal(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """With styles and sizes as Adaptive Cards spells them."""
        found = dict(part)
        for name, spellings in self._spellings.items():
            if isinstance(found.get(name), str):
                found[name] = spellings.get(found[name].casefold(), found[name])
        return found

    def flaws(self, pointer: str, part: Mapping[str, Any]) -> Iterator[CardFlaw]:
        """Everything that is wrong with a part in normal form, but for what it contains."""
        for name in part:
            if name not in self.properties:
                yield self._no_property(pointer, name)
            elif name in _HOST_SPECIFIC:
                yield CardFlaw(
                    pointer=below(pointer, name),
                    reason=CardFlawReason.HOST_SPECIFIC,
                    message=f"{quoted(name)} is for some hosts alone: {_HOST_SPECIFIC[name]}",
                )
        for error in self._validator.iter_errors(dict(part)):
            yield self._form_flaw(pointer, part, error)

    def _form_flaw(
        self, pointer: str, part: Mapping[str, Any], error: jsonschema_rs.ValidationError
    ) -> CardFlaw:
        path = error.instance_path
        reason, message = CardFlawReason.FORM, sentence(error.message)
        if len(path) == 1 and (spellings := self._spellings.get(str(path[0]))):
            value = part[str(path[0])]
            message = f"{quoted(value)} is none of {', '.join(spellings.values())}"
            if isinstance(value, str) and _EXPRESSION in value:
                reason = CardFlawReason.TEMPLATE
                message = f"{quoted(value)} belongs to a template; {_FILL_IN}"
        return CardFlaw(pointer=below(pointer, *path), reason=reason, message=message)

    def _no_property(self, pointer: str, name: str) -> CardFlaw:
        where = below(pointer, name)
        if name in _TEMPLATE_WORDS:
            return CardFlaw(
                pointer=where,
                reason=CardFlawReason.TEMPLATE,
                message=f"{quoted(name)} belongs to a template; {_FILL_IN}",
            )
        near = get_close_matches(name[:40], self.properties, n=1)
        remedy = f"did you mean {quoted(near[0])}?" if near else "leave it out"
        return CardFlaw(
            pointer=where,
            reason=CardFlawReason.FORM,
            message=f"{self.type} has no property {quoted(name)} in Adaptive Cards 1.5; {remedy}",
        )


@cache
def part_forms() -> Mapping[str, PartForm]:
    """By type: of elements, actions and what they are made of."""
    text = files("deployment_units.services.cards").joinpath("card.schema.json").read_bytes()
    schema = json.loads(text)
    return {name: PartForm(name, schema) for name in schema["$defs"] if name[0].isupper()}


def _enum(schema: Any, definitions: Mapping[str, Any]) -> list[Any]:
    """The values that a property is one of; empty: it is free."""
    if isinstance(schema, Mapping) and "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    values = schema.get("enum", []) if isinstance(schema, Mapping) else []
    return [one for one in values if isinstance(one, str)]


def sentence(message: str) -> str:
    """The validator's words in one line, without a value of many."""
    line = printable_json(" ".join(message.split()))
    half = _MOST_WORDS // 2
    return line if len(line) <= _MOST_WORDS else f"{line[:half]} … {line[-half:]}"
