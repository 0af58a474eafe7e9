"""What one event can cost all rules on its feed: added up, but for what the index tells apart."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import Refused
from data_sharing.rules import event_cost
from data_sharing.rules.event_cost import FEED_BUDGET, EventCost, check_feeds, units_of
from tests.support.rule_harness import rules_of

COSTLY = "e.data.items.map(x, x.a).size() > 3"  # some 235,000 units


def text_of(*rules: str) -> str:
    return "rules:\n" + "\n".join(rules)


def rule(name: str, when: str, *, feed: str = "f", more: str = "") -> str:
    return f"""
  - rule: {name}
    watch: {{e: {{feed: {feed}}}}}
    when: {when!r}
    do: [{{invoke: {{application: a, action: b}}}}]
{more}"""


def costs_of(text: str) -> list[EventCost]:
    found = rules_of(text)
    costs = [cost for one in found.rules.values() for cost in event_cost.of_rule(one)]
    return [*costs, *map(event_cost.of_forecast, found.forecasts.values())]


def cost(units: int, place: str = "", *values: str, rule: str = "r", feed: str = "f") -> EventCost:
    return EventCost(rule, feed, units, place, values)


def test_rules_that_any_event_may_concern_add_up():
    one = units_of(costs_of(text_of(rule("a", COSTLY))))
    several = units_of(costs_of(text_of(*(rule(f"r{n}", COSTLY) for n in range(5)))))
    assert one > 200_000
    assert several == 5 * one


def test_rules_that_want_different_values_at_one_place_do_not():
    told_apart = [rule(f"r{n}", f"e.data.room == 'r{n}' && {COSTLY}") for n in range(200)]
    units = units_of(costs_of(text_of(*told_apart)))
    assert units < 300_000
    same = [rule(f"r{n}", f"e.data.room == 'x' && {COSTLY}") for n in range(5)]
    assert units_of(costs_of(text_of(*same))) > 5 * 200_000


def test_every_part_of_a_rule_counts():
    plain = units_of(costs_of(text_of(rule("r", "e.data.on"))))
    parts = (
        '    windows: {w: {over: 1m, where: "event.data.a.map(x, x.b).size() > 1"}}\n',
        '    windows: {w: {over: 1m, value: "double(event.data.a.map(x, x.b).size())"}}\n',
        '    windows: {w: {over: 1m, key: "string(event.data.a.map(x, x.b).size())"}}\n',
    )
    for more in parts:
        assert units_of(costs_of(text_of(rule("r", "e.data.on", more=more)))) > plain + 200_000
    forecast = EventCost("g", "f", 9, "", ())
    assert units_of([forecast, *costs_of(text_of(rule("r", "e.data.on")))]) == plain + 9


def test_an_event_of_another_feed_costs_nothing():
    costs = [cost(FEED_BUDGET, feed="f"), cost(FEED_BUDGET, feed="g")]
    check_feeds("home", costs, ["f", "g"])
    with pytest.raises(Refused, match="on feed g"):
        check_feeds("home", [*costs, cost(1, feed="g")], ["f", "g"])
    check_feeds("home", [*costs, cost(1, feed="g")], ["f"])  # what was in force before stays


def test_a_refusal_names_the_costliest_rules():
    costs = [cost(n * FEED_BUDGET // 10, rule=f"r{n}") for n in range(1, 8)]
    with pytest.raises(Refused) as caught:
        check_feeds("home", costs, ["f"])
    assert "r7" in caught.value.message
    assert "r4" not in caught.value.message
    assert f"{FEED_BUDGET:,}" in caught.value.message


values = st.sampled_from(["1", "2", "3"])
places = st.sampled_from(["", "data.a", "data.b"])


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 100), places, st.sets(values, min_size=1)), max_size=12),
    values,
    values,
)
def test_no_event_costs_more_than_was_worked_out(parts, a, b):
    """An event has one value at each place."""
    costs = [cost(units, place, *(wanted if place else ())) for units, place, wanted in parts]
    has = {"data.a": a, "data.b": b}
    costs_it = sum(units for units, place, wanted in parts if not place or has[place] in wanted)
    assert costs_it <= units_of(costs)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [("e.data.n == 1.0", "e.data.n == 1.0", True), ("e.data.n == 1.0", "e.data.n == 2.0", False)],
)
def test_values_that_the_index_takes_for_equal_are_one(first, second, same):
    one = units_of(costs_of(text_of(rule("a", f"{first} && {COSTLY}"))))
    both = units_of(
        costs_of(text_of(rule("a", f"{first} && {COSTLY}"), rule("b", f"{second} && {COSTLY}")))
    )
    assert (both > 1.5 * one) is same
