"""Schemas: what is none is named, nothing is fetched, and no value upsets the checking."""

from __future__ import annotations

import pytest

from data_sharing.schemas import BadSchema, DataSchema, pointer, steps_of


def nested(depth: int) -> dict:
    schema: dict = {}
    for _ in range(depth):
        schema = {"properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        pytest.param({"type": "strin"}, "/type", id="a-type-that-is-none"),
        pytest.param({"properties": {"a/b": {"minimum": "x"}}}, "/properties/a~1b/minimum",
                     id="a-word-of-the-wrong-kind"),
        pytest.param({"$ref": "http://127.0.0.1:1/x"}, "/$ref", id="a-reference-elsewhere"),
        pytest.param({"allOf": [{"$ref": "other.json"}]}, "/allOf/0/$ref", id="a-relative-file"),
        pytest.param({"$dynamicRef": "https://x/y"}, "/$dynamicRef", id="a-dynamic-one"),
        pytest.param({"$ref": "#/$defs/none"}, "", id="a-reference-to-nothing"),
        pytest.param({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema",
                     id="another-dialect"),
        pytest.param({"pattern": "(?=a)b"}, "/pattern", id="a-pattern-that-looks-ahead"),
        pytest.param({"pattern": "(a{1000}){1000}"}, "/pattern", id="a-pattern-of-gigabytes"),
        pytest.param(nested(40), "/properties/a" * 16 + "/properties", id="nested-too-deep"),
    ],
)  # fmt: skip
def test_what_is_no_schema_is_named(schema, where):
    with pytest.raises(BadSchema) as refused:
        DataSchema(schema)
    assert refused.value.pointer == where
    assert refused.value.message


def test_a_schema_may_refer_to_itself():
    tree = DataSchema(
        {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}
    )
    assert tree.accepts({"children": [{"children": []}]})
    assert not tree.accepts({"children": [{"children": 5}]})


def test_a_breach_says_where_and_what_in_one_line():
    schema = DataSchema(
        {"type": "object", "properties": {"a/b": {"type": "array", "items": {"type": "integer"}}}}
    )
    breach = schema.breach({"a/b": [1, "x" * 10_000]})
    assert breach is not None
    assert breach.pointer == "/a~1b/1"
    assert len(breach.message) < 300
    assert schema.breach({"a/b": [1]}) is None


def test_formats_are_checked():
    schema = DataSchema({"type": "string", "format": "date-time"})
    assert schema.accepts("2026-11-25T07:00:00Z")
    assert not schema.accepts("yesterday")


@pytest.mark.parametrize("steps", [(), ("a",), ("a/b", "~", ""), ("0", "é")])
def test_pointers_come_back(steps):
    assert steps_of(pointer(steps)) == steps


def test_what_is_no_pointer_is_refused():
    with pytest.raises(ValueError, match="begin with /"):
        steps_of("a/b")


def test_values_that_were_not_measured_are_checked_within_bounds():
    schema = DataSchema({"items": {"anyOf": [{"const": n} for n in range(99)]}})
    assert schema.breach_within_bounds([98] * 90) is None
    too_much = schema.breach_within_bounds([98] * 20_000)
    assert too_much is not None
    assert "Send less at once" in too_much.message
    assert schema.breach_within_bounds([99]) is not None
    assert "JSON cannot say" in schema.breach_within_bounds([object()]).message
