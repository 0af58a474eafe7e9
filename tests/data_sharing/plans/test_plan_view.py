"""What rules see of a plan: its next occurrence, values, and who set them."""

from __future__ import annotations

import msgspec
import pytest

from data_sharing.plans.changes import apply
from data_sharing.plans.due_actions import advance
from data_sharing.plans.plan import EventPlan, created
from data_sharing.plans.plan_view import next_occurrence, view
from data_sharing.plans.spec import parse_plan
from data_sharing.rules.effects import Cause, Hold, PlanChange

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NINE = 1_772_442_000_000  # 2026-03-02T09:00Z
TEXT = """
plan: p
owner: u
at: 2026-03-02T09:00
zone: Etc/UTC
repeats: FREQ=DAILY
actions:
  before: {application: a, action: b, offset: -30m, config: {cups: 2}}
  after: {application: a, action: c, offset: 10m}
"""


def plan() -> EventPlan:
    return created("home", parse_plan(TEXT), NINE - DAY)


def changed(of: EventPlan, occurrence_ms: int | None, priority: int, **fields: object) -> EventPlan:
    change = PlanChange(f"c{priority}", "home", "p", occurrence_ms, tuple(fields.items()),
                        priority, Cause(rule="r"))  # fmt: skip
    return apply(of, change, now_ms=NINE - DAY).plan


@pytest.mark.parametrize(
    ("now_ms", "expected_ms"),
    [
        (NINE - HOUR, NINE),
        (NINE, NINE),
        (NINE + 10 * MINUTE, NINE),
        (NINE + 10 * MINUTE + 1, NINE + DAY),
    ],
    ids=["ahead", "now", "an-action-of-it-is-still-ahead", "over"],
)
def test_the_next_occurrence_is_the_first_that_is_not_over(now_ms: int, expected_ms: int) -> None:
    found = next_occurrence(plan(), now_ms=now_ms)
    assert found is not None
    assert found.planned_ms == expected_ms


def test_an_action_that_has_run_does_not_keep_its_occurrence_next() -> None:
    ran = advance(plan(), now_ms=NINE + 10 * MINUTE).plan
    found = next_occurrence(ran, now_ms=NINE + 10 * MINUTE)
    assert found is not None
    assert found.planned_ms == NINE + DAY


def test_a_cancelled_occurrence_is_seen_because_a_rule_may_want_it_back() -> None:
    seen = view(changed(plan(), NINE, 10, cancelled=True), now_ms=NINE - HOUR)
    assert seen.occurrence_ms == NINE
    assert seen.values["cancelled"] is True


def test_a_cancelled_plan_has_nothing_to_come() -> None:
    seen = view(msgspec.structs.replace(plan(), cancelled=True), now_ms=NINE - HOUR)
    assert seen.occurrence_ms is None
    assert (seen.fields, seen.values) == ({}, {})


def test_what_is_set_for_one_occurrence_outweighs_what_is_set_for_all() -> None:
    both = changed(plan(), None, 10, shift_ms=-MINUTE)
    both = changed(both, NINE, 20, shift_ms=-2 * MINUTE)
    first, second = view(both, now_ms=NINE - HOUR), view(both, now_ms=NINE + DAY - HOUR)
    assert (first.values["shift_ms"], second.values["shift_ms"]) == (-2 * MINUTE, -MINUTE)
    assert first.holds["shift_ms"] == Hold(20, "rule r")
    assert first.every_holds["shift_ms"] == Hold(10, "rule r")
    assert first.every_values == {"shift_ms": -MINUTE}


def test_values_are_named_as_changes_name_them() -> None:
    seen = view(plan(), now_ms=NINE - HOUR)
    assert seen.values == {"shift_ms": 0, "cancelled": False, "actions.before.config.cups": 2}
    assert seen.actions == {"before", "after"}


def test_expressions_read_settings_as_doubles_for_no_schema_speaks_of_them() -> None:
    seen = view(plan(), now_ms=NINE - HOUR)
    cups = seen.fields["actions"]["before"]["config"]["cups"]  # type: ignore[index]
    assert (type(cups), cups) == (float, 2.0)
