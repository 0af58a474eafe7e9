"""Rules outside their hours: what matches is dropped, or deferred to when they open."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.support.rule_harness import RuleHarness, faults_of, fired, ids, rules_of, verdicts

START_S = datetime.fromisoformat("2026-03-02T21:00+01:00").timestamp()  # a Monday
OPENS_S = START_S + 11 * 3_600

QUIET = """
rules:
  - rule: r
    watch: {t: {feed: f}}
    active_hours:
      zone: Europe/Berlin
      open: [{days: [MO, TU, WE, TH, FR], from: "08:00", to: "20:00"}]
      outside: drop
    when: t.data.x > 0.0
    do: [{invoke: {application: a, action: b, config: {x: t.data.x}}}]
"""
DEFERRING = QUIET.replace("outside: drop", "outside: defer")


def harness(text: str) -> RuleHarness:
    return RuleHarness(rules_of(text))


def test_outside_its_hours_a_rule_drops_what_matches_and_says_when_they_open() -> None:
    bench = harness(QUIET)
    assert verdicts(bench.event("f", {"x": 1}, at_s=START_S)) == ["quiet-hours"]
    assert bench.decided[-1].outcomes[0].detail == (
        "outside its hours, which open at 2026-03-03T08:00:00+01:00; it is dropped"
    )
    assert verdicts(bench.event("f", {"x": 0}, at_s=START_S + 1)) == []
    assert not fired(bench.pass_to(OPENS_S))
    assert verdicts(bench.event("f", {"x": 1}, at_s=OPENS_S)) == ["fired"]


def test_what_is_deferred_fires_once_when_the_hours_open_with_the_newest_match() -> None:
    bench = harness(DEFERRING)
    for number in range(3):
        decided = bench.event("f", {"x": 1 + number}, at_s=START_S + number)
        assert verdicts(decided) == ["deferred"]
        assert not decided.effects
    assert "deferred to 2026-03-03T08:00:00+01:00" in bench.decided[-1].outcomes[0].detail
    assert not fired(bench.pass_to(OPENS_S - 1))
    bench.store()
    bench.restart()
    (outcome,) = fired(bench.pass_to(OPENS_S))
    assert ids(outcome) == ["e3"]
    assert outcome.effects[0].effect.config == {"x": 3}  # type: ignore[union-attr]
    assert not fired(bench.pass_to(OPENS_S + 90_000))


def test_all_that_is_deferred_fires_where_that_is_wanted_and_is_bounded() -> None:
    bench = harness(DEFERRING.replace("outside: defer", "outside: defer\n      fold: all"))
    for number in range(20):
        bench.event("f", {"x": 1}, at_s=START_S + number)
    assert bench.decided[-1].evicted == (("r", 1),)
    found = fired(bench.pass_to(OPENS_S))
    assert [ids(one) for one in found] == [[f"e{number}"] for number in range(5, 21)]
    names = [one.effect.id for each in found for one in each.effects]
    assert len(set(names)) == 16


def test_cooldown_and_limits_hold_when_the_hours_open() -> None:
    text = DEFERRING.replace("outside: defer", "outside: defer\n      fold: all")
    for more, said in (
        ("cooldown: 1h", "cooldown"),
        ("limits: [{at_most: 1, per: 1h}]", "limited"),
    ):
        bench = harness(text.replace("    when:", f"    {more}\n    when:"))
        for number in range(3):
            bench.event("f", {"x": 1}, at_s=START_S + number)
        (decided,) = bench.pass_to(OPENS_S)
        assert verdicts(decided) == ["fired", said, said]


def test_a_timer_that_is_noticed_after_the_hours_waits_for_the_next() -> None:
    bench = harness(DEFERRING)
    bench.event("f", {"x": 1}, at_s=START_S)
    (timer,) = bench.timers.values()
    how = {"state": bench.state, "plans": bench.plans, "now_ms": timer.due_ms}
    late = bench.rules.due(timer, clock_ms=timer.due_ms + 13 * 3_600_000, **how)  # type: ignore[arg-type]
    assert verdicts(late) == ["deferred"]
    assert [one.due_ms for one in late.timers] == [timer.due_ms + 24 * 3_600_000]


def test_absence_that_is_noticed_outside_the_hours_is_deferred() -> None:
    text = DEFERRING.replace("    when: t.data.x > 0.0", '    absent_for: 1h\n    when: "true"')
    bench = harness(text)
    bench.event("f", {"x": 7}, at_s=START_S)
    assert [verdicts(one) for one in bench.pass_to(START_S + 3_600)] == [["deferred"]]
    assert ids(fired(bench.pass_to(OPENS_S))[0]) == ["e1"]


@pytest.mark.parametrize(
    ("change", "with_", "said"),
    [
        ("Europe/Berlin", "Europe/Nowhere", "active_hours.zone: \"Europe/Nowhere\" is no IANA"),
        ('"08:00"', '"8 am"', "active_hours.open[0].from: \"8 am\" is no time of day"),
        ("MO,", "MON,", "active_hours.open[0].days: \"MON\" is none of MO"),
        ('to: "20:00"', 'starts: "2026-03-02T09:00"', "active_hours.open[0].starts: goes with"),
        ("outside: drop", "closed_on: [Xmas]", "active_hours.closed_on: \"Xmas\" is no date"),
        ("outside: drop", "closed_on: [2026-12-25]\n      open_on: [2026-12-25]",
         "active_hours.open_on: 2026-12-25 stands in `closed_on` as well"),
        ('[{days: [MO, TU, WE, TH, FR], from: "08:00", to: "20:00"}]', "[]",
         "active_hours.open: names no hours"),
        ('{days: [MO, TU, WE, TH, FR], from: "08:00", to: "20:00"}',
         '{starts: "2026-03-02T09:00", lasts: 1h, repeats: "FREQ=DAILY;COUNT=3"}',
         "active_hours.open[0].repeats: has COUNT"),
    ],
)  # fmt: skip
def test_what_are_no_hours_is_refused_with_its_place(change: str, with_: str, said: str) -> None:
    text = QUIET.replace(change, with_)
    assert text != QUIET
    assert any(one.startswith(f"rules.r.{said}") for one in faults_of(text)), faults_of(text)


ACTION = """
rules:
  - rule: r
    watch: {t: {feed: f}}
    when: t.data.x > 0.0
    do:
      - invoke:
          application: a
          action: loud
          active_hours: {zone: Europe/Berlin, open: [{from: "08:00", to: "20:00"}]}
      - invoke: {application: a, action: quiet}
"""


def test_an_action_outside_its_hours_is_left_out_and_the_others_are_done() -> None:
    bench = harness(ACTION)
    decided = bench.event("f", {"x": 1}, at_s=START_S)
    assert [one.action for one in decided.effects] == ["quiet"]  # type: ignore[union-attr]
    left_out, done = decided.outcomes[0].effects
    assert (left_out.status, done.status) == ("quiet-hours", "taken")
    assert left_out.reason == "outside its hours; they open at 2026-03-03T08:00:00+01:00"
    assert len(bench.event("f", {"x": 1}, at_s=OPENS_S).effects) == 2


def test_hours_of_an_action_are_checked_and_cannot_be_waited_for() -> None:
    at = "rules.r.do[0].invoke.active_hours"
    (said,) = faults_of(ACTION.replace('to: "20:00"}]', 'to: "20:00"}], outside: defer'))
    assert said.startswith(f"{at}.outside: an action is left out outside its hours")
    (said,) = faults_of(ACTION.replace("08:00", "8"))
    assert said.startswith(f"{at}.open[0].from")
