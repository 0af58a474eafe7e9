"""What a schema can cost is known before it checks anything, and bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_sharing.schema_cost import MOST_STEPS, schema_cost
from data_sharing.schemas import MOST_WORK, BadSchema, DataSchema


def fan(levels: int, word: str = "allOf") -> dict[str, Any]:
    """Each level applies the next one twice to the same value: 2**levels checks."""
    definitions: dict[str, Any] = {
        f"a{n}": {word: [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(levels)
    }
    definitions[f"a{levels}"] = {"type": "integer"}
    return {"$defs": definitions, "properties": {"x": {"$ref": "#/$defs/a0"}}}


def branching(**both: Any) -> dict[str, Any]:
    """Both alternatives look into the same field, which is of the same kind: 2**depth checks."""
    again = {"$ref": "#"}
    return {"oneOf": [{"properties": {"next": again}}, {"properties": {"next": again}, **both}]}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        pytest.param(fan(30), "schemas to one value", id="references-twice-to-the-next"),
        pytest.param(fan(30, "oneOf"), "schemas to one value", id="alternatives-twice"),
        pytest.param(branching(required=["t"]), "levels deep", id="alternatives-that-go-deeper"),
        pytest.param({"items": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}, "levels deep",
                     id="lists-of-lists"),
        pytest.param({"additionalProperties": {"allOf": [{"$ref": "#"}] * 2}}, "levels deep",
                     id="fields-of-any-name"),
        pytest.param({"patternProperties": {"^a": {"$ref": "#"}, "a$": {"$ref": "#"}}},
                     "levels deep", id="patterns-that-overlap"),
        pytest.param({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "to itself",
                     id="a-reference-to-itself"),
        pytest.param({"allOf": [{"$ref": "#"}]}, "to itself", id="a-whole-within-itself"),
        pytest.param({"items": {"enum": [{"a": n} for n in range(900)]}}, "steps",
                     id="many-objects-in-an-enum"),
        pytest.param({"$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(500)}
                      | {"a500": {}}, "$ref": "#/$defs/a0"}, "lead to each other",
                     id="a-long-chain"),
        pytest.param({"allOf": [{}] * 2_000}, "more than 1,000 schemas", id="many-combined"),
        pytest.param({"properties": {f"a{n}": {"pattern": "a"} for n in range(101)}},
                     "more than 100 patterns", id="many-patterns"),
        pytest.param({"patternProperties": {f"a{n}": {} for n in range(101)}},
                     "more than 100 patterns", id="many-patterns-of-names"),
        pytest.param({"pattern": "a" * 1_025}, "more than 1,024 characters", id="a-long-pattern"),
        pytest.param({"patternProperties": {"a" * 1_025: {}}}, "more than 1,024 characters",
                     id="a-long-pattern-of-names"),
        pytest.param({"pattern": "(a{300}){300}"}, "is not a", id="a-pattern-of-megabytes"),
        pytest.param({"enum": list(range(10_001))}, "more than 10,000 values", id="a-long-enum"),
        pytest.param({"properties": {f"a{n}": {"$ref": "#/$defs/b"} for n in range(1_001)},
                      "$defs": {"b": {}}}, "more than 1,000 references", id="many-references"),
        pytest.param({"properties": {f"a{n}": {"type": "integer"} for n in range(10_001)}},
                     "more than 20,000 objects", id="many-fields"),
    ],
)  # fmt: skip
def test_a_schema_that_can_cost_too_much_is_none(schema: Any, said: str) -> None:
    with pytest.raises(BadSchema) as found:
        DataSchema(schema)
    assert said in found.value.message


TREE = {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "value": {"type": "number"}}}


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(TREE, id="a-binary-tree"),
        pytest.param({"properties": {"children": {"items": {"$ref": "#"}}}}, id="any-tree"),
        pytest.param({"oneOf": [{"properties": {"and": {"items": {"$ref": "#"}}},
                                 "required": ["and"], "additionalProperties": False},
                                {"properties": {"or": {"items": {"$ref": "#"}}},
                                 "required": ["or"], "additionalProperties": False}]},
                     id="alternatives-told-apart-by-names"),
        pytest.param({"properties": {"a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}},
                     id="all-fields-of-one-kind"),
        pytest.param({"prefixItems": [{"$ref": "#"}], "items": {"$ref": "#"}}, id="all-items"),
        pytest.param({"properties": {f"p{n}": {"type": "object", "properties": {
            "value": {"type": "number", "minimum": 0}, "unit": {"enum": ["m", "s"]}}}
            for n in range(200)}}, id="many-fields-of-the-same-form"),
        pytest.param(fan(3), id="some-references"),
    ],
)  # fmt: skip
def test_schemas_as_people_write_them_are_taken_and_large_events_of_them_too(schema: Any) -> None:
    made = DataSchema(schema)
    event = {f"p{n}": {"value": n, "unit": "m"} for n in range(600)}
    content = json.dumps(event).encode()
    assert made.too_much_work(content) == ""


def test_how_many_values_an_event_may_have_follows_from_the_schema() -> None:
    made = DataSchema(
        {"properties": {"l": {"items": {"anyOf": [{"const": f"a{n}"} for n in range(99)]}}}}
    )
    assert made.cost.each > 99
    few, many = (json.dumps({"l": ["a1"] * count}).encode() for count in (1_000, 20_000))
    assert made.too_much_work(few) == ""
    assert f"at most {MOST_WORK:,}" in made.too_much_work(many)


@pytest.mark.parametrize(
    ("also", "walked"),
    [
        pytest.param([], False, id="texts-alone"),
        pytest.param([None, True], False, id="what-has-few-values"),
        pytest.param([1], True, id="a-number"),
        pytest.param([[1]], True, id="a-list"),
        pytest.param([{}], True, id="an-object"),
    ],
)
def test_an_enum_of_mixed_kinds_is_compared_value_by_value(also: list[Any], walked: bool) -> None:
    texts = [f"a{n}" for n in range(5_000)]
    cost = schema_cost({"items": {"enum": texts + also}})
    assert (cost.each > 5_000) is walked


def test_texts_that_many_patterns_look_at_are_bounded_too() -> None:
    made = DataSchema({"properties": {"t": {"allOf": [{"pattern": f"a{n}"} for n in range(90)]}}})
    assert made.too_much_work(b'{"t": "' + b"a" * 10_000 + b'"}') == ""
    assert f"at most {MOST_WORK:,}" in made.too_much_work(b'{"t": "' + b"a" * 60_000 + b'"}')


@given(st.integers(1, 10), st.sampled_from(["allOf", "anyOf", "oneOf"]))
def test_the_cost_of_references_is_what_they_come_to(levels: int, word: str) -> None:
    """Of the last schema alone, 2**levels are applied."""
    assert 2**levels <= schema_cost(fan(levels, word)).each <= MOST_STEPS * (2**levels)


def test_an_event_that_costs_too_much_is_counted_without_reading_it() -> None:
    """Commas in texts count as well, so that nothing has to be parsed: more, never less."""
    made = DataSchema(
        {"properties": {"l": {"items": {"anyOf": [{"const": n} for n in range(99)]}}}}
    )
    assert made.too_much_work(b'{"l": ["' + b"," * 20_000 + b'"]}') != ""
