"""Sequences: which events are taken, what ends a partial match, what fires when nothing came."""

from __future__ import annotations

import pytest

from data_sharing.rules.cell_cache import CellId, RuleCell
from data_sharing.rules.event_cost import of_rule
from data_sharing.rules.fields_read import fields_read
from tests.support.rule_harness import (
    TENANT,
    RuleHarness,
    faults_of,
    fired,
    ids,
    rules_of,
    verdicts,
)

UNPAID = """
rules:
  - rule: unpaid
    watch: {order: {feed: order}, paid: {feed: payment}}
    sequence:
      within: 30m
      steps:
        - {step: order}
        - {without: paid, when: paid.data.total >= order.data.total}
    when: order.data.total > 10.0
    do: [{invoke: {application: mail, action: remind, config: {total: order.data.total}}}]
"""

ORDERED = """
rules:
  - rule: r
    watch: {a: {feed: a}, x: {feed: x}, b: {feed: b}}
    sequence:
      within: 10s
      steps:
        - {step: a, when: a.data.n > 0.0}
        - {without: x}
        - {step: b, when: b.data.n > a.data.n}
    when: "true"
    do: [{invoke: {application: m, action: r, config: {a: a.data.n, b: b.data.n}}}]
"""

SILENT = """
rules:
  - rule: silent
    watch: {beat: {feed: beat, where: event.data.ok}}
    absent_for: 5m
    when: "true"
    do: [{invoke: {application: pager, action: page, config: {last: beat.id, at: now}}}]
"""


def cell(bench: RuleHarness, rule: str, key: str = "k") -> RuleCell:
    found = bench.state.get(CellId(TENANT, "rule", rule, key))
    assert isinstance(found, RuleCell)
    return found


def partials(bench: RuleHarness, rule: str = "r") -> int:
    state = cell(bench, rule).sequence
    assert state is not None
    return len(state.partials)


def details(bench: RuleHarness) -> list[str]:
    return [one.detail for one in bench.decided[-1].outcomes]


def test_a_step_after_another_within_the_time_fires() -> None:
    bench = RuleHarness(rules_of(ORDERED))
    assert verdicts(bench.event("a", {"n": 1}, at_s=0)) == ["waiting"]
    (said,) = details(bench)
    assert said == (
        "seen a = e1; waits for step 2 of 2, b (b where b.data.n > a.data.n), until "
        "1970-01-01T00:00:10Z, unless x (x) comes before"
    )
    (outcome,) = fired(bench.event("b", {"n": 2}, at_s=10))
    assert ids(outcome) == ["e1", "e2"]
    assert [one.id for one in outcome.consumed] == ["e1", "e2"]
    assert outcome.effects[0].effect.config == {"a": 1, "b": 2}  # type: ignore[union-attr]
    assert partials(bench) == 0


def test_a_step_after_its_time_or_at_another_key_does_not() -> None:
    bench = RuleHarness(rules_of(ORDERED))
    bench.event("a", {"n": 1}, at_s=0)
    assert verdicts(bench.event("b", {"n": 2}, at_s=1, key="other")) == ["not-matched"]
    assert verdicts(bench.event("b", {"n": 2}, at_s=10.001)) == ["not-matched"]
    assert details(bench)[0].startswith("no partial match takes it; seen a = e1")


def test_an_event_that_a_step_does_not_take_is_left_out_of_account() -> None:
    bench = RuleHarness(rules_of(ORDERED))
    bench.event("a", {"n": 5}, at_s=0)
    assert verdicts(bench.event("b", {"n": 3}, at_s=1)) == ["not-matched"]
    assert details(bench)[0].startswith("no partial match takes it; seen a = e1; waits for step 2")
    assert ids(fired(bench.event("b", {"n": 6}, at_s=2))[0]) == ["e1", "e3"]


def test_what_must_not_come_in_between_ends_what_waits() -> None:
    bench = RuleHarness(rules_of(ORDERED))
    bench.event("a", {"n": 1}, at_s=0)
    assert verdicts(bench.event("x", at_s=1)) == ["not-matched"]
    assert details(bench)[0].startswith("it ended 1 partial match")
    assert not fired(bench.event("b", {"n": 2}, at_s=2))
    bench.event("a", {"n": 1}, at_s=3)
    assert fired(bench.event("b", {"n": 2}, at_s=4))


