"""Due actions: which actions of a plan run now, and when the next one may be due. Each runs once.

A worker asks at every timer and after every change, and stores the plan it gets back in the same
transaction as the instructions. Asking twice, or again after a restart, gives nothing twice: what
has run is part of the plan. An action that is later than it is wanted is skipped, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from data_sharing.plans.plan import EVERY, EventPlan, Occurrence, PlannedAction

MOST_AT_ONCE = 1_000  # occurrences looked at in one go; a long absence is caught up in several


class DueAction(NamedTuple):
    """An action to run, or skipped because it is too late. late_ms: after it was due."""

    id: str  # the same whenever it is asked for
    tenant: str
    plan_id: str
    plan_version: int
    occurrence_ms: int
    name: str
    application: str
    action: str
    config: dict[str, Any]
    due_ms: int
    late_ms: int
    skipped: bool
    deadline_ms: int  # not wanted after


class AdvancedPlan(NamedTuple):
    """next_ms: look again then, by the clock; None: nothing is to come."""

    plan: EventPlan
    due: tuple[DueAction, ...]
    next_ms: int | None


def advance(plan: EventPlan, *, now_ms: int) -> AdvancedPlan:
    """What is due, and the plan with that done."""
    if plan.cancelled:
        return AdvancedPlan(plan, (), None)
    done = dict(plan.done)
    due: list[DueAction] = []
    next_ms: int | None = None
    settled_to = plan.since_ms
    all_settled = True
    looked = 0
    for planned_ms in islice(_candidates(plan, now_ms), MOST_AT_ONCE):
        looked += 1
        occurrence = plan.occurrence(planned_ms)
        known = done.get(str(planned_ms), ())
        ran: list[str] = list(known)
        for action in occurrence.actions:
            if action.name in known:
                continue
            if action.due_ms > now_ms:
                if not occurrence.cancelled:
                    next_ms = min(next_ms or action.due_ms, action.due_ms)
            elif not occurrence.cancelled:
                ran.append(action.name)
                due.append(_due(plan, occurrence, action, now_ms))
        if len(ran) > len(known):
            done[str(planned_ms)] = tuple(ran)
        all_settled = all_settled and _is_over(occurrence, ran, now_ms)
        if all_settled:
            settled_to = planned_ms + 1
    made = plan
    if due or settled_to > plan.since_ms:
        left = {name: ran for name, ran in done.items() if int(name) >= settled_to}
        settings = {
            name: of
            for name, of in plan.settings.items()
            if name == EVERY or int(name) >= settled_to
        }
        made = msgspec.structs.replace(plan, done=left, since_ms=settled_to, settings=settings)
    if looked == MOST_AT_ONCE:
        next_ms = now_ms
    due.sort(key=lambda one: (one.due_ms, one.occurrence_ms, one.name))
    return AdvancedPlan(made, tuple(due), next_ms)


def _candidates(plan: EventPlan, now_ms: int) -> Iterator[int]:
    """Planned times of occurrences that are not settled, up to the first that has nothing due
    yet, which says when to look next. An occurrence that a change has moved may come before
    others, so it ends nothing, and those beyond the end are looked at as well."""
    moved = {int(name) for name in plan.settings if name != EVERY}
    last = plan.since_ms - 1
    for planned_ms in plan.timing.since(plan.since_ms):
        last = planned_ms
        yield planned_ms
        actions = plan.occurrence(planned_ms).actions
        if planned_ms not in moved and all(one.due_ms > now_ms for one in actions):
            break
    yield from sorted(one for one in moved if one > last)


def _is_over(occurrence: Occurrence, ran: list[str], now_ms: int) -> bool:
    """Whether nothing can come of it any more: all has run, or it was cancelled and even its
    planned time is past, so that no change could bring it back in time."""
    if occurrence.cancelled:
        latest_ms = max(
            max(one.due_ms + one.late_ms for one in occurrence.actions), occurrence.planned_ms
        )
        return latest_ms < now_ms
    return len(ran) == len(occurrence.actions) and occurrence.at_ms <= now_ms


def _due(plan: EventPlan, occurrence: Occurrence, action: PlannedAction, now_ms: int) -> DueAction:
    late_ms = now_ms - action.due_ms
    return DueAction(
        id=action_id(plan.tenant, plan.id, occurrence.planned_ms, action.name),
        tenant=plan.tenant,
        plan_id=plan.id,
        plan_version=plan.version,
        occurrence_ms=occurrence.planned_ms,
        name=action.name,
        application=action.application,
        action=action.action,
        config=action.config,
        due_ms=action.due_ms,
        late_ms=late_ms,
        skipped=late_ms > action.late_ms,
        deadline_ms=action.due_ms + action.late_ms,
    )


def action_id(tenant: str, plan_id: str, planned_ms: int, name: str) -> str:
    """24 hexadecimal digits."""
    digest = blake2b(digest_size=12)
    for part in (tenant, plan_id, str(planned_ms), name):
        raw = part.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.hexdigest()
