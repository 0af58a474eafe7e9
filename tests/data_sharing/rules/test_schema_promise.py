"""What rules know of a schema against its validator, as a property: what a value that the
validator accepts holds is never said to be impossible, nor of another type."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from data_sharing.rules.value_types import ValueTypes, json_type, values_of
from data_sharing.schemas import BadSchema, DataSchema

TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
NAMES = ("a", "b", "ab", "x")
REFERENCES = ("#/$defs/p", "#/$defs/q", "#", "#here", "#/$defs/q/properties/a")
LEAVES = (
    True, True, False, TEXT, NUMBER, WHOLE, {"type": ["object", "null"]}, {"type": "array"},
    {"const": 1.0}, {"enum": ["a", None, {"a": 1}]}, {"minimum": 1}, {"not": {}},
    {"type": "object"}, {"required": ["a"]}, {"maxProperties": 1}, {"maxItems": 1},
)  # fmt: skip
OF_NAMES = (True, {"pattern": "^[a-b]"}, {"enum": ["a", "x"]}, {"maxLength": 1})
ONE = ("additionalProperties", "unevaluatedProperties", "not", "if", "then", "else", "items",
       "contains", "unevaluatedItems")  # fmt: skip
NAMED = ("properties", "properties", "dependentSchemas", "dependencies")
OTHER = ("type", "patternProperties", "propertyNames", "required", "$ref", "$dynamicRef")
WORDS = (*ONE, *NAMED, "allOf", "anyOf", "oneOf", "prefixItems", *OTHER)


class Maker:
    """Schemas of all words, and values, by chance."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def schema(self, levels: int) -> Any:
        if levels == 0 or self.chance.random() < 0.3:
            return self.chance.choice(LEAVES)
        return self.mapping(levels)

    def mapping(self, levels: int) -> dict[str, Any]:
        chosen = self.chance.sample(WORDS, self.chance.randint(1, 4))
        return {word: self.word(word, levels - 1) for word in chosen}

    def word(self, word: str, levels: int) -> Any:
        choice = self.chance.choice
        if word in ONE:
            return self.schema(levels)
        if word in NAMED:
            return {choice(NAMES): self.schema(levels) for _ in range(choice((1, 2, 3)))}
        if word == "type":
            return choice(("object", "array", ["object", "string"], ["array", "object"]))
        if word == "patternProperties":
            return {choice(("^a", "b$", "x|b", "^[ab]+$")): self.schema(levels) for _ in "12"}
        if word == "propertyNames":
            return choice(OF_NAMES)
        if word == "required":
            return self.chance.sample(NAMES, choice((1, 2)))
        if word == "$ref":
            return choice(REFERENCES)
        if word == "$dynamicRef":
            return choice(("#node", "#/$defs/p"))
        return [self.schema(levels) for _ in range(choice((1, 2, 3)))]

    def document(self) -> dict[str, Any]:
        found = self.mapping(3)
        parts = {
            "p": self.schema(2),
            "q": {**self.mapping(2), "properties": {"a": self.schema(2)}},
            "here": {"$anchor": "here", **self.mapping(2)},
            "node": {"$dynamicAnchor": "node", **self.mapping(2)},
        }
        if self.chance.random() < 0.3:
            parts["other"] = {"$id": "other", "$dynamicAnchor": "node", **self.mapping(2),
                              "$defs": {"p": TEXT, "q": WHOLE}}  # fmt: skip
            found.setdefault("$ref", "#/$defs/other")
        return {**found, "$defs": parts}

    def value(self, levels: int = 3) -> Any:
        kind = self.chance.random()
        if levels and kind < 0.5:
            names = self.chance.sample(NAMES, self.chance.randint(0, 3))
            return {name: self.value(levels - 1) for name in names}
        if levels and kind < 0.7:
            return [self.value(levels - 1) for _ in range(self.chance.randint(0, 3))]
        return self.chance.choice((None, True, 0, 1, 1.0, 1.5, "a", ""))


def places(value: Any, found: ValueTypes) -> Iterator[tuple[Any, ValueTypes]]:
    """Every value in a value, with what is known of its place."""
    yield value, found
    if isinstance(value, dict):
        for name, one in value.items():
            yield from places(one, found.property(name))
    if isinstance(value, list):
        for number, one in enumerate(value):
            yield from places(one, found.item(number))
            yield one, found.item()


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))]
)
def test_what_a_valid_value_holds_is_known_to_be_possible(seed):
    make, held, impossible = Maker(seed), 0, 0
    for _ in range(300):
        document = make.document()
        try:
            validator = DataSchema(document)
        except BadSchema:
            continue
        found = values_of(document)
        for value in (make.value() for _ in range(40)):
            if not validator.accepts(value):
                impossible += isinstance(value, dict) and any(
                    not found.property(name).possible for name in value
                )
                continue
            for one, place in places(value, found):
                held += 1
                assert json_type(one) in place.types, (document, value, one, place.types)
            if isinstance(value, dict):
                assert found.required <= set(value)
    assert held > 3_000
    assert impossible > 300  # both answers come often
