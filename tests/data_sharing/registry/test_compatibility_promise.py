"""The promise of compatibility, held against made-up schemas and values: what is said not to
break gives a consumer nothing that the old schema forbade."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.registry.compatibility import opened, schema_breaks
from data_sharing.schemas import DataSchema
from tests.support.examples import examples

numbers = st.integers(-3, 3)

NODE = {"$ref": "#/$defs/n"}


@st.composite
def schemas(draw, depth: int = 2) -> dict[str, Any]:
    kind = draw(st.sampled_from(["integer", "number", "string", "enum", "null"]
                                + ["object", "object", "array"] * (depth > 0)))  # fmt: skip
    if kind == "enum":
        return {"enum": draw(st.lists(st.sampled_from([0, 1, "a", "b", None]), min_size=1))}
    schema: dict[str, Any] = {"type": kind}
    if kind in ("integer", "number"):
        for word in ("minimum", "maximum", "exclusiveMinimum"):
            if draw(st.booleans()):
                schema[word] = draw(numbers)
    elif kind == "string":
        for word in ("minLength", "maxLength"):
            if draw(st.booleans()):
                schema[word] = draw(st.integers(0, 3))
    elif kind == "array":
        if draw(st.booleans()):
            schema["items"] = draw(schemas(depth=depth - 1))
        if draw(st.booleans()):
            schema["maxItems"] = draw(st.integers(0, 2))
    elif kind == "object":
        return draw(objects(depth=depth))
    if depth >= 0 and draw(st.integers(0, 9)) == 0:
        return {"anyOf": [schema, draw(schemas(depth=-1))]}
    return schema


@st.composite
def objects(draw, depth: int = 2) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from("abc"), unique=True))
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: draw(schemas(depth=depth - 1)) for name in names},
        "required": draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=2)),
    }
    rest = draw(st.sampled_from(["open", "open", "closed", "typed"]))
    if rest == "closed":
        schema["additionalProperties"] = False
    elif rest == "typed":
        schema["additionalProperties"] = draw(schemas(depth=0))
    return schema


@st.composite
def variations(draw, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema near another, so that many changes are harmless."""
    new = copy.deepcopy(schema)
    if draw(st.booleans()):
        new["required"] = draw(st.lists(st.sampled_from("abcd"), unique=True))
    for name in draw(st.lists(st.sampled_from("abc"), unique=True, max_size=2)):
        new.setdefault("properties", {})[name] = draw(schemas(depth=1))
    if draw(st.booleans()):
        new.pop("additionalProperties", None)
    return new


plain = st.none() | st.integers(-4, 4) | st.sampled_from(["", "a", "b", "abcd", 0.5, 1.0])
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
    ),
    max_leaves=8,
)


def instances(schema: Any) -> st.SearchStrategy[Any]:
    """Values that often conform to a schema."""
    if not isinstance(schema, dict):
        return values
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | plain
    if schema.get("type") == "object":
        known = {name: instances(one) for name, one in schema.get("properties", {}).items()}
        wanted = {name: known.get(name, values) for name in schema.get("required", ())}
        others = {name: one for name, one in known.items() if name not in wanted}
        others |= {name: plain for name in "abcd" if name not in known and name not in wanted}
        return st.fixed_dictionaries(wanted, optional=others)
    if schema.get("type") == "array":
        return st.lists(instances(schema.get("items", True)), max_size=3)
    return plain | values


@examples(80, 1_000, st.data())
def test_what_does_not_break_gives_nothing_the_old_schema_forbade(data):
    old = data.draw(objects())
    new = data.draw(variations(old) | objects())
    if schema_breaks(old, new):
        return
    before, after = DataSchema(opened(old)), DataSchema(new)
    for value in data.draw(st.lists(instances(new) | instances(old), min_size=5, max_size=20)):
        if after.accepts(value):
            assert before.accepts(value), (old, new, value)


@settings(max_examples=100, deadline=None)
@given(objects())
def test_a_schema_never_breaks_itself(schema):
    assert schema_breaks(schema, copy.deepcopy(schema)) == []


@st.composite
def trees(draw) -> dict[str, Any]:
    below = [NODE, {"anyOf": [NODE, {"type": "null"}]}, {"oneOf": [NODE, {"type": "integer"}]},
             {"type": "array", "items": NODE}, {"allOf": [NODE, {"type": "object"}]}]  # fmt: skip
    one = draw(objects(depth=1))
    one["properties"] = {**one["properties"], "a": draw(st.sampled_from(below))}
    return one


def planted(one: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": NODE}, "$defs": {"n": one}}


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_promise_holds_of_recursive_schemas(data):
    old = data.draw(trees())
    new = data.draw(variations(old) | trees())
    if schema_breaks(planted(old), planted(new)):
        return
    before, after = DataSchema(opened(planted(old))), DataSchema(planted(new))
    for value in data.draw(st.lists(instances(new), min_size=5, max_size=10)):
        for whole in ({"a": value}, {"a": {"a": value}}, {"a": {"a": [value]}}):
            if after.accepts(whole):
                assert before.accepts(whole), (old, new, whole)