def test_a_match_uses_up_all_that_began_before_its_last_event() -> None:
    bench = RuleHarness(rules_of(ORDERED))
    for at_s in range(3):
        bench.event("a", {"n": 1 + at_s}, at_s=at_s)
    assert ids(fired(bench.event("b", {"n": 9}, at_s=4))[0]) == ["e1", "e4"]
    assert not fired(bench.event("b", {"n": 9}, at_s=5))


def test_partial_matches_are_bounded_and_what_goes_is_counted() -> None:
    bench = RuleHarness(rules_of(ORDERED.replace("within: 10s", "within: 10s\n      keep: 3")))
    for number in range(5):
        bench.event("a", {"n": 1}, at_s=number)
    assert partials(bench) == 3
    assert cell(bench, "r").evicted == 2
    assert "older events made room, 2 so far" in details(bench)[0]
    assert bench.decided[-1].evicted == (("r", 1),)
    assert ids(fired(bench.event("b", {"n": 9}, at_s=6))[0]) == ["e3", "e6"]


def test_a_failed_condition_is_an_error_that_says_where() -> None:
    bench = RuleHarness(rules_of(ORDERED.replace("b.data.n > a.data.n", "1 / int(b.data.n) == 1")))
    bench.event("a", {"n": 1}, at_s=0)
    assert verdicts(bench.event("b", {"n": 0}, at_s=1)) == ["error"]
    assert details(bench)[0].startswith("sequence.steps[2].when: ")
    assert fired(bench.event("b", {"n": 1}, at_s=2))


def test_ordered_but_not_paid_fires_once_when_the_time_is_over() -> None:
    bench = RuleHarness(rules_of(UNPAID))
    assert verdicts(bench.event("order", {"total": 20}, at_s=0)) == ["waiting"]
    assert details(bench)[0] == (
        "seen order = e1; fires at 1970-01-01T00:30:00Z unless paid (payment where "
        "paid.data.total >= order.data.total) comes before 1970-01-01T00:30:00Z"
    )
    assert verdicts(bench.event("payment", {"total": 5}, at_s=60)) == ["not-matched"]
    assert not fired(bench.pass_to(1_799))
    (outcome,) = fired(bench.pass_to(1_800))
    assert ids(outcome) == ["e1"]
    assert outcome.detail == (
        "no paid came before 1970-01-01T00:30:00Z, which was to be decided at 1970-01-01T00:30:00Z"
    )
    assert not bench.timers
    assert not fired(bench.pass_to(10_000))


def test_ordered_and_paid_does_not_fire() -> None:
    bench = RuleHarness(rules_of(UNPAID))
    bench.event("order", {"total": 20}, at_s=0)
    bench.event("payment", {"total": 20}, at_s=1_799)
    assert not bench.timers
    assert not fired(bench.pass_to(10_000))


def test_where_the_condition_is_false_when_the_time_is_over_nothing_is_kept() -> None:
    bench = RuleHarness(rules_of(UNPAID))
    bench.event("order", {"total": 5}, at_s=0)
    assert [verdicts(one) for one in bench.pass_to(1_800)] == [["not-matched"]]
    assert partials(bench, "unpaid") == 0


def test_a_match_for_which_the_condition_is_false_goes_on_waiting_for_its_last_step() -> None:
    bench = RuleHarness(rules_of(ORDERED.replace('when: "true"', "when: b.data.n > 5.0")))
    bench.event("a", {"n": 1}, at_s=0)
    assert verdicts(bench.event("b", {"n": 2}, at_s=1)) == ["not-matched"]
    assert ids(fired(bench.event("b", {"n": 6}, at_s=2))[0]) == ["e1", "e3"]


