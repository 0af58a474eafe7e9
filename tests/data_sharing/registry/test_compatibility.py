"""What breaks a consumer: a table of changes, and the promise itself as a property."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from data_sharing.registry.compatibility import has_field, schema_breaks

OLD: dict[str, Any] = {
    "type": "object",
    "required": ["speed"],
    "properties": {
        "speed": {"type": "integer", "minimum": 0, "maximum": 300},
        "level": {"enum": ["free", "slow"]},
        "place": {
            "type": "object",
            "required": ["x"],
            "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
            "additionalProperties": False,
        },
        "lanes": {"type": "array", "items": {"$ref": "#/$defs/lane"}},
        "at": {"type": "string", "format": "date-time"},
        "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 9},
    },
    "additionalProperties": False,
    "$defs": {"lane": {"type": "object", "properties": {"n": {"type": "integer"}}}},
}


def changed(**properties: Any) -> dict[str, Any]:
    """OLD with other properties; None takes one away."""
    schema = copy.deepcopy(OLD)
    for name, one in properties.items():
        if one is None:
            del schema["properties"][name]
        else:
            schema["properties"][name] = one
    return schema


def lane(**properties: Any) -> dict[str, Any]:
    schema = copy.deepcopy(OLD)
    schema["$defs"]["lane"]["properties"] = properties
    return schema


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(OLD, id="nothing"),
        pytest.param(changed(new={"type": "string"}), id="a-new-field"),
        pytest.param({**OLD, "required": ["speed", "level"]}, id="a-field-newly-required"),
        pytest.param({**OLD, "title": "x", "description": "y"}, id="words"),
        pytest.param({k: v for k, v in OLD.items() if k != "additionalProperties"}, id="opened"),
        pytest.param(changed(speed={"type": "integer", "minimum": 1, "maximum": 30}), id="range"),
        pytest.param(changed(speed={"const": 5}), id="one-value-of-a-range"),
        pytest.param(changed(level={"const": "free"}), id="fewer-values"),
        pytest.param(changed(level={"enum": ["slow", "free"]}), id="values-in-another-order"),
        pytest.param(
            changed(place={"type": "object", "required": ["x", "y"], "properties": {
                "x": {"type": "integer"}, "y": {"type": "number"}, "z": {"type": "number"}}}),
            id="within-an-object",
        ),
        pytest.param(lane(n={"type": "integer"}, open={"type": "boolean"}), id="within-a-list"),
        pytest.param(
            changed(lanes={"type": "array", "maxItems": 9, "items": {"$ref": "#/$defs/lane"}}),
            id="a-shorter-list",
        ),
        pytest.param(
            changed(code={"type": "string", "pattern": "^[a-z]+$", "maxLength": 3}), id="shorter"
        ),
    ],
)  # fmt: skip
def test_what_does_not_break(new):
    assert schema_breaks(OLD, new) == []


@pytest.mark.parametrize(
    ("new", "fields"),
    [
        pytest.param(changed(level=None), {"/level"}, id="a-field-taken-away"),
        pytest.param(changed(speed=None, code=None), {"/speed", "/code"}, id="two-taken-away"),
        pytest.param({**OLD, "required": []}, {"/speed"}, id="not-required-any-more"),
        pytest.param(
            changed(speed={"type": "number", "minimum": 0, "maximum": 300}), {"/speed"},
            id="numbers-for-whole-ones",
        ),
        pytest.param(changed(speed={"type": "integer", "minimum": 0}), {"/speed"}, id="no-maximum"),
        pytest.param(
            changed(speed={"type": ["integer", "null"], "minimum": 0, "maximum": 300}), {"/speed"},
            id="or-null",
        ),
        pytest.param(changed(level={"enum": ["free", "slow", "jam"]}), {"/level"}, id="a-value"),
        pytest.param(changed(level={"type": "string"}), {"/level"}, id="any-text-for-values"),
        pytest.param(
            changed(place={"type": "object", "required": ["x"], "properties": {
                "x": {"type": "string"}, "y": {"type": "number"}}}),
            {"/place/x"}, id="within-an-object",
        ),
        pytest.param(
            changed(place={"type": "object", "properties": {
                "x": {"type": "number"}, "y": {"type": "number"}}}),
            {"/place/x"}, id="not-required-within-an-object",
        ),
        pytest.param(changed(place={"type": "array"}), {"/place"}, id="a-list-for-an-object"),
        pytest.param(lane(n={"type": "number"}), {"/lanes"}, id="within-a-list"),
        pytest.param(changed(at={"type": "string"}), {"/at"}, id="no-format"),
        pytest.param(
            changed(code={"type": "string", "pattern": "^[a-z]*$", "maxLength": 9}), {"/code"},
            id="another-pattern",
        ),
        pytest.param({"type": "object"}, {f"/{name}" for name in OLD["properties"]} , id="all"),
    ],
)  # fmt: skip
def test_what_breaks_names_the_field(new, fields):
    assert {one.field for one in schema_breaks(OLD, new)} == fields


@pytest.mark.parametrize(
    ("fields", "broken"),
    [
        (["/level"], []),
        (["/place/y"], []),
        (["/speed"], ["/speed"]),
        (["/place"], ["/place/x"]),
        (["/place/x"], ["/place/x"]),
        ([], ["/speed", "/place/x"]),
    ],
)
def test_only_what_the_consumer_reads_counts(fields, broken):
    new = changed(speed={"type": "number"}, place={"type": "object", "required": ["x"],
                  "properties": {"x": {"type": "string"}, "y": {"type": "number"}}})  # fmt: skip
    assert [one.field for one in schema_breaks(OLD, new, fields)] == broken


def test_fields_are_looked_for():
    assert has_field(OLD, "/place/x")
    assert has_field(OLD, "/lanes/0/n")  # a list: it may
    assert not has_field(OLD, "/place/z")
    assert not has_field(OLD, "/none")


def test_a_field_is_there_in_whatever_way_the_schema_allows_it():
    readings = {"type": "object", "additionalProperties": {"type": "number"}}
    schema = {
        "properties": {"readings": readings, "by/name": {"patternProperties": {"^n": {}}}},
        "allOf": [{"properties": {"rows": {"prefixItems": [{"properties": {"x": {}}}]}}}],
        "dependentSchemas": {"readings": {"properties": {"unit": {}}}},
        "unevaluatedProperties": False,
    }
    for field in ("/readings/a", "/by~1name/n1", "/rows/0/x", "/rows/1/anything", "/unit", ""):
        assert has_field(schema, field), field
    for field in ("/other", "/readings/a/b", "/rows/0/xx/~0"):
        assert has_field(schema, field) == field.startswith("/rows"), field
    assert not has_field({"properties": {"speed": {}}}, "/sped")  # looks misspelt
    assert has_field({"properties": {"speed": {}}}, "/note")


TEXT, NUMBER = {"type": "string"}, {"type": "number"}
NODE = {"$ref": "#/$defs/n"}


def node(kid: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A tree; `kid` stands for what is below a node of it."""
    one = {"type": "object", "properties": {"v": NUMBER, "kid": kid, **more}}
    return {"type": "object", "properties": {"tree": NODE}, "$defs": {"n": one}}


