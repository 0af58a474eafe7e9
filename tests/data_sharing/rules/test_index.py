"""The index finds every rule that brute force finds, whatever the rules and events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.expressions.environment import ValueType
from data_sharing.event import Event
from data_sharing.rules.expression_readers import EVENT
from data_sharing.rules.index import FeedIndex, Subscription
from data_sharing.rules.intervals import Interval, Intervals
from data_sharing.rules.predicates import (
    Conjunct,
    Equals,
    Prefix,
    Present,
    Range,
    admits,
    conjuncts_of,
)

ROOTS = frozenset(("event",))
FIELDS = ("data.a", "data.b", "data.c.d", "key", "subject")

scalars = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.5, -0.5, 2.0, 2**53, 2**53 + 1, -(2**60), 1e300]),
    st.sampled_from(["", "a", "ab", "abc", "b"]),
    st.booleans(),
    st.none(),
)
literals = scalars.map(
    lambda value: (
        {None: "null", True: "true", False: "false"}.get(value)
        if value is None or isinstance(value, bool)
        else f'"{value}"'
        if isinstance(value, str)
        else repr(value)
    )
)
paths = st.sampled_from([f"event.{field}" for field in FIELDS])
leaves = st.one_of(
    st.builds(
        lambda path, op, literal: f"{path} {op} {literal}",
        paths, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), literals,
    ),
    st.builds(lambda path, op, literal: f"{literal} {op} {path}",
              paths, st.sampled_from(["==", "<", ">="]), literals),
    st.builds(
        lambda path, items: f"{path} in [{', '.join(items)}]", paths, st.lists(literals, max_size=4)
    ),
    st.builds(lambda path, text: f'{path}.startsWith("{text}")', paths,
              st.sampled_from(["", "a", "ab"])),
    st.sampled_from(["has(event.data.a)", "has(event.data.c.d)", "has(event.data.c)",
                     "event.data.b", '"a" in event.data.list', "size(event.data.list) > 1"]),
)  # fmt: skip
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda one, other: f"({one} && {other})", inner, inner),
        st.builds(lambda one, other: f"({one} || {other})", inner, inner),
        st.builds(lambda one: f"!({one})", inner),
        st.builds(lambda one, two, three: f"({one} ? {two} : {three})", inner, inner, inner),
    ),
    max_leaves=6,
)
data = st.fixed_dictionaries(
    {},
    optional={
        "a": scalars,
        "b": scalars,
        "c": st.one_of(scalars, st.fixed_dictionaries({}, optional={"d": scalars})),
        "list": st.lists(scalars, max_size=3),
        **{f"other{n}": scalars for n in range(4)},
    },
)
events = st.builds(
    lambda key, subject, data: Event("t", "s", "1", "feed", key, 0, data, subject),
    st.sampled_from(["", "a", "ab"]), st.sampled_from(["", "a", "b"]), data,
)  # fmt: skip


def compiled(text: str) -> tuple[Any, tuple[Conjunct, ...]] | None:
    """None where constants alone do not type-check."""
    try:
        found = EVENT.compile(text, field="when", returns=(ValueType.BOOL,))
    except InvalidInput as error:
        said = error.message
    else:
        return found, conjuncts_of(found.tree, ROOTS)
    assert "overload" in said or "nested" in said, said
    return None


def shown(event: Event) -> dict[str, Any]:
    return {"key": event.key, "subject": event.subject, "data": event.data}


@settings(max_examples=400, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=25), st.lists(events, min_size=1, max_size=6))
def test_no_event_is_lost_to_a_rule_that_it_matches(texts: list[str], some: list[Event]) -> None:
    rules = [one for one in map(compiled, texts) if one is not None]
    index = FeedIndex(
        Subscription(number, conjuncts) for number, (_, conjuncts) in enumerate(rules)
    )
    for event in some:
        touched = list(index.touched(event))
        assert len(touched) == len(set(touched))
        bindings = EVENT.bind({"event": shown(event)})
        matching = {
            number for number, (rule, _) in enumerate(rules) if rule.holds(bindings) is True
        }
        admitted = {n for n, (_, conjuncts) in enumerate(rules) if admits(conjuncts, event)}
        assert matching <= admitted <= set(touched)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.lists(
            st.one_of(
                st.builds(
                    lambda field, values: f"event.data.{field} in {values}",
                    st.sampled_from("abc"), st.lists(st.integers(0, 5), min_size=1, max_size=3),
                ),
                st.builds(
                    lambda field, value: f"event.data.{field} > {value}.5",
                    st.sampled_from("abc"), st.integers(0, 5),
                ),
                st.builds(
                    lambda field, value: f"event.data.{field} < {value}.5",
                    st.sampled_from("abc"), st.integers(0, 5),
                ),
            ),
            min_size=1, max_size=1,
        ),
        min_size=1, max_size=60,
    ),
    st.lists(
        st.fixed_dictionaries({}, optional={field: st.integers(0, 5) for field in "abc"}),
        min_size=1, max_size=5,
    ),
)  # fmt: skip
def test_where_one_predicate_is_all_there_is_the_index_is_exact(
    rules: list[list[str]], some: list[dict[str, int]]
) -> None:
    texts = [" && ".join(parts) for parts in rules]
    made = [one for one in map(compiled, texts) if one is not None]
    index = FeedIndex(Subscription(number, conjuncts) for number, (_, conjuncts) in enumerate(made))
    for fields in some:
        event = Event("t", "s", "1", "feed", "", 0, fields)
        bindings = EVENT.bind({"event": shown(event)})
        matching = {n for n, (rule, _) in enumerate(made) if rule.holds(bindings) is True}
        assert set(index.touched(event)) == matching


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("event.data.a == 1", ((Equals(("data", "a"), (1,)),),), id="equality"),
        pytest.param('"x" == event.key', ((Equals(("key",), ("x",)),),), id="the-other-way-round"),
        pytest.param(
            "event.data.a == 1 || event.data.a in [2, 3]",
            ((Equals(("data", "a"), (1, 2, 3)),),), id="an-or-over-one-field-is-one-in",
        ),
        pytest.param(
            'event.data["a"].startsWith("x")', ((Prefix(("data", "a"), "x"),),),
            id="a-field-in-brackets",
        ),
        pytest.param("has(event.data.a.b)", ((Present(("data", "a", "b")),),), id="presence"),
        pytest.param("event.data.on", ((Equals(("data", "on"), (True,)),),), id="a-bare-truth"),
        pytest.param("event.data.a == 1 || key == 'x'", (), id="an-or-with-something-else-is-not"),
        pytest.param("!(event.data.a == 1)", (), id="a-negation-is-not"),
        pytest.param("event.data.a != 1", (), id="inequality-is-not"),
        pytest.param("[1].exists(event, event == 1)", (), id="a-bound-name-is-not-the-event"),
    ],
)  # fmt: skip
def test_what_is_lifted(text: str, expected: tuple[Conjunct, ...]) -> None:
    from control_plane.expressions.environment import Environment

    environment = Environment({"event": ValueType.OBJECT, "key": ValueType.STRING})
    tree = environment.compile(text, field="when").tree
    assert conjuncts_of(tree, ROOTS) == expected


def test_two_bounds_of_a_field_are_one_range() -> None:
    tree = EVENT.compile("event.data.a > 1 && event.data.a <= 5", field="when").tree
    ((found,),) = conjuncts_of(tree, ROOTS)
    assert isinstance(found, Range)
    assert found.low == pytest.approx(1.0)
    assert found.high == pytest.approx(5.0)


def test_rules_that_share_an_equality_are_told_apart_by_what_else_they_ask() -> None:
    texts = [f'event.data.kind == "x" && event.data.road == "A{n}"' for n in range(500)]
    texts += [f'event.data.kind == "x" && event.data.speed > {n}' for n in range(500)]
    watches = [
        Subscription(number, conjuncts_of(EVENT.compile(text, field="when").tree, ROOTS))
        for number, text in enumerate(texts)
    ]
    event = Event("t", "s", "1", "f", "", 0, {"kind": "x", "road": "A7", "speed": 3})
    assert set(FeedIndex(watches).touched(event)) == {7, 500, 501, 502, 503}


@given(
    st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), max_size=80),
    st.lists(st.one_of(st.integers(-25, 25), st.floats(-25, 25)), max_size=10),
)
def test_intervals_hold_what_lies_in_them(
    bounds: list[tuple[int, int]], numbers: list[float]
) -> None:
    tree = Intervals([Interval(low, high, number) for number, (low, high) in enumerate(bounds)])
    for value in numbers:
        found: list[int] = []
        tree.holding(value, found)
        expected = [n for n, (low, high) in enumerate(bounds) if low <= value <= high]
        assert sorted(found) == expected


def test_a_value_shorter_than_a_prefix_is_found_once() -> None:
    texts = ['event.data.a.startsWith("a")', 'event.data.a.startsWith("abc")']
    rules = [one for one in map(compiled, texts) if one is not None]
    index = FeedIndex(
        Subscription(number, conjuncts) for number, (_, conjuncts) in enumerate(rules)
    )
    event = Event("t", "s", "1", "feed", "k", 0, {"a": "a"}, "")
    assert list(index.touched(event)) == [0]
