"""The types that a schema lets values have: never narrower than what the validator accepts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data_sharing.rules.value_types import ALL, MOST_PARTS, json_type, values_of
from data_sharing.schemas import BadSchema, DataSchema

TEXT, WHOLE, NUMBER = (
    frozenset(("string",)),
    frozenset(("integer",)),
    frozenset(("integer", "number")),
)
NULL = frozenset(("null",))


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        pytest.param({}, ALL, id="nothing-said"),
        pytest.param({"type": "integer"}, WHOLE, id="integer"),
        pytest.param({"type": "number"}, NUMBER, id="number"),
        pytest.param({"type": ["integer", "null"]}, WHOLE | NULL, id="integer-or-null"),
        pytest.param({"type": ["integer", "number"]}, NUMBER, id="integer-or-number"),
        pytest.param({"type": ["integer", "string"]}, WHOLE | TEXT, id="integer-or-text"),
        pytest.param({"enum": [1, 2.0, "x"]}, WHOLE | TEXT, id="an-enum-of-whole-numbers"),
        pytest.param({"enum": [1, 2.5]}, NUMBER, id="an-enum-with-a-fraction"),
        pytest.param({"const": 2.0}, WHOLE, id="a-constant"),
        pytest.param({"type": "number", "enum": [1, 2]}, NUMBER, id="an-enum-called-number"),
        pytest.param({"type": "integer", "enum": ["x"]}, frozenset(), id="nothing-is-both"),
        pytest.param({"$ref": "#/$defs/n"}, WHOLE, id="a-reference"),
        pytest.param({"$ref": "#/$defs/n", "minimum": 0}, WHOLE, id="words-beside-a-reference"),
        pytest.param({"$ref": "#/$defs/nowhere"}, ALL, id="a-reference-to-nothing"),
        pytest.param({"$ref": "#/$defs/loop"}, ALL, id="a-reference-in-a-circle"),
        pytest.param({"allOf": [{"type": "integer"}, {"minimum": 0}]}, WHOLE, id="all-of"),
        pytest.param({"type": "number", "allOf": [{"type": "integer"}]}, WHOLE, id="number-all-of"),
        pytest.param({"anyOf": [{"type": "integer"}, {"type": "null"}]}, WHOLE | NULL, id="any-of"),
        pytest.param({"oneOf": [{"type": "integer"}, {"type": "number"}]}, NUMBER, id="one-of"),
        pytest.param({"anyOf": [{"type": "integer"}, {}]}, ALL, id="any-of-with-anything"),
        pytest.param({"if": {"minimum": 3}, "then": {"type": "integer"}, "else": {"type": "null"}},
                     WHOLE | NULL, id="then-or-else"),
        pytest.param({"if": {"minimum": 3}, "then": {"type": "integer"}}, ALL, id="then-alone"),
        pytest.param({"not": {"type": "integer"}}, ALL, id="what-is-not-read"),
        pytest.param(False, frozenset(), id="false"),
        pytest.param(True, ALL, id="true"),
    ],
)  # fmt: skip
def test_types_of_a_field(schema: Any, types: frozenset[str]) -> None:
    document = {
        "$defs": {"n": {"type": "integer"}, "loop": {"$ref": "#/$defs/loop"}},
        "properties": {"n": schema},
    }
    assert values_of(document).property("n").types == types


NESTED = {
    "properties": {"a": {"properties": {"n": {"type": "integer"}}}, "b": True},
    "patternProperties": {"^s_": {"type": "integer"}},
    "additionalProperties": {"type": "integer"},
    "allOf": [{"properties": {"b": {"items": {"type": "integer"}}}}],
}


@pytest.mark.parametrize(
    ("path", "types"),
    [
        (("a", "n"), WHOLE), (("a", "m"), ALL), (("s_x",), WHOLE), (("other",), WHOLE),
        (("b", 3), WHOLE), (("b", None), WHOLE),
    ],
)  # fmt: skip
def test_types_below(path: tuple[Any, ...], types: frozenset[str]) -> None:
    found = values_of(NESTED)
    for step in path:
        found = found.property(step) if isinstance(step, str) else found.item(step)
    assert found.types == types


def test_items_by_their_place() -> None:
    found = values_of({"prefixItems": [{"type": "integer"}], "items": {"type": "string"}})
    assert [found.item(at).types for at in (0, 1, None)] == [WHOLE, TEXT, WHOLE | TEXT]


def test_alternatives_that_have_no_fields_say_nothing_of_them() -> None:
    found = values_of({"anyOf": [{"type": "string"}, {"properties": {"n": {"type": "integer"}}}]})
    assert found.property("n").types == WHOLE


def test_a_schema_of_alternatives_within_alternatives_is_given_up_on() -> None:
    schema: dict[str, Any] = {
        f"a{n}": {"anyOf": [{"$ref": f"#/a{n + 1}"}, {"$ref": f"#/a{n + 1}"}]} for n in range(30)
    }
    found = values_of({**schema, "a30": {"type": "integer"}, "properties": {"n": {"$ref": "#/a0"}}})
    assert found.property("n").types == ALL
    assert MOST_PARTS < 2**30


def test_a_recursive_schema_has_few_places() -> None:
    schema = {"properties": {"n": {"type": "integer"}, "below": {"$ref": "#"}}}
    found = values_of(schema)
    for _ in range(500):
        found = found.property("below")
    assert found.property("n").whole
    assert found.property("below") is found


@pytest.mark.parametrize(
    ("schema", "never"),
    [
        ({"minimum": 1}, True), ({"minimum": 0}, False), ({"exclusiveMinimum": 0}, True),
        ({"maximum": -1}, True), ({"exclusiveMaximum": 0}, True), ({"enum": [1, 2]}, True),
        ({"enum": [0, 2]}, False), ({"const": 0.0}, False), ({}, False),
        ({"allOf": [{"minimum": 1}]}, True), ({"anyOf": [{"minimum": 1}, {}]}, False),
        ({"anyOf": [{"minimum": 1}, {"maximum": -1}]}, True),
    ],
)  # fmt: skip
def test_what_is_never_zero(schema: dict[str, Any], never: bool) -> None:
    assert values_of(schema).never_zero is never
    if never:
        assert not DataSchema(schema).accepts(0)


numbers = st.sampled_from([0, 1, 2.0, 2.5, -1, 1e300, 2**53, 2**63, 2**80])
scalars = st.none() | st.booleans() | numbers | st.sampled_from(["", "a"])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abz"), inner, max_size=2)
    ),
    max_leaves=5,
)
names = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
bare = (
    st.builds(lambda name: {"type": name}, names | st.lists(names, min_size=1, unique=True))
    | st.builds(lambda those: {"enum": those}, st.lists(scalars, min_size=1, max_size=3))
    | st.builds(lambda one: {"const": one}, scalars)
    | st.sampled_from([{}, {"minimum": 1}, {"$ref": "#/$defs/whole"}, {"$ref": "#"}])
)
schemas = st.recursive(
    bare,
    lambda inner: st.builds(
        lambda own, more: {**own, **more},
        bare,
        st.fixed_dictionaries(
            {},
            optional={
                "allOf": st.lists(inner, min_size=1, max_size=2),
                "anyOf": st.lists(inner, min_size=1, max_size=2),
                "oneOf": st.lists(inner, min_size=1, max_size=2),
                "if": inner,
                "then": inner,
                "else": inner,
                "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
                "patternProperties": st.fixed_dictionaries({"^z": inner}),
                "additionalProperties": inner | st.booleans(),
                "items": inner,
                "prefixItems": st.lists(inner, min_size=1, max_size=2),
            },
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(schemas, values)
def test_whatever_the_validator_accepts_has_one_of_the_types(schema: Any, value: Any) -> None:
    document = {**schema, "$defs": {"whole": {"type": "integer"}}}
    try:
        schema_of_data = DataSchema(document)
    except BadSchema:  # it refers to itself without end
        assume(False)
    if not schema_of_data.accepts(value):
        return
    todo = [(value, values_of(document))]
    while todo:
        one, types = todo.pop()
        assert json_type(one) in types.types
        if isinstance(one, dict):
            todo += [(below, types.property(name)) for name, below in one.items()]
        if isinstance(one, list):
            todo += [(below, types.item(at)) for at, below in enumerate(one)]
            todo += [(below, types.item()) for below in one]
