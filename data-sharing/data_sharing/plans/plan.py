"""EventPlan: a plan as it stands: what was planned, what changes have made of it, what has run.

A change sets fields of one occurrence or of every one; what is set for one occurrence outweighs
what is set for all. A value like any other: functions return the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from data_sharing.calendars.timing import Timing
from data_sharing.forecasts.spec import duration_ms
from data_sharing.plans.spec import PlanSpec, offset_ms, timing

EVERY = ""  # key of settings that are for every occurrence


class Setting(msgspec.Struct, array_like=True, frozen=True):
    """A field's value that a change has set. by: "rule leave-earlier" or "user u-1"."""

    value: Any
    priority: int
    by: str
    change: str  # id of the change that set it


class PlannedAction(msgspec.Struct, array_like=True, frozen=True):
    """An action at one occurrence, as it is now."""

    name: str
    application: str
    action: str
    due_ms: int
    late_ms: int  # still wanted this long after due_ms
    config: dict[str, Any]


class Occurrence(msgspec.Struct, array_like=True, frozen=True):
    """planned_ms names it; at_ms is where it is now."""

    planned_ms: int
    at_ms: int
    cancelled: bool
    actions: tuple[PlannedAction, ...]


class EventPlan(msgspec.Struct, frozen=True, kw_only=True):
    """settings: by occurrence (planned Unix ms as text, or EVERY), by field.

    last_ms: no occurrence is later; None: it was not worked out when the plan was made. since_ms:
    occurrences planned before it are settled. done: actions of later ones that have
    run or been skipped, by occurrence.
    """

    tenant: str
    spec: PlanSpec
    version: int = 1
    cancelled: bool = False
    created_ms: int = 0
    since_ms: int = 0
    last_ms: int | None = None
    settings: dict[str, dict[str, Setting]] = {}
    done: dict[str, tuple[str, ...]] = {}

    @property
    def id(self) -> str:
        return self.spec.plan

    @property
    def name(self) -> str:
        return self.spec.name or self.spec.plan

    @property
    def timing(self) -> Timing:
        if not self.spec.repeats:
            return timing(self.spec)
        return _timing(msgspec.json.encode(self.spec), self.last_ms)

    def effective(self, planned_ms: int) -> Mapping[str, Setting]:
        """All fields that are set for an occurrence, its own before those of all."""
        every, own = self.settings.get(EVERY, {}), self.settings.get(str(planned_ms), {})
        return {**every, **own}

    def occurrence(self, planned_ms: int) -> Occurrence:
        """As changes have left it."""
        fields = self.effective(planned_ms)
        shift = fields.get("shift_ms")
        cancelled = fields.get("cancelled")
        at_ms = planned_ms + (int(shift.value or 0) if shift else 0)
        return Occurrence(
            planned_ms,
            at_ms,
            self.cancelled or bool(cancelled and cancelled.value),
            tuple(
                PlannedAction(
                    name,
                    action.application,
                    action.action,
                    at_ms + offset_ms(action),
                    duration_ms(action.late, "late"),
                    _config(name, action.config, fields),
                )
                for name, action in self.spec.actions.items()
            ),
        )

    @property
    def keys(self) -> tuple[str, ...]:
        """By which rules find it: its owner and what it follows."""
        return tuple(dict.fromkeys((self.spec.owner, *self.spec.follows)))


@lru_cache(maxsize=4_096)
def _timing(spec: bytes, last_ms: int | None) -> Timing:
    return timing(msgspec.json.decode(spec, type=PlanSpec), last_ms)


def _config(name: str, planned: Mapping[str, Any], fields: Mapping[str, Setting]) -> dict[str, Any]:
    prefix = f"actions.{name}.config."
    config = dict(planned)
    for field, setting in fields.items():
        if not field.startswith(prefix):
            continue
        if setting.value is not None:
            config[field.removeprefix(prefix)] = setting.value
    return config


def created(tenant: str, spec: PlanSpec, now_ms: int, last_ms: int | None = None) -> EventPlan:
    """A new plan; last_ms: of its timing, where that was worked out. Occurrences that lie behind
    are not made up for, except where an action is still due or wanted."""
    since_ms = now_ms - _reach_ms(spec)
    return EventPlan(
        tenant=tenant, spec=spec, created_ms=now_ms, since_ms=since_ms, last_ms=last_ms
    )


def _reach_ms(spec: PlanSpec) -> int:
    """How long after its event something of a plan can be wanted."""
    return max(
        max(0, offset_ms(action)) + duration_ms(action.late, "late")
        for action in spec.actions.values()
    )
