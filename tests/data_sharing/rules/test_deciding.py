"""Rules decide: matching, plans, conflicts, debounce, cooldown, parking, and the same again after
a restart."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.expressions.values import duration
from data_sharing.rules.effects import Hold, Invoke, PlanChange, PlanView
from data_sharing.rules.results import EffectStatus, RuleVerdict
from tests.support.rule_harness import (
    RuleHarness,
    Shelf,
    fired,
    ids,
    rules_of,
    verdicts,
)

SLOW = """
rules:
  - rule: slow
    watch: {traffic: {feed: traffic}}
    when: traffic.data.minutes > 30
    do: [{invoke: {application: lamp, action: blink, config: {times: traffic.data.minutes}}}]
"""


def plan(
    name: str = "work",
    *,
    owner: str = "k",
    values: dict[str, Any] | None = None,
    holds: dict[str, Hold] | None = None,
) -> PlanView:
    return PlanView(
        id=f"{owner}-{name}", version=1, name=name, owner=owner, occurrence_ms=1_000,
        fields={"id": name, "shift": duration(0), "actions": {"heat": {"config": {"minutes": 10}}}},
        actions=frozenset(("heat",)),
        values={"shift_ms": 0, "cancelled": False, "actions.heat.config.minutes": 10,
                **(values or {})},
        holds=holds or {}, every_values={}, every_holds={},
    )  # fmt: skip


def test_what_matches_is_invoked_with_computed_values() -> None:
    bench = RuleHarness(rules_of(SLOW))
    decided = bench.event("traffic", {"minutes": 45}, at_s=100)
    (effect,) = decided.effects
    assert isinstance(effect, Invoke)
    assert (effect.application, effect.action, effect.config) == ("lamp", "blink", {"times": 45})
    assert effect.deadline_ms == 100_000 + 600_000
    assert effect.cause.events[0].id == "e1"
    assert fired(decided)[0].read == {"traffic.data.minutes": 45}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"minutes": 30}, id="not-more"),
        pytest.param({}, id="the-field-is-missing"),
        pytest.param({"minutes": "45"}, id="a-text-is-no-number"),
        pytest.param({"minutes": None}, id="null-is-no-number"),
    ],
)
def test_what_does_not_match_is_left_alone(data: dict[str, Any]) -> None:
    assert not RuleHarness(rules_of(SLOW)).event("traffic", data).effects


def test_tenants_do_not_meet() -> None:
    bench = RuleHarness(rules_of(SLOW))
    event = bench.event("traffic", {"minutes": 45})
    assert fired(event)
    from data_sharing.event import Event

    foreign = Event("other", "app", "1", "traffic", "k", 0, {"minutes": 45})
    assert bench.rules.decide(
        foreign, now_ms=0, state=bench.state, plans=bench.plans
    ).outcomes == ()  # fmt: skip


def change(priority: int, rule: str, shift: str, when: str = "true") -> str:
    return f"""
  - rule: {rule}
    priority: {priority}
    watch: {{traffic: {{feed: traffic}}}}
    plan: {{named: work}}
    when: {when}
    do: [{{change: {{shift: duration("{shift}"), config: {{heat: {{minutes: "20"}}}}}}}}]
