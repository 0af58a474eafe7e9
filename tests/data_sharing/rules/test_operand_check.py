"""A rule that can fail on a value its feed's schema allows is told so, with what to write."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.expressions.expression import Fault
from data_sharing.event import Event
from data_sharing.rules.document_faults import FaultCollector, InvalidDocument
from data_sharing.rules.event_view import EVENT, EventExpression
from data_sharing.rules.expression_readers import EventReader
from data_sharing.rules.feed_schema import FeedSchema
from tests.support.examples import examples
from tests.support.rule_harness import rules_of

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "n": {"type": "number"},
        "i": {"type": "integer"},
        "positive": {"type": "integer", "minimum": 1},
        "maybe": {"type": ["number", "null"]},
        "either": {"type": ["string", "number"]},
        "text": {"type": "string"},
        "when": {"type": "string", "format": "date-time"},
        "flag": {"type": "boolean"},
        "list": {"type": "array", "items": {"type": "integer"}},
        "pair": {"type": "array", "items": {"type": "number"}, "minItems": 2},
        "rows": {"type": "array", "items": {"properties": {"n": {"type": "number"}}}},
        "open": {},
    },
    "additionalProperties": False,
}
ONE = """
rules:
  - rule: r
    watch: {x: {feed: f}}
    windows: {w: {over: 1h, value: x.data.n}}
    plan: {named: p}
    when: WHEN
    do: [{invoke: {application: a, action: b}}]
