"""Actions of plans: each falls due once, at its time, as changes have left it."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from data_sharing.plans.changes import (
    apply,
)
from data_sharing.plans.due_actions import advance
from data_sharing.plans.plan import EventPlan
from tests.support.event_plans import DAILY, DAY, MINUTE, NINE, by_rule, names, plan


def test_actions_fall_due_before_the_event_each_once() -> None:
    now = plan()
    found = advance(now, now_ms=NINE - 91 * MINUTE)
    assert (found.due, found.next_ms) == ((), NINE - 90 * MINUTE)
    assert found.plan is now
    found = advance(found.plan, now_ms=NINE - 90 * MINUTE)
    assert names(found) == ["alarm"]
    assert found.due[0].late_ms == 0
    assert found.next_ms == NINE - 80 * MINUTE
    assert advance(found.plan, now_ms=NINE - 90 * MINUTE).due == ()
    found = advance(found.plan, now_ms=NINE - 45 * MINUTE)
    assert names(found) == ["coffee", "heating"]
    assert found.due[1].config == {"minutes": 10}
    assert found.next_ms is None
    assert advance(found.plan, now_ms=NINE + DAY).due == ()


def test_what_is_too_late_is_skipped_and_says_by_how_much() -> None:
    found = advance(plan(), now_ms=NINE - 30 * MINUTE)  # nobody was there since yesterday
    assert [(one.name, one.skipped, one.late_ms // MINUTE) for one in found.due] == [
        ("alarm", True, 60),
        ("coffee", True, 50),
        ("heating", False, 15),
    ]
    assert advance(found.plan, now_ms=NINE - 30 * MINUTE).due == ()


def test_ids_are_the_same_whenever_an_action_is_asked_for() -> None:
    one = advance(plan(), now_ms=NINE - 90 * MINUTE).due[0].id
    other = advance(plan(), now_ms=NINE - 60 * MINUTE).due[0].id
    assert one == other


def test_a_shift_moves_all_actions_of_its_occurrence() -> None:
    changed = apply(plan(DAILY), by_rule({"shift_ms": -20 * MINUTE}), now_ms=NINE - 120 * MINUTE)
    found = advance(changed.plan, now_ms=NINE - 111 * MINUTE)
    assert found.next_ms == NINE - 110 * MINUTE
    now = changed.plan
    for at, name in ((110, "alarm"), (100, "coffee"), (65, "heating")):
        found = advance(now, now_ms=NINE - at * MINUTE)
        now = found.plan
        assert names(found) == [name]
    assert found.next_ms == NINE + DAY - 90 * MINUTE  # tomorrow is as planned


def test_a_shift_that_comes_too_late_for_an_action_runs_it_at_once_if_still_wanted() -> None:
    changed = apply(plan(), by_rule({"shift_ms": -3 * MINUTE}), now_ms=NINE - 91 * MINUTE)
    (alarm,) = advance(changed.plan, now_ms=NINE - 91 * MINUTE).due
    assert (alarm.name, alarm.late_ms, alarm.skipped) == ("alarm", 2 * MINUTE, False)


def test_what_has_run_does_not_run_again_when_its_time_moves() -> None:
    ran = advance(plan(), now_ms=NINE - 90 * MINUTE).plan
    later = apply(ran, by_rule({"shift_ms": 30 * MINUTE}), now_ms=NINE - 85 * MINUTE).plan
    found = advance(later, now_ms=NINE - 50 * MINUTE)
    assert names(found) == ["coffee"]


def test_cancelled_runs_nothing_and_can_be_wanted_back() -> None:
    off = apply(plan(), by_rule({"cancelled": True}), now_ms=NINE - 100 * MINUTE).plan
    found = advance(off, now_ms=NINE - 85 * MINUTE)
    assert (found.due, found.next_ms) == ((), None)
    back = by_rule({"cancelled": False}, number=2)
    on = apply(found.plan, back, now_ms=NINE - 70 * MINUTE).plan
    found = advance(on, now_ms=NINE - 70 * MINUTE)
    assert [(one.name, one.skipped) for one in found.due] == [("alarm", True), ("coffee", True)]
    assert found.next_ms == NINE - 45 * MINUTE


def test_cancelling_every_occurrence_of_a_daily_plan_leaves_nothing_to_wait_for() -> None:
    off = apply(plan(DAILY), by_rule({"cancelled": True}, occurrence=None), now_ms=NINE - DAY).plan
    found = advance(off, now_ms=NINE - DAY)
    assert (found.due, found.next_ms) == ((), None)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 5 * 24 * 60), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 4), st.integers(-180, 180), st.integers(0, 5 * 24 * 60)),
             max_size=6),
)  # fmt: skip
def test_each_action_of_each_occurrence_comes_up_exactly_once(
    wakes: list[int], shifts: list[tuple[int, int, int]]
) -> None:
    """Whenever somebody looks, whatever shifts come in between, and whatever the restarts."""
    start = NINE - DAY
    now = plan(DAILY, start)
    seen: list[tuple[int, str]] = []
    changes = sorted((at, day, shift) for day, shift, at in shifts)
    steps = sorted([(at, None) for at in wakes] + [(at, (d, s)) for at, d, s in changes], key=str)
    for number, (minute, change) in enumerate(sorted(steps, key=lambda one: one[0])):
        now_ms = start + minute * MINUTE
        if change is not None:
            day, shift = change
            wanted = by_rule(
                {"shift_ms": shift * MINUTE}, number=number, occurrence=NINE + day * DAY
            )
            now = apply(now, wanted, now_ms=now_ms).plan
        found = advance(now, now_ms=now_ms)
        now = msgspec.json.decode(msgspec.json.encode(found.plan), type=EventPlan)
        seen += [(one.occurrence_ms, one.name) for one in found.due]
        assert found.next_ms is not None
        assert found.next_ms > now_ms
    found = advance(now, now_ms=start + 20 * DAY)
    seen += [(one.occurrence_ms, one.name) for one in found.due]
    assert len(seen) == len(set(seen))
    expected = {(NINE + d * DAY, name) for d in range(5) for name in now.spec.actions}
    assert expected <= set(seen)


def test_a_plan_that_was_away_for_years_is_caught_up_in_parts() -> None:
    now = plan(DAILY)
    later = NINE + 1_500 * DAY
    rounds = 0
    total = 0
    while True:
        found = advance(now, now_ms=later)
        now, rounds, total = found.plan, rounds + 1, total + len(found.due)
        if found.next_ms is None or found.next_ms > later:
            break
    assert rounds == 2
    assert total >= 1_500 * 3
    assert len(now.done) < 5


# Changes