"""


def test_a_plan_is_changed_at_its_next_occurrence() -> None:
    bench = RuleHarness(rules_of("rules:" + change(5, "a", "-20m")), Shelf({"k": [plan()]}))
    (effect,) = bench.event("traffic").effects
    assert isinstance(effect, PlanChange)
    assert effect.plan_id == "k-work"
    assert effect.occurrence_ms == 1_000
    assert dict(effect.fields) == {"shift_ms": -1_200_000, "actions.heat.config.minutes": 20}


def test_where_two_rules_want_one_field_the_greater_priority_wins_and_says_so() -> None:
    text = "rules:" + change(5, "calm", "-5m") + change(9, "urgent", "-20m")
    decided = RuleHarness(rules_of(text), Shelf({"k": [plan()]})).event("traffic")
    (effect,) = decided.effects
    assert isinstance(effect, PlanChange)
    assert effect.cause.rule == "urgent"
    calm = next(one for one in decided.outcomes if one.rule == "calm")
    assert [(one.status, one.field) for one in calm.effects] == [
        (EffectStatus.OVERRULED, "shift_ms"),
        (EffectStatus.OVERRULED, "actions.heat.config.minutes"),
    ]
    assert "urgent" in calm.effects[0].reason


def test_of_equal_priorities_the_lesser_id_wins_whatever_the_order_of_the_file() -> None:
    rules = [change(5, "b", "-5m"), change(5, "a", "-20m")]
    for order in (rules, rules[::-1]):
        bench = RuleHarness(rules_of("rules:" + "".join(order)), Shelf({"k": [plan()]}))
        assert [one.cause.rule for one in bench.event("traffic").effects] == ["a"]


@pytest.mark.parametrize(
    ("hold", "status"),
    [
        pytest.param(Hold(6, "rule other"), EffectStatus.OVERRULED, id="a-greater-priority-set-it"),
        pytest.param(Hold(5, "rule other"), EffectStatus.TAKEN, id="an-equal-one-did"),
        pytest.param(Hold(1_000, "user u"), EffectStatus.OVERRULED, id="a-user-did"),
    ],
)
def test_who_set_a_field_before_keeps_it_against_lesser_priorities(
    hold: Hold, status: EffectStatus
) -> None:
    held = plan(holds={"shift_ms": hold})
    bench = RuleHarness(rules_of("rules:" + change(5, "a", "-20m")), Shelf({"k": [held]}))
    decided = bench.event("traffic")
    assert decided.outcomes[0].effects[0].status is status
    if status is EffectStatus.OVERRULED:
        assert hold.by in decided.outcomes[0].effects[0].reason
        # The other field is nobody's, and changes.
        assert [dict(one.fields) for one in decided.effects if isinstance(one, PlanChange)] == [
            {"actions.heat.config.minutes": 20}
        ]


def test_what_is_so_already_is_no_change() -> None:
    same = plan(values={"shift_ms": -1_200_000, "actions.heat.config.minutes": 20})
    bench = RuleHarness(rules_of("rules:" + change(5, "a", "-20m")), Shelf({"k": [same]}))
    decided = bench.event("traffic")
    assert not decided.effects
    assert {one.status for one in decided.outcomes[0].effects} == {EffectStatus.UNCHANGED}


def test_each_plan_is_judged_and_a_rule_without_one_says_so() -> None:
    text = "rules:" + change(5, "a", "-20m", when="plan.id == 'b'").replace("named: work", "")
    bench = RuleHarness(rules_of(text), Shelf({"k": [plan("a"), plan("b")]}))
    decided = bench.event("traffic")
    assert verdicts(decided) == ["not-matched", "fired"]
    assert verdicts(bench.event("traffic", key="stranger")) == ["no-plan"]


def test_an_action_that_the_plan_lacks_is_the_rules_failure_and_nothing_of_it_is_done() -> None:
    text = "rules:" + change(5, "a", "-20m").replace("heat:", "light:")
    decided = RuleHarness(rules_of(text), Shelf({"k": [plan()]})).event("traffic")
    assert verdicts(decided) == ["error"]
    assert "light" in decided.outcomes[0].detail
    assert not decided.effects


DEBOUNCED = SLOW + "    debounce: {wait: 1m, at_most: 3m}\n"


def test_debounce_fires_once_with_the_newest_match_after_quiet() -> None:
    bench = RuleHarness(rules_of(DEBOUNCED))
    for at_s, minutes in ((0, 40), (30, 41), (80, 42)):
        decided = bench.event("traffic", {"minutes": minutes}, at_s=at_s)
        assert verdicts(decided) == ["pending"]
        assert not decided.effects
    assert not fired(bench.pass_to(139.9))
    (outcome,) = fired(bench.pass_to(140))
    assert ids(outcome) == ["e3"]
    assert outcome.effects[0].effect.config == {"times": 42}  # type: ignore[union-attr]
    assert not fired(bench.pass_to(1_000))


def test_debounce_waits_no_longer_than_its_most() -> None:
    bench = RuleHarness(rules_of(DEBOUNCED))
    for at_s in range(0, 400, 50):
        bench.event("traffic", {"minutes": 40}, at_s=at_s)
    bench.pass_to(380)
    assert [ids(one) for one in fired(bench.decided)] == [["e4"], ["e8"]]


def test_cooldown_is_per_key() -> None:
    bench = RuleHarness(rules_of(SLOW + "    cooldown: 1m\n"))
    assert verdicts(bench.event("traffic", {"minutes": 40}, at_s=0)) == ["fired"]
    assert verdicts(bench.event("traffic", {"minutes": 40}, at_s=59)) == ["cooldown"]
    assert verdicts(bench.event("traffic", {"minutes": 40}, at_s=59, key="other")) == ["fired"]
    assert verdicts(bench.event("traffic", {"minutes": 40}, at_s=60)) == ["fired"]


def test_an_event_older_by_the_clock_than_wanted_is_not_decided() -> None:
    bench = RuleHarness(rules_of(SLOW + "    max_age: 1m\n"))
    assert verdicts(bench.event("traffic", {"minutes": 40}, at_s=0, now_s=61)) == ["too-old"]
    assert verdicts(bench.event("traffic", {"minutes": 40}, at_s=2, now_s=62)) == ["fired"]


POISON = """
rules:
  - rule: poison
    watch: {t: {feed: traffic}}
    park_after: 3
    when: 1 / int(t.data.n) > 0
    do: [{invoke: {application: a, action: b}}]
  - rule: sound
    watch: {t: {feed: traffic}}
    when: t.data.n == 0
    do: [{invoke: {application: a, action: b}}]
