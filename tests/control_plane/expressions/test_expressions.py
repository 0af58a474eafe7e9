"""The CEL adapter: values and faults instead of exceptions, places in messages, and clauses that
mean together what the whole means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.expressions.clauses import Clause, clauses_of
from control_plane.expressions.environment import Environment, ValueType
from control_plane.expressions.expression import Fault
from control_plane.expressions.tree import paths_read
from control_plane.expressions.values import duration, instant

ENVIRONMENT = Environment(
    {"event": ValueType.OBJECT, "name": ValueType.STRING, "at": ValueType.TIMESTAMP}
)


def value(text: str, **values: Any) -> Any:
    return ENVIRONMENT.compile(text, field="x").evaluate(ENVIRONMENT.bind(values))


@pytest.mark.parametrize(
    ("text", "event", "expected"),
    [
        pytest.param("event.a + 1", {"a": 1}, 2, id="an-integer"),
        pytest.param("event.a", {"a": [1, {"b": None}]}, [1, {"b": None}], id="nested"),
        pytest.param("event.a < 2.5", {"a": 2}, True, id="an-integer-and-a-fraction"),
        pytest.param("event.a == 2", {"a": 2.0}, True, id="a-fraction-that-is-whole"),
        pytest.param("event.a == 1", {"a": True}, False, id="true-is-not-one"),
        pytest.param("event.a + duration('1m')", {"a": instant(0)},
                     datetime(1970, 1, 1, 0, 1, tzinfo=UTC), id="an-instant-in-an-object"),
        pytest.param("event.a + event.a", {"a": duration(1_500)}, timedelta(seconds=3),
                     id="a-duration-in-an-object"),
        pytest.param("{'k': event.a}", {"a": "v"}, {"k": "v"}, id="a-map"),
        pytest.param("'NOT_FOUND: x'", {}, "NOT_FOUND: x", id="a-text-that-looks-like-an-error"),
    ],
)  # fmt: skip
def test_values(text: str, event: dict[str, Any], expected: Any) -> None:
    assert value(text, event=event) == expected


@pytest.mark.parametrize(
    ("text", "event", "missing", "words"),
    [
        pytest.param("event.a.b", {}, True, "no field a", id="a-field"),
        pytest.param("event.a.b", {"a": {}}, True, "no field b", id="a-nested-field"),
        pytest.param("event.a > 1", {"a": "x"}, False, "overload", id="another-type"),
        pytest.param("1 / event.a", {"a": 0}, False, "zero", id="division-by-zero"),
        pytest.param("event.a[3]", {"a": []}, False, "ndex", id="past-the-end"),
        pytest.param("event.a", {"a": 2**80}, False, "range", id="a-number-past-64-bits"),
        pytest.param("event.a", {"a": object()}, False, "Non-CEL", id="something-else"),
        pytest.param("event.a.all(x, event.a.all(y, x + y > 0))", {"a": [1] * 500}, False,
                     "budget", id="too-many-iterations"),
    ],
)  # fmt: skip
def test_faults(text: str, event: dict[str, Any], missing: bool, words: str) -> None:
    found = value(text, event=event)
    assert isinstance(found, Fault)
    assert found.missing is missing
    assert words in found.message


# Beyond 64 bits CEL cannot read what stands beside the path either; see test_faults.
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
# For CEL a text ends at U+0000; events have none, see data_sharing.feeds.intake.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
things = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)


@settings(max_examples=300)
@given(things)
def test_a_path_reads_what_cel_reads(event: Any) -> None:
    by_path, by_cel = value("event.a.b", event=event), value("[event.a.b][0]", event=event)
    assert by_path == by_cel
    assert type(by_path) is type(by_cel)


def test_a_variable_that_is_not_bound_is_missing_when_it_is_read() -> None:
    assert value("name == 'x' || true") is True
    assert value("name") == Fault("no name here", missing=True)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"a": 1, "b": 1}, True),
        ({"a": 2, "b": 1}, False),
        ({"a": 2}, False),  # one false decides, whatever is missing
    ],
)
def test_truth(event: dict[str, Any], expected: bool) -> None:
    expression = ENVIRONMENT.compile("event.a == 1 && event.b == 1", field="x")
    assert expression.holds(ENVIRONMENT.bind({"event": event})) is expected


def test_what_is_neither_true_nor_false_is_a_fault() -> None:
    expression = ENVIRONMENT.compile("event.a", field="x", returns=(ValueType.BOOL,))
    found = expression.holds(ENVIRONMENT.bind({"event": {"a": "true"}}))
    assert isinstance(found, Fault)
    assert not found.missing


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("event.a ==\n  == 3", "line 2, column 3"),
        ("nome", "line 1, column 1: undeclared reference to 'nome'"),
        ("name + 1", "line 1, column 6"),
        ("", "empty"),
        ("\x00", "line 1"),
        ("event.a ? 1 : ", "line 1"),
    ],
)
def test_messages_say_where(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as error:
        ENVIRONMENT.compile(text, field="when")
    assert error.value.field == "when"
    assert words in error.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("event.a.b > name", {("event", "a", "b"), ("name",)}),
        ("event['a'].b", {("event", "a", "b")}),
        ("has(event.a.b)", {("event", "a", "b")}),
        ("event.l.exists(x, x.y == event.z)", {("event", "l"), ("event", "z")}),
        ("event.l.map(event, event.q)", {("event", "l")}),
        ("event[name]", {("event",), ("name",)}),
    ],
)
def test_paths_that_are_read(text: str, expected: set[tuple[str, ...]]) -> None:
    tree = ENVIRONMENT.compile(text, field="x").tree
    assert {path for path, _, _ in paths_read(tree)} == expected


leaves = st.sampled_from(
    ["event.a", "event.b", "event.c == 1", "(event.a)", "'x && y' == name", "!event.b",
     "[event.a, event.b].exists(v, v || false)", r"r'\d && x' == name", "'it\\'s || so' == name",
     "(event.a ? event.b : event.c == 2)", "event.c in [1, 2]", '"""a " && b""" == name'],
)  # fmt: skip
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"{a} && {b}", inner, inner),
        st.builds(lambda a, b: f"{a} || {b}", inner, inner),
        st.builds(lambda a, b: f"({a} || {b}) && {a}", inner, inner),
        st.builds(lambda a: f"({a})", inner),
    ),
    max_leaves=8,
)


