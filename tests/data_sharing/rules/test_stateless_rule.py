"""Rules that look at one event alone: the short way comes to what the long one does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.expressions.environment import ValueType
from data_sharing.event import Event
from data_sharing.rules import explanation
from data_sharing.rules.document_faults import InvalidDocument
from data_sharing.rules.evaluation import on_event
from data_sharing.rules.event_condition import event_condition
from data_sharing.rules.event_view import EVENT, EventView
from data_sharing.rules.feed_schema import FeedSchema
from data_sharing.rules.predicates import admits
from data_sharing.rules.results import RuleVerdict
from data_sharing.rules.stateless_rule import on_event_alone
from tests.support.examples import examples
from tests.support.rule_conditions import conditions, events
from tests.support.stateless_rules import context, rule

SCHEMAS: list[dict[str, Any] | None] = [
    None,
    {"type": "object", "properties": {"a": {"type": ["integer", "string", "boolean", "null"]}}},
    {"type": "object", "properties": {"b": {"type": ["integer", "string", "boolean", "null"]}}},
]


@examples(
    80,
    800,
    conditions,
    st.sampled_from(["", "has(event.data.a)", "event.data.b > 1", "event.data.a == 'a'"]),
    st.sampled_from(["event.key", "event.data.a", "event.subject"]),
    st.sampled_from(["event.data.a", "1.0 / event.data.b", "e.data.c.d", "string(now)"]),
    st.sampled_from(["", "max_age: 1s", "max_age: 1h"]),
    st.sampled_from(SCHEMAS),
    st.lists(events, min_size=1, max_size=5),
)
def test_the_short_way_comes_to_what_the_long_one_does(
    when: str, where: str, key: str, config: str, more: str, schema: Any, some: list[Event]
) -> None:
    try:
        made = rule(when, schema, where=where, key=key, config=config, more=more)
    except (InvalidInput, InvalidDocument):
        assume(False)
    assert made.alone
    (one,) = made.inputs.values()
    for event in some:
        if not admits(one.conjuncts, event):
            continue  # no index finds it
        for explaining in (False, True):
            short = on_event_alone(context(event, explaining=explaining), made, one)
            whole = on_event(context(event, explaining=explaining), made, (), (one,))
            assert short == whole


@examples(80, 800, conditions, st.sampled_from(SCHEMAS), st.lists(events, min_size=1, max_size=6))
def test_what_is_asked_of_the_event_itself_is_what_cel_says_of_its_view(
    text: str, schema: Any, some: list[Event]
) -> None:
    try:
        found = EVENT.compile(text, field="when", returns=(ValueType.BOOL,))
    except InvalidInput:
        assume(False)
    asked = event_condition(found.tree, frozenset(("event",)))
    assume(asked is not None)
    view = EventView(FeedSchema("feed", schema), [()])
    for event in some:
        said = asked(event)
        if said is not None:
            assert found._eval(EVENT.bind({"event": view.of(event)})).plain_value() is said


@pytest.mark.parametrize(
    ("text", "data", "expected"),
    [
        pytest.param("has(event.data.a)", {"a": None}, False, id="null-is-not-there"),
        pytest.param("has(event.data.c.d)", {"c": {"d": 0}}, True, id="a-field-below"),
        pytest.param("has(event.data.c.d)", {"c": 1}, None, id="below-what-has-no-fields"),
        pytest.param("event.data.a == 1", {"a": 1.0}, True, id="a-whole-number-however-written"),
        pytest.param("event.data.a > 1.5", {"a": 2}, True, id="a-whole-number-and-a-fraction"),
        pytest.param("event.data.a == 1", {"a": 2**53}, None, id="beyond-exact-numbers-cel"),
        pytest.param("event.data.a == 1", {}, None, id="of-what-is-missing-cel"),
        pytest.param('event.subject == "s"', {}, True, id="an-attribute"),
    ],
)
def test_an_event_is_asked_itself(text: str, data: Any, expected: bool | None) -> None:
    asked = event_condition(EVENT.compile(text, field="when").tree, frozenset(("event",)))
    assert asked is not None
    assert asked(Event("t", "s", "1", "feed", "k", 0, data, "s")) is expected


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("cooldown: 1s", id="a-cooldown"),
        pytest.param("debounce: {wait: 1s}", id="a-debounce"),
        pytest.param("windows: {w: {over: 1m}}", id="a-window"),
        pytest.param("plan: {of: event.key}", id="a-plan"),
    ],
)
def test_a_rule_that_remembers_or_reads_more_goes_the_long_way(more: str) -> None:
    assert not rule("e.data.a == 1", None, more=more).alone


def test_an_effect_that_cannot_be_computed_is_the_rules_failure() -> None:
    made = rule("has(e.data.a)", None, config="1 / int(e.data.a)")
    event = Event("t", "s", "1", "feed", "k", 5_000, {"a": 0}, "")
    (found,) = on_event_alone(context(event, explaining=True), made, made.inputs["e"])
    assert found.outcome.verdict is RuleVerdict.ERROR
    assert found.outcome.detail.startswith("do: x:")


@examples(50, 500, conditions, events)
def test_clauses_read_and_come_to_what_each_of_them_does_alone(text: str, event: Event) -> None:
    try:
        made = rule(text, None)
    except InvalidInput:
        assume(False)
    leaves = list(made.clauses.leaves())
    assert made.clause_paths == {
        leaf.text: made._paths(made.clause(leaf.text).tree) for leaf in leaves
    }
    values = {"key": event.key, "e": {}, "event": EventView(FeedSchema("f", None), [()]).of(event)}
    bindings = made.environment.bind(values)
    holds = made.when.holds(bindings)
    known = explanation.clauses(made, values, bindings, holds)
    assert explanation.read_by(known) == explanation.read(made, values)
    if made.clauses.parts:
        assert known == explanation._clause(made, made.clauses, values, bindings, False)
