"""Rules over the past: both sides decide alike what is alike, and what differs is told."""

from __future__ import annotations

import pytest

from data_sharing.event import Event
from data_sharing.management.backtest import EXAMPLES, Backtest
from data_sharing.plans.plan import created
from data_sharing.plans.spec import parse_plan
from data_sharing.rules.results import EffectStatus, RuleVerdict
from tests.support.rule_harness import TENANT, rules_of

START_MS = 1_772_427_600_000  # 2026-03-02T05:00:00Z
MINUTE_MS = 60_000


def slow(limit: int, *, shift: str = "-20m", name: str = "slow") -> str:
    return f"""
  - rule: {name}
    watch: {{t: {{feed: traffic}}}}
    when: t.data.minutes > {limit}
    plan: {{}}
    do: [{{change: {{shift: duration("{shift}")}}}}]
"""


QUIET = """
  - rule: quiet
    watch: {t: {feed: traffic}}
    when: "true"
    debounce: {wait: 5m}
    do: [{invoke: {application: lamp, action: blink}}]
"""
PLAN = """
plan: work
owner: k
at: 2026-03-02T09:00
zone: Europe/Berlin
actions:
  alarm: {application: alarm, action: ring, offset: -90m}
"""


def backtest(proposed: str, in_force: str, minutes: list[int]) -> Backtest:
    plan = created(TENANT, parse_plan(PLAN), START_MS)
    one = Backtest(
        rules_of("rules:" + proposed), rules_of("rules:" + in_force), [plan], start_ms=START_MS
    )
    for place, value in enumerate(minutes):
        at_ms = START_MS + place * MINUTE_MS
        one.add_event(
            Event(tenant=TENANT, source="s", id=f"e{place}", type="traffic", key="k",
                  time_ms=at_ms, data={"minutes": value}, subject="", position=place + 1),
            at_ms,
        )  # fmt: skip
    return one


def test_the_same_rules_do_the_same() -> None:
    one = backtest(slow(30) + QUIET, slow(30) + QUIET, [10, 40, 50])
    one.advance_to(START_MS + 120 * MINUTE_MS)
    assert one.events == 3
    assert (one.added.count, one.gone.count, one.changed.count) == (0, 0, 0)
    tally = one.proposed.counts_by_rule["slow"]
    assert tally.verdicts[RuleVerdict.FIRED] == 2
    assert tally.statuses == {EffectStatus.TAKEN: 1, EffectStatus.UNCHANGED: 1}
    assert one.proposed.counts_by_rule["quiet"].verdicts[RuleVerdict.FIRED] == 1, (
        "when its timer was due"
    )
    assert one.proposed.actions == {"run": 1}, "the alarm, 20 minutes earlier"
    assert sum(one.proposed.fired_by_minute.values()) == one.proposed.fired == 3


def test_a_lower_limit_fires_more_and_a_higher_one_less() -> None:
    one = backtest(slow(20), slow(45), [10, 30, 50])
    assert (one.added.count, one.gone.count, one.changed.count) == (1, 0, 1)
    ((ours, theirs),) = one.added.examples
    assert ours is not None
    assert (ours.cause, ours.plan_id, theirs) == ("e1", "work", None)
    ((ours, theirs),) = one.changed.examples
    assert ours is not None
    assert theirs is not None
    assert ours.effects == ("unchanged: plan work: shift_ms = -20m",)
    assert theirs.effects == ("taken: plan work: shift_ms = -20m",)
    less = backtest(slow(45), slow(20), [10, 30, 50])
    assert (less.added.count, less.gone.count) == (0, 1)


def test_a_rule_that_is_new_is_only_more() -> None:
    one = backtest(slow(30) + slow(30, name="also"), slow(30), [40, 10, 40])
    assert one.added.count == 2
    assert {ours.rule for ours, _ in one.added.examples if ours} == {"also"}
    assert "also" not in one.in_force.counts_by_rule


def test_examples_are_few_and_counts_are_all() -> None:
    one = backtest(slow(0, shift="-10m"), slow(0), [5] * 50)
    assert one.changed.count == 50
    assert (
        len(one.changed.examples) == len(one.proposed.counts_by_rule["slow"].examples) == EXAMPLES
    )


def test_what_goes_wrong_is_told_once() -> None:
    wrong = slow(30).replace("t.data.minutes > 30", "10 / int(t.data.minutes) > 3")
    one = backtest(wrong, slow(30), [0, 0, 2])
    tally = one.proposed.counts_by_rule["slow"]
    assert tally.verdicts[RuleVerdict.ERROR] == 2
    assert len(tally.failures) == 1
    assert tally.verdicts[RuleVerdict.FIRED] == 1


@pytest.mark.parametrize("minutes", [[31, 20], [31.0, 20.0], [31, 20.0]])
def test_how_numbers_are_written_makes_no_difference(minutes: list[int]) -> None:
    half = slow(30).replace("t.data.minutes > 30", "t.data.minutes / 2.0 > 15.0")
    one = backtest(half, slow(30), minutes)
    assert (one.proposed.fired, one.in_force.fired) == (1, 1)
    assert (one.added.count, one.gone.count, one.changed.count) == (0, 0, 0)


@pytest.mark.parametrize("until_ms", [START_MS, START_MS + MINUTE_MS])
def test_nothing_is_known_of_what_comes_after(until_ms: int) -> None:
    one = backtest(QUIET, QUIET, [1])
    one.advance_to(until_ms)
    assert one.proposed.fired == 0


ALONE = """
  - rule: alone
    watch: {{t: {{feed: traffic}}}}
    absent_for: {wait}
    limits: [{{at_most: 2, per: 1h}}]
    when: "true"
    do: [{{invoke: {{application: lamp, action: blink}}}}]
"""


def test_rules_about_time_are_tried_as_they_are_decided() -> None:
    """Absence by the times of the log; what limits hold back is counted."""
    made = backtest(ALONE.format(wait="30s"), ALONE.format(wait="90s"), [1, 2, 3, 4])
    made.advance_to(START_MS + 10 * MINUTE_MS)
    ours = made.proposed.counts_by_rule["alone"].verdicts
    assert (ours[RuleVerdict.FIRED], ours[RuleVerdict.LIMITED]) == (2, 2)
    assert made.in_force.counts_by_rule["alone"].verdicts[RuleVerdict.FIRED] == 1
    assert (made.added.count, made.gone.count) == (2, 1)
