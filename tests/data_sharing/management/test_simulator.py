"""The simulator: a worker in memory whose clock moves when it is told."""

from __future__ import annotations

from data_sharing.management.simulator import SimulatedStep, Simulator
from data_sharing.plans.plan import created
from data_sharing.plans.spec import parse_plan
from data_sharing.rules.results import RuleVerdict
from tests.support.decisions_harness import TENANT, event
from tests.support.instructions import NOW_MS
from tests.support.rule_harness import rules_of

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
BLINK = """
rules:
  - rule: slow-road
    watch: {e: {feed: traffic}}
    when: e.data.minutes > 30
    debounce: {wait: 5m}
    do: [{invoke: {application: lamp, action: blink}}]
"""
LATER = """
rules:
  - rule: later
    watch: {e: {feed: traffic}}
    when: e.data.minutes > 30
    plan: {}
    do: [{change: {shift: 'duration("10m")'}}]
"""
PLAN = parse_plan(
    """
plan: wake-up
owner: k
at: 2027-01-15T09:00
actions: {light: {application: lamp, action: blink}}
"""
)  # an hour after NOW_MS


def simulator(text: str, *, with_plan: bool = False) -> Simulator:
    plans = [created(TENANT, PLAN, NOW_MS)] if with_plan else []
    return Simulator(rules_of(text), plans, NOW_MS)


def verdicts(step: SimulatedStep) -> list[RuleVerdict]:
    return [one.verdict for one in step.outcomes]


def test_a_timer_comes_due_between_events_at_its_own_time() -> None:
    made = simulator(BLINK)
    assert verdicts(made.event(event({"minutes": 45}), NOW_MS)) == [RuleVerdict.PENDING]
    assert made.next(NOW_MS + 5 * MINUTE_MS - 1, NOW_MS) is None
    step = made.next(NOW_MS + HOUR_MS, NOW_MS)
    assert step is not None
    assert (step.at_ms, verdicts(step)) == (NOW_MS + 5 * MINUTE_MS, [RuleVerdict.FIRED])
    assert made.next(NOW_MS + HOUR_MS, NOW_MS) is None, "a timer comes once"


def test_a_timer_that_was_replaced_comes_at_its_new_time_alone() -> None:
    made = simulator(BLINK)
    made.event(event({"minutes": 45}), NOW_MS)
    made.event(event({"minutes": 50}, id="e2"), NOW_MS + MINUTE_MS)
    step = made.next(NOW_MS + HOUR_MS, NOW_MS)
    assert step is not None
    assert step.at_ms == NOW_MS + 6 * MINUTE_MS
    assert made.next(NOW_MS + HOUR_MS, NOW_MS) is None


def test_actions_of_plans_come_due_and_only_up_to_their_own_bound() -> None:
    made = simulator(BLINK, with_plan=True)
    first = made.next(NOW_MS, NOW_MS)
    assert first == SimulatedStep("", NOW_MS), "a plan is looked at once at the start"
    assert made.next(NOW_MS + 2 * HOUR_MS, NOW_MS + HOUR_MS - 1) is None
    step = made.next(NOW_MS, NOW_MS + HOUR_MS)
    assert step is not None
    assert (step.event, step.at_ms) == ("", NOW_MS + HOUR_MS)
    assert [(one.name, one.skipped) for one in step.actions] == [("light", False)]
    assert made.next(NOW_MS + 2 * HOUR_MS, NOW_MS + 2 * HOUR_MS) is None


def test_a_rule_that_changes_a_plan_moves_its_actions() -> None:
    made = simulator(LATER, with_plan=True)
    assert verdicts(made.event(event({"minutes": 45}), NOW_MS)) == [RuleVerdict.FIRED]
    assert made.next(NOW_MS + HOUR_MS, NOW_MS + HOUR_MS) is None, "it is ten minutes later now"
    step = made.next(NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS)
    assert step is not None
    assert step.at_ms == NOW_MS + HOUR_MS + 10 * MINUTE_MS


def test_the_earlier_of_a_timer_and_an_action_comes_first() -> None:
    made = simulator(BLINK, with_plan=True)
    made.event(event({"minutes": 45}), NOW_MS)
    until_ms = NOW_MS + 2 * HOUR_MS
    steps = [made.next(until_ms, until_ms), made.next(until_ms, until_ms)]
    assert [bool(one and one.actions) for one in steps] == [False, True]
    assert made.next(until_ms, until_ms) is None


def test_the_clock_does_not_go_back() -> None:
    made = simulator(BLINK)
    made.event(event({"minutes": 3}), NOW_MS + MINUTE_MS)
    step = made.event(event({"minutes": 3}, id="e2"), NOW_MS)
    assert step.at_ms == made.now_ms == NOW_MS + MINUTE_MS
