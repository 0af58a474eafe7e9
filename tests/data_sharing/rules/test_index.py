"""The index finds every rule that brute force finds, whatever the rules and events."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.expressions.environment import ValueType
from data_sharing.event import Event
from data_sharing.rules.event_view import EVENT, EventView
from data_sharing.rules.feed_schema import FeedSchema
from data_sharing.rules.index import FeedIndex, Subscription
from data_sharing.rules.predicates import (
    Conjunct,
    Equals,
    Prefix,
    Present,
    Range,
    admits,
    conjuncts_of,
    says_all,
)
from data_sharing.rules.ranges import Interval, Ranges
from tests.support.examples import examples
from tests.support.rule_conditions import conditions, events

ROOTS = frozenset(("event",))


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
    return EventView(FeedSchema("feed", None), [()]).of(event)


@examples(
    100,
    1_200,
    st.lists(conditions, min_size=1, max_size=25),
    st.lists(events, min_size=1, max_size=6),
)
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
        assert matching <= admitted
        assert admitted == set(touched)
        told = {n for n, (rule, _) in enumerate(rules) if says_all(rule.tree, ROOTS)}
        assert admitted & told <= matching


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('event.data.a == "x"', True, id="a-text"),
        pytest.param("event.data.a == 7", True, id="a-number"),
        pytest.param("event.data.a == 1", False, id="1-which-python-takes-for-true"),
        pytest.param("event.data.a == true", False, id="true-which-it-takes-for-1"),
        pytest.param("event.data.a in ['x', 'y', 2.5]", True, id="one-of-some"),
        pytest.param("event.data.a in ['x', 0.0]", False, id="one-of-some-with-0"),
        pytest.param('event.data.a.startsWith("x")', True, id="a-prefix"),
        pytest.param("has(event.data.a.b)", True, id="presence"),
        pytest.param("event.data.a", False, id="a-bare-truth"),
        pytest.param("1 <= event.data.a && event.data.a < 5.5", True, id="a-range"),
        pytest.param("event.data.a < 9007199254740992", False, id="beyond-exact-numbers"),
        pytest.param("event.data.a == 9007199254740992.0", False, id="equality-beyond-them"),
        pytest.param("event.data.a == 7 || event.data.b == 8", True, id="either-of-two"),
        pytest.param(
            "event.data.a == 7 || event.data.b == 8 && has(event.data.c)", False,
            id="either-of-which-one-asks-for-two-things",
        ),
        pytest.param("event.data.a == 7 && event.data.b != 8", False, id="a-part-that-is-not"),
        pytest.param(f"event.data.a in {list(range(2, 70))}", True, id="many-values"),
        pytest.param(
            " || ".join(f"has(event.data.f{n})" for n in range(70)), False,
            id="too-many-alternatives-to-lift",
        ),
    ],
)  # fmt: skip
def test_whether_what_is_lifted_says_all(text: str, expected: bool) -> None:
    assert says_all(EVENT.compile(text, field="when").tree, ROOTS) is expected


@pytest.mark.parametrize("schema", [None, "integer", "number"])
@pytest.mark.parametrize("operator", ["<", "<=", ">", ">=", "=="])
def test_what_says_all_of_a_number_agrees_with_cel_at_its_bound(
    operator: str, schema: str | None
) -> None:
    bounds = [0, -1, 7, 0.0, 2.5, -1e-300, 2**53 - 1, 1e300]
    values = [
        near for one in bounds for near in
        (one, float(one), math.nextafter(one, math.inf), math.nextafter(one, -math.inf))
    ]  # fmt: skip
    values += [2**53 + 1, 2**63, -(2**64), 10**400, True, False, "7", None, [], {}]
    properties = {} if schema is None else {"properties": {"a": {"type": schema}}}
    view = EventView(FeedSchema("feed", {"type": "object", **properties}), [()])
    for bound in bounds:
        found = EVENT.compile(f"event.data.a {operator} {bound!r}", field="when")
        if not says_all(found.tree, ROOTS):
            continue
        conjuncts = conjuncts_of(found.tree, ROOTS)
        index = FeedIndex([Subscription(0, conjuncts)])
        for value in values:
            event = Event("t", "s", "1", "feed", "k", 0, {"a": value}, "")
            holds = found._eval(EVENT.bind({"event": view.of(event)})).plain_value() is True
            assert admits(conjuncts, event) is holds, value
            assert bool(index.touched(event)) is holds, value


def test_two_bounds_of_a_field_are_one_range() -> None:
    tree = EVENT.compile("event.data.a > 1 && event.data.a <= 5", field="when").tree
    ((found,),) = conjuncts_of(tree, ROOTS)
    assert isinstance(found, Range)
    assert found == Range(("data", "a"), math.nextafter(1.0, math.inf), 5.0)


def test_rules_that_share_an_equality_are_told_apart_by_what_else_they_ask() -> None:
    texts = [f'event.data.kind == "x" && event.data.road == "A{n}"' for n in range(500)]
    texts += [f'event.data.kind == "x" && event.data.speed > {n}' for n in range(500)]
    watches = [
        Subscription(number, conjuncts_of(EVENT.compile(text, field="when").tree, ROOTS))
        for number, text in enumerate(texts)
    ]
    event = Event("t", "s", "1", "f", "", 0, {"kind": "x", "road": "A7", "speed": 3})
    assert set(FeedIndex(watches).touched(event)) == {7, 500, 501, 502}


@examples(
    80,
    1_000,
    st.lists(st.tuples(conditions, st.booleans()), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
    st.lists(events, min_size=1, max_size=6),
)
def test_an_index_changed_step_by_step_finds_what_one_built_at_once_finds(
    given_rules: list[tuple[str, bool]], chance: Any, some: list[Event]
) -> None:
    """Whatever is added and removed, in whatever order; and the steps before stay as they were."""
    rules = [(found[1], stays) for text, stays in given_rules if (found := compiled(text))]
    all_of_them = [Subscription(number, conjuncts) for number, (conjuncts, _) in enumerate(rules)]
    index: FeedIndex[int] = FeedIndex()
    steps: list[tuple[FeedIndex[int], set[int]]] = []
    there: set[int] = set()
    todo = [("add", one) for one in all_of_them]
    chance.shuffle(todo)
    while todo:
        what, one = todo.pop()
        if what == "add":
            index = index.with_changes(added=[one])
            there.add(one.who)
            if not rules[one.who][1]:
                todo.insert(chance.randrange(len(todo) + 1), ("remove", one))
        else:
            index = index.with_changes(removed=[one.who])
            there.discard(one.who)
        steps.append((index, set(there)))
    for index, those in steps:
        assert set(index.subscriptions) == those
        at_once = FeedIndex(all_of_them[number] for number in sorted(those))
        for event in some:
            admitted = {one for one in those if admits(all_of_them[one].conjuncts, event)}
            assert set(index.touched(event)) == set(at_once.touched(event)) == admitted


@pytest.mark.parametrize("crowd", [0, 40])
@pytest.mark.parametrize(
    "text",
    [
        'event.data.a in ["", -1] && event.data.a == ""',
        'event.data.a == "" && event.data.a in ["", -1]',
        'event.data.a in ["", -1] && event.data.a in ["", 1]',
        "(event.data.a > 1 || event.data.b == 2) && event.data.a > 1",
    ],
)
def test_what_asks_twice_for_one_value_is_removed_from_all_its_places(
    text: str, crowd: int
) -> None:
    """By whichever of both it was found, which the crowd at the values decides."""
    others = ['event.data.a == ""', "event.data.a == -1", "event.data.a > 1", "event.data.b == 2"]
    for other in others:
        texts = [text] * 12 + [other] * crowd
        watches = [
            Subscription(number, conjuncts_of(EVENT.compile(one, field="when").tree, ROOTS))
            for number, one in enumerate(texts)
        ]
        index = FeedIndex(watches)
        for number in range(12):
            index = index.with_changes(removed=[number])
        for data in ({"a": ""}, {"a": -1}, {"a": 2}, {"b": 2}):
            event = Event("t", "s", "1", "f", "", 0, data)
            assert not [one for one in index.touched(event) if one < 12]


def test_nothing_is_left_of_subscriptions_that_are_gone() -> None:
    texts = ['event.data.kind == "x" && event.data.road == "A1"', "event.data.a in []",
             "event.data.a > 1 && event.data.a < 0", "event.data.a > 1", "event.data.a < 1",
             "event.data.a in [1, 2]", "has(event.data.c.d)", 'event.key.startsWith("a")',
             'event.data.a == 1 || event.data.b.startsWith("b") || event.data.a in []',
             "size(event.data.list) > 1"] * 12  # fmt: skip
    made = [one for one in map(compiled, texts) if one is not None]
    index = FeedIndex(Subscription(number, conjuncts) for number, (_, conjuncts) in enumerate(made))
    index = index.with_changes(removed=range(len(texts)))
    root = index._root
    assert not index.subscriptions
    assert (root.count, root.entries, root.attributes, root.data) == (0, [], {}, {})


finite = st.one_of(
    st.integers(-20, 20).map(float),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e308, -1e308, 5e-324, 2.0**53, 1.7976931348623157e308]),
)
ends = st.one_of(finite, st.sampled_from([math.inf, -math.inf]))


@given(
    st.lists(st.tuples(ends, ends, st.booleans()), max_size=80),
    st.lists(st.one_of(st.integers(-25, 25), st.integers(), finite, st.just(10**400)), max_size=10),
)
def test_ranges_hold_what_lies_in_them(
    bounds: list[tuple[float, float, bool]], numbers: list[float]
) -> None:
    intervals = [Interval(low, high, (at,)) for at, (low, high, _) in enumerate(bounds)
                 if (low, high) != (-math.inf, math.inf)]  # fmt: skip
    ranges: Ranges[tuple[int]] = Ranges()
    for one in intervals:
        ranges.add(one)
    copied = ranges.copy()
    left = [one for one in intervals if bounds[one.what[0]][2]]
    for one in intervals:
        if one not in left:
            ranges.remove(one)
    assert (ranges.count, copied.count) == (len(left), len(intervals))
    numbers = [*numbers, *(end for one in intervals for end in (one.low, one.high))]
    for those, expected in ((ranges, left), (copied, intervals)):
        for value in numbers:
            found: list[tuple[int]] = []
            those.holding(value, found)
            assert sorted(found) == [one.what for one in expected if one.low <= value <= one.high]


def test_a_value_shorter_than_a_prefix_is_found_once() -> None:
    texts = ['event.data.a.startsWith("a")', 'event.data.a.startsWith("abc")']
    rules = [one for one in map(compiled, texts) if one is not None]
    index = FeedIndex(
        Subscription(number, conjuncts) for number, (_, conjuncts) in enumerate(rules)
    )
    event = Event("t", "s", "1", "feed", "k", 0, {"a": "a"}, "")
    assert list(index.touched(event)) == [0]