"""


def test_a_rule_that_fails_on_every_event_is_parked_and_its_feed_goes_on() -> None:
    bench = RuleHarness(rules_of(POISON))
    seen = [verdicts(bench.event("traffic", {"n": 0})) for _ in range(5)]
    assert seen == [["error", "fired"]] * 3 + [["parked", "fired"]] * 2
    bench.store()
    bench.restart()
    parked = bench.event("traffic", {"n": 0})
    assert verdicts(parked) == ["parked", "fired"]
    assert "divide by zero" in parked.outcomes[0].detail
    bench.restart(rules_of(POISON, version=2))
    assert verdicts(bench.event("traffic", {"n": 0})) == ["error", "fired"]


def test_failures_in_between_do_not_park() -> None:
    bench = RuleHarness(rules_of(POISON))
    for n in (0, 0, 1, 0, 0, 1, 0, 0):
        decided = bench.event("traffic", {"n": n})
        assert RuleVerdict.PARKED not in [one.verdict for one in decided.outcomes]


def test_a_field_that_is_missing_is_no_failure() -> None:
    bench = RuleHarness(rules_of(POISON))
    for _ in range(20):
        assert "parked" not in verdicts(bench.event("traffic", {}))


def test_a_missing_key_is_said() -> None:
    text = SLOW.replace("{feed: traffic}", "{feed: traffic, key: event.data.road}")
    decided = RuleHarness(rules_of(text)).event("traffic", {"minutes": 40})
    assert verdicts(decided) == ["no-key"]
    assert "road" in decided.outcomes[0].detail


EXPLAINED = """
rules:
  - rule: r
    watch: {t: {feed: traffic}}
    when: has(t.data.a) && (t.data.b > 3 || t.data.c == "x")
    do: [{invoke: {application: a, action: b}}]
"""


def test_why_it_did_not_fire_is_said_clause_by_clause() -> None:
    bench = RuleHarness(rules_of(EXPLAINED))
    decided = bench.event("traffic", {"a": 1, "b": 2}, explaining=True, whole=True)
    clauses = decided.outcomes[0].clauses
    assert clauses is not None
    assert (clauses.outcome, clauses.joined_by) == ("missing: no field c", "&&")
    first, either = clauses.parts
    assert (first.text, first.outcome) == ("has(t.data.a)", "true")
    assert either.joined_by == "||"
    assert [(one.text, one.outcome, one.read) for one in either.parts] == [
        ("t.data.b > 3", "false", {"t.data.b": 2}),
        ('t.data.c == "x"', "missing: no field c", {"t.data.c": None}),
    ]


def test_names_of_types_are_nothing_that_a_condition_reads() -> None:
    text = EXPLAINED.replace("has(t.data.a)", "type(t.data.a) == int")
    assert text != EXPLAINED
    bench = RuleHarness(rules_of(text))
    clauses = bench.event("traffic", {"a": 1, "b": 5}, explaining=True).outcomes[0].clauses
    assert clauses is not None
    assert clauses.parts[0].read == {"t.data.a": 1}


def test_explaining_on_a_fork_changes_nothing() -> None:
    text = SLOW.replace("when: ", "windows: {w: {over: 1m}}\n    when: window.w.count > 1 && ")
    bench = RuleHarness(rules_of(text))
    bench.event("traffic", {"minutes": 40}, at_s=1)
    from data_sharing.event import Event

    asked = Event("home", "app", "x", "traffic", "k", 2_000, {"minutes": 40})
    for _ in range(3):
        decided = bench.rules.decide(
            asked, now_ms=2_000, state=bench.state.fork(), plans=bench.plans, explaining=True
        )
        assert verdicts(decided) == ["fired"]
        assert decided.outcomes[0].read["window.w.count"] == 2


def test_other_rules_of_the_set_stay_when_one_changes() -> None:
    rules = rules_of(POISON)
    newer = rules_of(POISON.replace("t.data.n == 0", "t.data.n == 7"), version=2)
    changed = rules.with_changes([newer.rules["home", "sound"]])
    bench = RuleHarness(changed)
    assert verdicts(bench.event("traffic", {"n": 7})) == ["not-matched", "fired"]
    assert verdicts(bench.event("traffic", {"n": 0})) == ["error"]
    gone = changed.with_changes(retired=[("home", "poison")])
    assert [rule for _, rule in gone.rules] == ["sound"]
    assert verdicts(RuleHarness(gone).event("traffic", {"n": 0})) == []
    assert verdicts(RuleHarness(rules).event("traffic", {"n": 0})) == ["error", "fired"]
