"""Event plans for tests: one of a working day, and changes of it."""

from __future__ import annotations

from typing import Any

from data_sharing.plans.plan import EventPlan, created
from data_sharing.plans.spec import parse_plan
from data_sharing.rules.effects import Cause, EventRef, PlanChange

MINUTE = 60_000
DAY = 86_400_000
# 2026-03-02 is a Monday; nine in Berlin is eight UTC.
NINE = 1_772_438_400_000
WORK = """
plan: work
owner: user-1
follows: [road-a1]
at: 2026-03-02T09:00
zone: Europe/Berlin
actions:
  alarm: {application: alarm, action: ring, offset: -90m}
  coffee: {application: coffee, action: brew, offset: -80m, config: {cups: 2}}
  heating: {application: heating, action: heat, offset: -45m, config: {minutes: 10}, late: 20m}
"""
DAILY = WORK + "repeats: FREQ=DAILY\n"


def plan(text: str = WORK, now_ms: int = NINE - DAY) -> EventPlan:
    return created("home", parse_plan(text), now_ms)


def by_rule(
    fields: dict[str, Any], *, number: int = 1, priority: int = 100, occurrence: int | None = NINE
) -> PlanChange:
    cause = Cause(rule="leave-earlier", rule_version=3, events=(EventRef("traffic", "e1", 7),))
    return PlanChange(
        f"c{number}", "home", "work", occurrence, tuple(fields.items()), priority, cause
    )


def names(found: Any) -> list[str]:
    return [one.name for one in found.due]
