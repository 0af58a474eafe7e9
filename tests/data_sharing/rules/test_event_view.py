"""An event as expressions read it: by the schema and never by how a number was written."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.expressions.expression import Fault
from data_sharing.event import Event
from data_sharing.rules.event_view import (
    EVENT,
    MOST_LEVELS,
    EventExpression,
    EventView,
    json_number,
    seen_without_schema,
)
from data_sharing.rules.feed_schema import FeedSchema
from tests.support.examples import examples

MOST = sys.float_info.max
INTEGER, NUMBER = {"type": "integer"}, {"type": "number"}


def event(text: str) -> Event:
    """With data as the intake decodes it."""
    return Event("home", "app", "e1", "f", "k", 1_000, msgspec.json.decode(text), "s", 1)


def schema(of_n: Any) -> FeedSchema:
    return FeedSchema("f", None if of_n is None else {"properties": {"n": of_n}})


def evaluated(text: str, data: str, of_n: Any = None) -> Any:
    return EventExpression(EVENT.compile(text, field="x"), schema(of_n)).of(event(data))


@pytest.mark.parametrize("of_n", [NUMBER, {}, None, {"type": ["number", "null"]}, {"minimum": 0},
                                  {"anyOf": [INTEGER, NUMBER]}, {"enum": [20, 0.5]}])  # fmt: skip
@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("20", 20.0), ("20.0", 20.0), ("2e1", 20.0), ("-0", 0.0), ("0.5", 0.5),
        ("9007199254740993", 9007199254740992.0), ("9223372036854775808", 2.0**63),
        ("993143214321423154315154321", 993143214321423154315154321.0),
        ("9" * 400, MOST), ("-" + "9" * 400, -MOST),
    ],
)  # fmt: skip
def test_a_number_that_no_schema_calls_integer_is_a_double(
    of_n: Any, written: str, seen: float
) -> None:
    data = f'{{"n": {written}}}'
    for text in ("event.data.n", "[event.data.n][0]", "event.data['n']", "event.data.n * 1.0"):
        found = evaluated(text, data, of_n)
        assert (type(found), found) == (float, seen)


@pytest.mark.parametrize("of_n", [INTEGER, {"type": ["integer", "null"]}, {"enum": [20, 2.0]},
                                  {"allOf": [INTEGER, {"minimum": -1e9}]},
                                  {"anyOf": [INTEGER, {"type": "string"}]}])  # fmt: skip
@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("20", 20), ("20.0", 20), ("2e1", 20), ("-0.0", 0), ("9007199254740993", 9007199254740993),
        ("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63)),
        ("9223372036854775808", 2.0**63), ("9223372036854775808.0", 2.0**63), ("1e300", 1e300),
        ("9" * 400, MOST),
    ],
)  # fmt: skip
def test_an_integer_is_an_int_where_it_fits_64_bits(
    of_n: Any, written: str, seen: int | float
) -> None:
    for text in ("event.data.n", "[event.data.n][0]", "event.data.map(k, event.data[k])[0]"):
        found = evaluated(text, f'{{"n": {written}}}', of_n)
        assert (type(found), found) == (type(seen), seen)


def test_what_is_not_read_is_not_there_and_breaks_nothing() -> None:
    view = EventView(schema(NUMBER), [("data", "n"), ("data", "a", "b"), ("key",)])
    data = '{"n": 1, "a": {"b": 2, "c": 9e99}, "huge": ' + "9" * 400 + ', "deep": [[[1]]]}'
    assert view.of(event(data)) == {"key": "k", "data": {"n": 1.0, "a": {"b": 2.0}}}
    assert evaluated("event.data.n + 1.0", data) == 2.0


@pytest.mark.parametrize("of_n", [None, {}, {"type": ["number", "null"]}, NUMBER])
def test_a_null_is_not_there(of_n: Any) -> None:
    data = '{"n": null, "l": [null, 1, {"x": null}], "o": {"x": null}}'
    assert evaluated("has(event.data.n)", data, of_n) is False
    assert evaluated("'n' in event.data", data, of_n) is False
    for text in ("event.data.n", "event.data.n > 1", "event.data.n.x", "event.data.o.x == 1"):
        found = evaluated(text, data, of_n)
        assert isinstance(found, Fault), text
        assert found.missing
    assert evaluated("event.data.l", data, of_n) == [None, 1.0, {}]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("event.id + event.source + event.type + event.key + event.subject", "e1appfks"),
        ("event.time == timestamp('1970-01-01T00:00:01Z')", True),
        ("event['id']", "e1"),
        ("event.map(k, k).size()", 7),
        ("event.data.n.m", "x"),
        ("event.data.missing", None),
        ("event.id.size() > 1 && has(event.data.n.m)", True),
    ],
)
def test_the_rest_of_an_event(text: str, seen: Any) -> None:
    found = evaluated(text, '{"n": {"m": "x"}}')
    assert (isinstance(found, Fault) and found.missing) if seen is None else found == seen


def test_a_field_below_what_is_no_object_is_the_readers_fault() -> None:
    for value in ("3", '"x"', "[1]", "true"):
        found = evaluated("event.data.n.m", f'{{"n": {value}}}')
        assert isinstance(found, Fault)


def test_what_lies_too_deep_is_not_there() -> None:
    deep = '{"n":' * 900 + "1" + "}" * 900
    found, levels = evaluated("event.data", deep), 0
    while isinstance(found, dict) and found:
        found, levels = found["n"], levels + 1
    assert levels == MOST_LEVELS - 1


def test_settings_of_a_plan_have_no_schema() -> None:
    assert seen_without_schema({"n": 2, "m": None, "l": [1, "x"]}) == {"n": 2.0, "l": [1.0, "x"]}


@pytest.mark.parametrize(
    ("value", "said"),
    [(2.0, "2"), (-0.0, "0"), (0.5, "0.5"), (2.0**53, "9007199254740992.0"), (1e300, "1e+300"),
     (float("inf"), "null"), (float("nan"), "null"), (2.0**53 - 1, "9007199254740991")],
)  # fmt: skip
def test_numbers_that_go_out(value: float, said: str) -> None:
    assert json.dumps(json_number(value)) == said


ways = st.sampled_from(["{}", "{}.0", "{}e0", "{}.5"])
near = st.sampled_from([0, 1, 2, 7, 2**53, 2**63, 2**64]).flatmap(
    lambda about: st.integers(about - 2, about + 2) | st.integers(-about - 2, 2 - about)
)
written = st.builds(lambda way, of: way.format(of), ways, near)
constants = written | st.sampled_from(['"x"', "true"])
of_fields = st.sampled_from([None, {}, NUMBER, INTEGER, {"type": ["integer", "string"]},
                             {"enum": [1, 2]}])  # fmt: skip
compared = st.builds(
    lambda sign, constant, mirrored: (
        f"{constant} {sign} event.data.n" if mirrored else f"event.data.n {sign} {constant}"
    ),
    st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
    constants,
    st.booleans(),
)


@examples(250, 3_000, compared, written, of_fields)
def test_what_is_said_directly_is_what_cel_says(text: str, number: str, of_n: Any) -> None:
    """However a number is written, in every type of a schema, near 2**53, 2**63 and 2**64."""
    try:
        condition = EVENT.compile(text, field="x")
    except InvalidInput:  # a constant past 64 bits, or true ordered with a number
        return
    data = event(f'{{"n": {number}}}')
    seen = EventView(schema(of_n), [("data", "n")]).of(data)
    by_cel = EVENT.compile(f"[{text}][0]", field="x").evaluate(EVENT.bind({"event": seen}))
    assert condition.holds(EVENT.bind({"event": seen})) == by_cel
    assert EventExpression(condition, schema(of_n)).of(data) == by_cel


@settings(max_examples=300, deadline=None)
@given(near, ways, ways, of_fields, compared)
def test_how_a_number_is_written_changes_nothing(
    of: int, one: str, other: str, of_n: Any, text: str
) -> None:
    """20, 20.0 and 20e0 are one number of JSON, as far as a double says which it is."""
    if ".5" in one + other:
        return
    try:
        condition = EventExpression(EVENT.compile(text, field="x"), schema(of_n))
    except InvalidInput:  # as above
        return
    exact = of if abs(of) <= 2**53 else int(float(of))
    answers = [condition.of(event(f'{{"n": {way.format(exact)}}}')) for way in (one, other)]
    assert answers[0] == answers[1]
