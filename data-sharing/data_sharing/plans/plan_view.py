"""The view of a plan that rules read: its next occurrence, what it is set to, and by whom."""

from __future__ import annotations

from collections.abc import Mapping

from control_plane.expressions.values import duration, instant
from data_sharing.plans.plan import EVERY, EventPlan, Occurrence, Setting
from data_sharing.rules.effects import Hold, PlanView
from data_sharing.rules.event_view import seen_without_schema


def next_occurrence(plan: EventPlan, *, now_ms: int) -> Occurrence | None:
    """The first that is not over: it lies ahead, or an action of it does. A cancelled one
    counts, because a rule may want it back."""
    if plan.cancelled:
        return None
    for planned_ms in plan.timing.since(plan.since_ms):
        occurrence = plan.occurrence(planned_ms)
        ran = plan.done.get(str(planned_ms), ())
        ahead = [one.due_ms for one in occurrence.actions if one.name not in ran]
        if max([occurrence.at_ms, *ahead]) >= now_ms:
            return occurrence
    return None


def view(plan: EventPlan, *, now_ms: int) -> PlanView:
    """occurrence_ms None: nothing of the plan is to come."""
    occurrence = next_occurrence(plan, now_ms=now_ms)
    every = plan.settings.get(EVERY, {})
    own: Mapping[str, Setting] = {}
    if occurrence is not None:
        own = plan.settings.get(str(occurrence.planned_ms), {})
    return PlanView(
        id=plan.id,
        version=plan.version,
        name=plan.name,
        owner=plan.spec.owner,
        occurrence_ms=None if occurrence is None else occurrence.planned_ms,
        fields={} if occurrence is None else _fields(plan, occurrence),
        actions=frozenset(plan.spec.actions),
        values={} if occurrence is None else _values(plan, occurrence),
        holds=_holds({**every, **own}),
        every_values={field: one.value for field, one in every.items()},
        every_holds=_holds(every),
    )


def _holds(settings: Mapping[str, Setting]) -> dict[str, Hold]:
    return {field: Hold(one.priority, one.by) for field, one in settings.items()}


def _values(plan: EventPlan, occurrence: Occurrence) -> dict[str, object]:
    """What is, whether planned or set."""
    values: dict[str, object] = {
        "shift_ms": occurrence.at_ms - occurrence.planned_ms,
        "cancelled": occurrence.cancelled,
    }
    for action in occurrence.actions:
        for name, value in action.config.items():
            values[f"actions.{action.name}.config.{name}"] = value
    return values


def _fields(plan: EventPlan, occurrence: Occurrence) -> dict[str, object]:
    return {
        "id": plan.id,
        "name": plan.name,
        "owner": plan.spec.owner,
        "planned_at": instant(occurrence.planned_ms),
        "at": instant(occurrence.at_ms),
        "shift": duration(occurrence.at_ms - occurrence.planned_ms),
        "cancelled": occurrence.cancelled,
        "labels": dict(plan.spec.labels),
        "actions": {
            one.name: {
                "application": one.application,
                "action": one.action,
                "due_at": instant(one.due_ms),
                "config": seen_without_schema(one.config),
            }
            for one in occurrence.actions
        },
    }