def test_a_late_event_that_the_rule_allows_is_taken_although_the_time_has_gone_on() -> None:
    bench = RuleHarness(rules_of(ORDERED.replace("    sequence:", "    late: 5s\n    sequence:")))
    bench.event("a", {"n": 1}, at_s=0)
    bench.event("a", {"n": 9}, at_s=14)
    assert ids(fired(bench.event("b", {"n": 2}, at_s=10, now_s=14))[0]) == ["e1", "e3"]


def test_silence_fires_once_and_again_only_after_another_event() -> None:
    bench = RuleHarness(rules_of(SILENT))
    for at_s in (0, 100, 390):
        assert not fired(bench.event("beat", {"ok": True}, at_s=at_s))
    assert not fired(bench.event("beat", {"ok": False}, at_s=500))
    assert not fired(bench.pass_to(689.999))
    (outcome,) = fired(bench.pass_to(690))
    assert ids(outcome) == ["e3"]
    assert outcome.effects[0].effect.config == {  # type: ignore[union-attr]
        "last": "e3",
        "at": "1970-01-01T00:11:30Z",
    }
    assert not fired(bench.pass_to(5_000))
    bench.event("beat", {"ok": True}, at_s=5_000)
    assert len(fired(bench.pass_to(9_000))) == 1


def test_a_silence_that_is_over_when_its_timer_is_late_fires_nonetheless_and_once() -> None:
    bench = RuleHarness(rules_of(SILENT))
    bench.event("beat", {"ok": True}, at_s=0)
    bench.store()
    waiting, bench.timers = bench.timers, {}  # nobody looks at timers
    bench.restart()
    bench.event("beat", {"ok": True}, at_s=400)
    bench.timers |= waiting
    (outcome,) = fired(bench.pass_to(500))
    assert ids(outcome) == ["e1"]
    (again,) = fired(bench.pass_to(2_000))
    assert ids(again) == ["e2"]


def test_an_event_from_before_what_is_decided_is_late() -> None:
    bench = RuleHarness(rules_of(SILENT))
    bench.event("beat", {"ok": True}, at_s=0)
    bench.pass_to(301)
    assert verdicts(bench.event("beat", {"ok": True}, at_s=299, now_s=302)) == ["late"]
    assert not fired(bench.pass_to(5_000))


def test_late_events_are_waited_for_as_long_as_the_rule_says() -> None:
    bench = RuleHarness(rules_of(SILENT.replace("absent_for: 5m", "absent_for: 5m\n    late: 1m")))
    bench.event("beat", {"ok": True}, at_s=0)
    assert not fired(bench.pass_to(359))
    bench.event("beat", {"ok": True}, at_s=299, now_s=359)
    assert not fired(bench.pass_to(658))
    assert ids(fired(bench.pass_to(659))[0]) == ["e2"]


@pytest.mark.parametrize(
    ("change", "with_", "said"),
    [
        pytest.param("step: b,", "step: c,", 'rules.r.sequence.steps[2]: "c" is no input under',
                     id="a-step-that-is-no-input"),
        pytest.param("a.data.n > 0.0", "b.data.n > 0.0",
                     'rules.r.sequence.steps[0].when: reads "b", which is no step before it',
                     id="a-step-that-reads-a-later-one"),
        pytest.param("b.data.n > a.data.n", "x.data.n > a.data.n",
                     'rules.r.sequence.steps[2].when: reads "x", which is no step before it',
                     id="a-step-that-reads-what-is-not-there"),
        pytest.param('when: "true"', "when: x.data.n == 1.0", "rules.r.when: cannot read x",
                     id="a-condition-that-reads-what-did-not-come"),
        pytest.param("within: 10s", "within: 500d", "rules.r.sequence.within: 500d is out of",
                     id="a-time-beyond-all-bounds"),
        pytest.param("within: 10s", "within: 10s\n      keep: 65",
                     "rules.r.sequence.keep: 65 is not within", id="too-much-to-keep"),
        pytest.param("{without: x}", "{without: x, step: x}",
                     "rules.r.sequence.steps[1]: is either", id="a-step-and-none"),
        pytest.param("- {without: x}\n        ", "",
                     "rules.r.watch.x: is no step of the sequence", id="an-input-without-a-step"),
        pytest.param("- {step: a, when: a.data.n > 0.0}\n        - {without: x}",
                     "- {without: x}\n        - {step: a}",
                     "rules.r.sequence.steps[0]: `without` stands behind", id="nothing-is-open"),
        pytest.param("{step: b, when: b.data.n > a.data.n}", "{step: b, when: window.w.count > 1}",
                     "rules.r.sequence.steps[2].when: cannot read window", id="reads-a-window"),
        pytest.param("sequence:", "absent_for: 1m\n    sequence:",
                     "rules.r.absent_for: goes with no `sequence`", id="two-kinds-of-rules"),
    ],
)  # fmt: skip
def test_what_is_no_sequence_is_refused_with_its_place(change: str, with_: str, said: str) -> None:
    text = ORDERED.replace(change, with_)
    assert text != ORDERED
    assert any(one.startswith(said) for one in faults_of(text)), faults_of(text)