"""


def told(when: str, do: str = "", schema: Any = SCHEMA) -> tuple[list[str], list[str]]:
    """What a rule is refused for, and what it is warned of."""
    text = ONE.replace("x.data.n}", "event.data.n}").replace("WHEN", f"|-\n      {when}")
    if do:
        text = text.replace("action: b", f"action: b, config: {{v: '{do}'}}")
    try:
        rules = rules_of(text, schemas={"f": schema})
    except InvalidDocument as error:
        return [fault.message for fault in error.faults], []
    return [], list(rules.rules["home", "r"].warnings)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        pytest.param("x.data.n - 1 > 0", "write 1.0", id="a-double-minus-an-int"),
        pytest.param("1 + x.data.n > 0", "write 1.0", id="the-other-way-round"),
        pytest.param("x.data.maybe * 2 > 3", "write 2.0", id="a-double-or-null"),
        pytest.param("x.data.i - 0.5 > 0.0", "write double(x.data.i)", id="an-int-minus-a-double"),
        pytest.param("x.data.n / x.data.i > 0.5", "write double(x.data.i)", id="two-fields"),
        pytest.param("x.data.n % 2 == 0", "write int(x.data.n)", id="remainder-of-a-double"),
        pytest.param("x.data.i % 2.0 == 0", "double", id="remainder-by-a-double"),
        pytest.param("x.data.open + 1 > 2", "no schema calls it integer", id="no-type-and-an-int"),
        pytest.param("x.data.open % 2 == 0", "int(x.data.open)", id="no-type-and-a-remainder"),
        pytest.param("x.data.text + 1 == 'a1'", "string", id="a-text-plus-an-int"),
        pytest.param("x.data.list.exists(v, v + 0.5 > 1.0)", "int", id="in-a-loop"),
        pytest.param("x.data.rows.exists(v, v.n + 1 > 1)", "write 1.0", id="deep-in-a-loop"),
        pytest.param("x.data.pair[0] - 1 > 0", "write 1.0", id="an-item"),
        pytest.param("-x.data.text == 'a'", "string", id="minus-a-text"),
        pytest.param("x.data.n + null > 1.0", "null is null", id="a-null-as-cel-writes-it"),
        pytest.param("x.data.n + 'it' == 'b'", '"it" is string', id="a-text-as-cel-writes-it"),
        pytest.param("x.data.n > b'a'", 'b"a" is bytes', id="bytes-as-cel-writes-them"),
        pytest.param("!x.data.n", "bool", id="not-a-number"),
        pytest.param("x.data.flag && x.data.text || x.data.flag", "bool", id="a-text-and-a-truth"),
        pytest.param("size(x.data.n) > 1", "size takes", id="the-size-of-a-number"),
        pytest.param("x.data.text.charAt(x.data.n) == 'a'", "int(x.data.n)", id="a-place"),
        pytest.param("timestamp(x.data.n) < now", "int(x.data.n)", id="a-time-of-a-double"),
        pytest.param("x.data.i / 0 > 1", "divides by zero", id="by-zero"),
        pytest.param("x.data.maybe == null", "!has(x.data.maybe)", id="null"),
        pytest.param("null == x.data.open", "!has(x.data.open)", id="null-first"),
        pytest.param("window.w.sum / window.w.count > 2.0", "double(window.w.count)",
                     id="a-windows-sum-and-count"),
        pytest.param("window.w.mean + 1 > 2", "write 1.0", id="a-windows-mean"),
        pytest.param("plan.actions.a.config.n + 1 > 2", "write 1.0", id="a-setting-of-a-plan"),
        pytest.param("plan.shift + 1 != 3", "duration", id="a-duration-plus-an-int"),
        pytest.param("x.time - 5 != 3", "timestamp", id="a-time-minus-an-int"),
        pytest.param("(x.data.flag ? x.data.n : 2.0) - 1 > 0", "write 1.0", id="either-way"),
    ],
)  # fmt: skip
def test_what_fails_on_every_value_is_refused(when: str, words: str) -> None:
    faults, _ = told(when)
    assert len(faults) == 1
    assert words in faults[0]
    assert faults[0].startswith("rules.r.when: line 1, column ")


@pytest.mark.parametrize(
    ("when", "words"),
    [
        pytest.param("x.data.either > 3", "fails where it is string", id="text-or-number-ordered"),
        pytest.param("x.data.either + 1.0 > 3.0", "fails where it is string", id="or-added"),
        pytest.param("x.data.either.contains('a')", "fails where it is double", id="or-searched"),
        pytest.param("x.data.list[3] == 1", "size(x.data.list) > 3", id="past-the-end"),
        pytest.param("x.data.pair[2] > 1.0", "fewer than 3", id="past-what-the-schema-promises"),
        pytest.param("10 / x.data.i > 3", "(x.data.i != 0)", id="by-what-may-be-zero"),
        pytest.param("10 % x.data.i > 3", "x.data.i != 0", id="remainder-by-what-may-be-zero"),
        pytest.param("10 / size(x.data.text) > 3", "may be 0", id="by-a-size"),
        pytest.param("timestamp(x.data.text) < now", "no timestamp", id="a-text-as-a-time"),
        pytest.param("int(x.data.text) > 3", "no int", id="a-text-as-a-number"),
    ],
)
def test_what_fails_on_some_values_is_a_warning(when: str, words: str) -> None:
    faults, warnings = told(when)
    assert not faults
    assert len(warnings) == 1
    assert words in warnings[0]
    assert warnings[0].startswith("rules.r.when: line 1, column ")


@pytest.mark.parametrize(
    "when",
    [
        "x.data.n > 3 && x.data.i > 2.5 && x.data.n == x.data.i",
        "x.data.n - 1.0 > 0.0 && x.data.i - 1 > 0 && x.data.n / 2.0 > 1.0",
        "x.data.i % 2 == 0 && int(x.data.n) % 2 == 0 && double(x.data.i) / 2.0 > 0.5",
        "x.data.i + size(x.data.text) + window.w.count > 3",
        "window.w.sum / double(window.w.count) > 2.0 && window.w.count / 2 > 1",
        "type(x.data.either) == double && x.data.either > 3",
        "type(x.data.either) == string && x.data.either.contains('a')",
        "size(x.data.list) > 3 && x.data.list[3] == 1",
        "x.data.list.size() > 3 && x.data.list[3] == 1",
        "x.data.pair[1] - x.data.pair[0] > 1.0",
        "x.data.i != 0 && 10 / x.data.i > 3",
        "10 / x.data.positive > 3",
        "size(x.data.text) > 0 && 10 / size(x.data.text) > 3",
        "x.data.n / x.data.n > 3.0",
        "x.data.text + 'a' == 'ba' && x.data.list + [1] != []",
        "timestamp(x.data.when) < now",
        "x.data.text.matches('^[0-9]+$') && int(x.data.text) > 3",
        "x.data.list.exists(v, v % 2 == 0) && x.data.rows.all(v, v.n + 1.0 > 1.0)",
        "x.data.open > 3 && x.data.open + 1.0 > 3.0 && x.data.open.contains('a')",
        "x.data.open == 'a' || x.data.open[0] == 1 || size(x.data.open) > 1",
        "x.data.maybe != null && x.data.maybe > 3",
        "x.time - duration('5m') < now && now - x.time > duration('1h')",
        "plan.at + plan.shift > now && plan.actions.a.config.n + 1.0 > 2.0",
        "(x.data.flag ? 'a' : 'b') == x.data.text && -x.data.n < 3 && !x.data.flag",
    ],
)
def test_what_cannot_fail_is_not_spoken_of(when: str) -> None:
    assert told(when) == ([], [])


def test_when_guards_what_is_done() -> None:
    assert told("x.data.i > 0", do="10 / x.data.i") == ([], [])
    assert len(told("x.data.n > 0", do="10 / x.data.i")[1]) == 1


def test_without_a_schema_the_certain_alone_is_told() -> None:
    faults, _ = told("x.data.n + 1 > 2", schema={})
    assert "write 1.0" in faults[0]
    assert told("x.data.n + 1.0 > 2.0 && x.data.l[7] == 1", schema={}) == ([], [])


def test_each_part_of_a_rule_is_looked_at() -> None:
    text = """