RECURSIVE = {
    "a-reference": lambda **more: node(NODE, **more),
    "or-null": lambda **more: node({"anyOf": [NODE, {"type": "null"}]}, **more),
    "either-or-null": lambda **more: node({"oneOf": [{"type": "null"}, NODE]}, **more),
    "a-list": lambda **more: node({"type": "array", "items": NODE}, **more),
    "lists-of-lists": lambda **more: node(
        {"type": "array", "items": {"type": "array", "items": NODE, "maxItems": 3}}, **more
    ),
    "the-whole": lambda **more: {"type": "object", "properties": {
        "v": NUMBER, "kid": {"$ref": "#"}, **more}},
    "an-anchor": lambda **more: {"$anchor": "n", "type": "object", "properties": {
        "v": NUMBER, "kid": {"$ref": "#n"}, **more}},
    "a-dynamic-one": lambda **more: {"$dynamicAnchor": "n", "type": "object", "properties": {
        "v": NUMBER, "kid": {"$dynamicRef": "#n"}, **more}},
    "of-draft-7": lambda **more: {"$ref": "#/definitions/n", "definitions": {"n": {
        "type": "object", "properties": {"v": NUMBER, "k": {"$ref": "#/definitions/n"}, **more}}}},
    "made-of-parts": lambda **more: {**node(NODE), "$defs": {
        "n": {"$ref": "#/$defs/base", "properties": {"kid": NODE}},
        "base": {"type": "object", "allOf": [{"properties": {"v": NUMBER, **more}}]}}},
}  # fmt: skip