def test_a_new_version_goes_on_with_partial_matches_where_steps_and_time_are_the_same() -> None:
    bench = RuleHarness(rules_of(ORDERED))
    bench.event("a", {"n": 1}, at_s=0)
    bench.store()
    bench.restart(rules_of(ORDERED.replace("b.data.n > a.data.n", "b.data.n > 7.0"), version=2))
    assert not fired(bench.event("b", {"n": 2}, at_s=1))
    assert ids(fired(bench.event("b", {"n": 8}, at_s=2))[0]) == ["e1", "e3"]


def test_a_new_version_of_another_order_or_time_begins_anew_and_old_timers_mean_nothing() -> None:
    bench = RuleHarness(rules_of(UNPAID))
    bench.event("order", {"total": 20}, at_s=0)
    bench.store()
    bench.restart(rules_of(UNPAID.replace("within: 30m", "within: 20m"), version=2))
    assert not fired(bench.pass_to(1_800))
    bench.event("order", {"total": 20}, at_s=2_000)
    assert len(fired(bench.pass_to(3_200))) == 1


def test_conditions_of_steps_cost_what_they_can_cost_for_every_partial_match() -> None:
    def units(text: str) -> dict[str, int]:
        (rule,) = rules_of(text).rules.values()
        return {one.feed: one.units for one in of_rule(rule)}

    few = units(ORDERED.replace("within: 10s", "within: 10s\n      keep: 1"))
    many = units(ORDERED.replace("within: 10s", "within: 10s\n      keep: 64"))
    assert few["b"] < many["b"]
    assert few["x"] == many["x"]


def test_inputs_meet_at_the_key_that_each_of_them_says() -> None:
    """An event is taken at the key that its own input says."""
    text = ORDERED.replace("b: {feed: b}", "b: {feed: b, key: event.data.of}")
    bench = RuleHarness(rules_of(text))
    bench.event("a", {"n": 1}, at_s=0, key="order-1")
    assert not fired(bench.event("b", {"n": 2, "of": "order-2"}, at_s=1, key="order-1"))
    assert fired(bench.event("b", {"n": 2, "of": "order-1"}, at_s=2, key="anything"))


def test_one_event_is_one_step_where_several_watch_its_feed() -> None:
    text = """
rules:
  - rule: r
    watch: {one: {feed: f}, two: {feed: f}, three: {feed: f}}
    sequence: {within: 1m, steps: [{step: one}, {step: two}, {step: three}]}
    when: "true"
    do: [{invoke: {application: a, action: b}}]
"""
    bench = RuleHarness(rules_of(text))
    found = [fired(bench.event("f", at_s=number)) for number in range(6)]
    assert [[ids(one) for one in some] for some in found] == [
        [], [], [["e1", "e2", "e3"]], [], [], [["e4", "e5", "e6"]],
    ]  # fmt: skip


def test_what_conditions_of_steps_read_is_known_where_it_is_asked_who_may_read_it() -> None:
    (rule,) = rules_of(
        ORDERED.replace("{without: x}", "{without: x, when: x.data.m > 1.0}")
    ).rules.values()
    assert fields_read(rule) == {
        "a": {("data", "n"), ("key",)}, "b": {("data", "n"), ("key",)},
        "x": {("data", "m"), ("key",)},
    }  # fmt: skip
