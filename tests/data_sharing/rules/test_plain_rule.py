"""Plain rules: the shortest way comes to what the short one does, or says nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from data_sharing.event import Event
from data_sharing.rules.effects import Cause, EventRef, effect_id, effect_id_of, effect_id_prefix
from data_sharing.rules.plain_rule import plain_of
from data_sharing.rules.predicates import admits
from data_sharing.rules.results import RuleVerdict
from data_sharing.rules.stateless_rule import on_event_alone
from tests.support.examples import examples
from tests.support.rule_conditions import scalars
from tests.support.stateless_rules import context, rule

PARTS = (
    "has(e.data.a)", "e.data.a > -2", "event.data.a <= 2.5", 'e.data.b in ["a", "ab", 2]',
    'e.data.b.startsWith("a")', 'event.subject == "s"', "has(e.data.c.d)",
    '(e.data.b == "a" || e.data.a == 2)',
)  # fmt: skip
SCHEMAS: list[dict[str, Any] | None] = [
    None,
    {"properties": {"a": {"type": ["integer", "string", "boolean", "null"]}}},
    {"properties": {"a": {"type": "number"}, "c": {"properties": {"d": {"type": "integer"}}}}},
]
conditions = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map(" && ".join)
values = st.one_of(
    scalars, st.sampled_from(["a" * 200, "a" * 201, 2**53 - 1, 3.0, 1e16, [1], {"d": 1}])
)
events = st.builds(
    lambda data, subject, hops: Event(
        "t", "s'\"", "1", "feed", "k", 4_000, data, subject, 7, hops=hops
    ),
    st.fixed_dictionaries(
        {}, optional={"a": values, "b": values, "c": st.fixed_dictionaries({"d": values})}
    ),
    st.sampled_from(["s", ""]),
    st.sampled_from([0, 0, 1]),
)


@examples(
    100,
    1_500,
    conditions,
    st.sampled_from(["e.data.a", "e.data.c.d", "event.subject", "e.data.c", "'x'", "7", "2.5"]),
    st.sampled_from(["", "event.data.a == 2"]),
    st.sampled_from(["event.key", "event.data.b"]),
    st.sampled_from(["", "max_age: 1s"]),
    st.sampled_from(SCHEMAS),
    st.lists(events, min_size=1, max_size=5),
)
def test_the_shortest_way_comes_to_what_the_short_one_does(
    when: str, config: str, where: str, key: str, more: str, schema: Any, some: list[Event]
) -> None:
    made = rule(when, schema, where=where, key=key, config=config, more=more)
    (one,) = made.inputs.values()
    plain = plain_of(made, one)
    for event in some:
        if plain is None or not admits(one.conjuncts, event):
            continue
        for explaining in (False, True):
            said = plain.fired(context(event, explaining=explaining))
            if said is not None:
                assert [said] == on_event_alone(context(event, explaining=explaining), made, one)


EVENT = Event("t", "s", "1", "feed", "k", 5_000, {"a": 2, "b": "ab", "c": {"d": 3.0}}, "s")


@pytest.mark.parametrize("when", PARTS[:-1])
@pytest.mark.parametrize("config", ["e.data.c.d", "event.subject", "'x'", "7", "true"])
def test_what_is_plain_goes_the_shortest_way(when: str, config: str) -> None:
    made = rule(f"{when} && has(e.data.b)", None, config=config)
    plain = plain_of(made, made.inputs["e"])
    assert plain is not None
    found = plain.fired(context(EVENT, explaining=True))
    assert found is not None
    assert found.outcome.verdict is RuleVerdict.FIRED
    assert [found] == on_event_alone(context(EVENT, explaining=True), made, made.inputs["e"])


@pytest.mark.parametrize(
    ("when", "config"),
    [
        pytest.param("e.data.a != 3", "e.data.a", id="a-condition-that-the-index-does-not-know"),
        pytest.param(PARTS[-1], "e.data.a", id="an-or"),
        pytest.param("has(e.data.a)", "e.data.a + 1.0", id="a-setting-that-is-computed"),
        pytest.param("has(e.data.a)", "key", id="a-setting-that-is-not-of-the-event"),
        pytest.param("has(e.data.a)", "2.5", id="a-fraction-as-a-constant"),
    ],
)
def test_what_is_not_plain_has_no_shortest_way(when: str, config: str) -> None:
    made = rule(when, None, config=config)
    assert plain_of(made, made.inputs["e"]) is None


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"data": {"a": 2**53}}, id="a-number-that-doubles-may-not-have"),
        pytest.param({"data": {"a": [1]}}, id="a-list"),
        pytest.param({"data": {"a": "a" * 201}}, id="a-text-that-is-shown-cut"),
        pytest.param({"hops": 1}, id="an-event-of-a-loop"),
        pytest.param({"time_ms": 0}, id="an-event-that-is-too-old"),
    ],
)
def test_on_what_needs_more_words_the_long_way_is_asked(event: dict[str, Any]) -> None:
    made = rule("has(e.data.a)", None, more="max_age: 1s")
    plain = plain_of(made, made.inputs["e"])
    assert plain is not None
    given = {"data": {"a": 1}, "time_ms": 5_000} | event
    strange = Event("t", "s", "1", "feed", "k", given["time_ms"], given["data"],
                    hops=given.get("hops", 0))  # fmt: skip
    assert plain.fired(context(strange, explaining=True)) is None


@examples(30, 300, st.text(), st.text(), st.integers(0, 3))
def test_ids_of_effects_are_the_same_however_they_are_made(
    tenant: str, name: str, number: int
) -> None:
    events = (EventRef(name, tenant),)
    prefix = effect_id_prefix(tenant, name, 3, number)
    assert effect_id_of(prefix, events) == effect_id(
        tenant, Cause(name, 3, events), "", None, number
    )


def test_ids_of_effects_stay_what_they_were() -> None:
    cause = Cause("r", 2, (EventRef("s", "1"), EventRef("s", "2")), "timer")
    assert effect_id("t", cause, "p", 5, 1) == "1b58043f191ff1fa2b335cff"