@pytest.mark.parametrize("make", RECURSIVE.values(), ids=RECURSIVE)
def test_a_new_field_of_a_recursive_schema_breaks_nobody(make):
    assert schema_breaks(make(), make(note=TEXT)) == []
    assert schema_breaks(make(), make(v={"type": "integer"})) == []


@pytest.mark.parametrize("make", RECURSIVE.values(), ids=RECURSIVE)
def test_a_wider_field_of_a_recursive_schema_breaks(make):
    assert schema_breaks(make(), make(v={"type": ["number", "null"]}))


def test_within_a_recursive_schema_only_what_is_read_counts():
    old, new = RECURSIVE["a-reference"](), RECURSIVE["a-reference"](v=TEXT)
    assert schema_breaks(old, new, ["/tree/note"]) == []
    assert schema_breaks(old, new, ["/tree/kid/kid/v"])
    assert schema_breaks(old, new, ["/tree/kid/note", "/tree/kid/kid/kid/v"])


def test_a_field_that_is_used_in_two_places_is_named_at_both():
    def of(n: dict[str, Any]) -> dict[str, Any]:
        return {"type": "object", "properties": {"a": NODE, "b": NODE}, "$defs": {"n": n}}

    found = schema_breaks(of(NUMBER), of(TEXT))
    assert [one.field for one in found] == ["/a", "/b"]


def test_a_reference_to_a_field_that_changed_is_seen_where_only_the_other_field_is_read():
    def of(x: dict[str, Any]) -> dict[str, Any]:
        y = {"anyOf": [{"$ref": "#/properties/x"}, {"type": "null"}]}
        return {"type": "object", "properties": {"x": x, "y": y}}

    assert schema_breaks(of(NUMBER), of({"type": ["number", "string"]}), ["/y"])
    assert schema_breaks(of(NUMBER), of({"type": "integer"}), ["/y"]) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param({"oneOf": [NUMBER, {"type": "integer"}]},
                     {"oneOf": [NUMBER, {"type": "integer", "minimum": 0}]},
                     id="one-of-that-overlap"),
        pytest.param({"anyOf": [NUMBER, {"type": "null"}]}, {"anyOf": [NUMBER, TEXT]},
                     id="another"),
        pytest.param({"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": [NODE, {"type": "null"}]}}},
                     {"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": [NODE, TEXT]}}},
                     id="alternatives-of-themselves"),
        pytest.param({"allOf": [{"type": "object", "properties": {"a": NUMBER}}],
                      "additionalProperties": NUMBER},
                     {"allOf": [{"type": "object", "properties": {"a": NUMBER}}],
                      "additionalProperties": TEXT}, id="what-is-additional-to-parts"),
    ],
)  # fmt: skip
def test_alternatives_and_parts_that_break(old, new):
    assert schema_breaks(old, new)


def doubling(leaf: dict[str, Any]) -> dict[str, Any]:
    """Each level refers to the next one twice: 2 to the power of 30 ways to the leaf."""
    parts = {
        f"s{level}": {"anyOf": [
            {"type": "object", "properties": {name: {"$ref": f"#/$defs/s{level + 1}"}}}
            for name in "ab"]}
        for level in range(30)
    }  # fmt: skip
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/s0"}},
            "$defs": {**parts, "s30": leaf}}  # fmt: skip


def chained(leaf: dict[str, Any]) -> dict[str, Any]:
    parts = {f"s{one}": {"type": "object", "$ref": f"#/$defs/s{one + 1}"} for one in range(3_000)}
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/s0"}},
            "$defs": {**parts, "s3000": leaf}}  # fmt: skip


@pytest.mark.parametrize("make", [doubling, chained])
def test_schemas_that_are_too_much_work_are_given_up_on(make):
    assert schema_breaks(make({"type": "object", "properties": {"v": NUMBER}}),
                         make({"type": "object", "properties": {"v": TEXT}}))  # fmt: skip