def judged(clause: Clause, event: dict[str, Any]) -> bool:
    if not clause.parts:
        found = ENVIRONMENT.compile(clause.text, field="x").holds(
            ENVIRONMENT.bind({"event": event, "name": "x"})
        )
        assert isinstance(found, bool)
        return found
    results = [judged(part, event) for part in clause.parts]
    return all(results) if clause.joined_by == "&&" else any(results)


@settings(max_examples=200, deadline=None)
@given(conditions, st.booleans(), st.booleans(), st.integers(0, 3))
def test_clauses_mean_together_what_the_whole_means(text: str, a: bool, b: bool, c: int) -> None:
    event = {"a": a, "b": b, "c": c}
    try:
        whole = ENVIRONMENT.compile(text, field="x")
    except InvalidInput as error:
        assert "nested" in error.message  # noqa: PT017
        return
    expected = whole.holds(ENVIRONMENT.bind({"event": event, "name": "x"}))
    assert judged(clauses_of(text), event) is expected


@pytest.mark.parametrize("text", ["event.a == 1", "event.b", "has(event.a) && event.c < 2.5"])
def test_what_is_answered_without_cel_has_no_program_until_cel_is_asked(text: str) -> None:
    expression = ENVIRONMENT.compile(text, field="x")
    event = {"a": 1, "b": True, "c": 2.0}
    assert expression.holds(ENVIRONMENT.bind({"event": event})) is True
    assert expression._compiled is None
    assert isinstance(expression.holds(ENVIRONMENT.bind({"event": {"a": "x"}})), bool | Fault)
    assert isinstance(expression.holds(ENVIRONMENT.bind({})), Fault)
    assert expression._compiled is not None


def test_an_expression_that_somebody_has_is_the_same_one() -> None:
    one = ENVIRONMENT.compile("event.a == 7", field="x")
    assert ENVIRONMENT.compile("event.a == 7", field="y") is one
    assert ENVIRONMENT.compile("event.a == 7", field="y", returns=(ValueType.BOOL,)) is not one
    with pytest.raises(InvalidInput):
        ENVIRONMENT.compile("event.a == 7", field="y", returns=(ValueType.INT,))


def test_maps_have_their_entries_in_one_order_each_time() -> None:
    """CEL's own order is another one at each evaluation: what is written of it would be, too."""
    expression = ENVIRONMENT.compile(
        '{"d": 1, "a": [{"y": 1, "x": 2, "z": 3}], "c": {true: 1, 7: 2, "b": 3, 6: 4}, "b": 2}',
        field="x",
    )
    found = [expression.evaluate(ENVIRONMENT.bind({})) for _ in range(30)]
    for one in found:
        assert list(one) == ["a", "b", "c", "d"]
        assert list(one["a"][0]) == ["x", "y", "z"]
        assert list(one["c"]) == [True, 6, 7, "b"]