forecasts: [{forecast: z, feed: f, value: event.data.n + 1}]
rules: []
"""
    with pytest.raises(InvalidDocument, match=r"forecasts.z.value: .*write 1.0"):
        rules_of(text, schemas={"f": SCHEMA})
    for part in ("watch: {x: {feed: f, where: WRONG}}", "windows: {w: {over: 1h, where: WRONG}}",
                 "windows: {w: {over: 1h, value: event.data.n + 1}}"):  # fmt: skip
        name = part.partition(":")[0]
        lines = [one for one in ONE.replace("x.data.n}", "event.data.n}").splitlines()
                 if not one.strip().startswith(name)]  # fmt: skip
        part = part.replace("WRONG", "event.data.n + 1 > 2")
        with pytest.raises(InvalidDocument, match=r"write 1\.0"):
            rules_of("\n".join([*lines, f"    {part}"]).replace("WHEN", "true"),
                     schemas={"f": SCHEMA})  # fmt: skip


def test_what_cel_refuses_itself_says_what_to_write() -> None:
    (fault,) = told("x.data.n - 1 > 0.5")[0]
    assert "(int, double)" in fault
    assert "write 1.0 for 1" in fault


fields = st.sampled_from(["n", "i", "positive", "maybe", "either", "text", "flag", "open"])
operands = fields.map(lambda name: f"event.data.{name}") | st.sampled_from(
    ["1", "2.5", "'a'", "0", "true", "event.data.list[0]", "event.data.pair[1]",
     "size(event.data.text)", "double(event.data.i)"]
)  # fmt: skip
sums = st.builds(
    lambda left, sign, right: f"({left} {sign} {right})",
    operands,
    st.sampled_from(["+", "-", "*", "/", "%"]),
    operands,
)
conditions = st.builds(
    lambda left, sign, right: f"{left} {sign} {right}",
    operands | sums,
    st.sampled_from(["<", ">=", "==", "!="]),
    operands | sums,
)
events = st.fixed_dictionaries(
    {},
    optional={
        "n": st.sampled_from([0, 1, 2.5, 20.0, 7]),
        "i": st.sampled_from([0, 1, 2.0, 7]),
        "positive": st.sampled_from([1, 5.0]),
        "maybe": st.sampled_from([None, 3, 0.5]),
        "either": st.sampled_from(["a", 3, 2.5]),
        "text": st.sampled_from(["", "a"]),
        "flag": st.booleans(),
        "list": st.lists(st.sampled_from([0, 1, 2.0]), max_size=2),
        "pair": st.lists(st.sampled_from([0, 1.5]), min_size=2, max_size=3),
        "open": st.sampled_from(["a", 1, 2.5, True, [1]]),
    },
)


@examples(300, 3_000, conditions, st.lists(events, min_size=3, max_size=6))
def test_what_is_neither_refused_nor_warned_of_does_not_fail(text: str, data: list[Any]) -> None:
    """And what is refused never gives an answer: the check is right in both ways."""
    faults = FaultCollector()
    schema = FeedSchema("f", SCHEMA)
    reader = EventReader("f", {"f": schema}, faults, "x")
    reader.compile(text, "x")
    try:
        expression = EventExpression(EVENT.compile(text, field="x"), schema)
    except InvalidInput:
        return  # two constants, which CEL itself refuses
    answers = [expression.of(Event("home", "a", "e", "f", "k", 0, one, "", 1)) for one in data]
    failed = [one for one in answers if isinstance(one, Fault) and not one.missing]
    if any("cannot take" in one.message or "takes" in one.message for one in faults.found):
        assert all(isinstance(one, Fault) for one in answers), answers
    elif not faults.found and not faults.warnings and "open" not in text:
        assert not failed
