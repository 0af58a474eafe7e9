"""Effect builder: the effects a fired rule requests, and which of them are taken where several
rules request different things.

Every rule of one decision sees plans as they were before it. Where two want to set one field of
one plan, the greater priority wins, then the lesser id. Later, a field stays with whom set it:
only an equal or greater priority changes it, and no rule changes what a user has set (for that
occurrence). What was overruled says so, and by whom.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from control_plane.expressions.expression import Bindings, Expression, Fault
from control_plane.printable import quoted
from data_sharing.calendars.zoned_time import shown
from data_sharing.forecasts.forecast import is_number
from data_sharing.rules.compiled import Change, CompiledRule, Computed, Invocation
from data_sharing.rules.effects import (
    Cause,
    Effect,
    Hold,
    Invoke,
    PlanChange,
    PlanView,
    effect_id,
)
from data_sharing.rules.event_view import json_number
from data_sharing.rules.results import EffectOutcome, EffectStatus

LONGEST_SHIFT_MS = 366 * 86_400_000


class RequestedEffect(msgspec.Struct, frozen=True):
    """An effect with the plan it was computed for. left_out: why it is not done; empty: it is."""

    effect: Effect
    plan: PlanView | None
    left_out: str = ""


class EffectFailed(Exception):
    """An effect's value could not be computed; the rule's failure, not the decision's."""


def requested_effects(
    rule: CompiledRule,
    bindings: Bindings,
    plan: PlanView | None,
    cause: Cause,
    now_ms: int,
    clock_ms: int,
) -> list[RequestedEffect]:
    """All effects of a rule, or none of them: raises EffectFailed. clock_ms: by which their hours
    are open."""
    found: list[RequestedEffect] = []
    for number, effect in enumerate(rule.effects):
        occurrence_ms = None if plan is None else plan.occurrence_ms
        plan_id = "" if plan is None else plan.id
        name = effect_id(rule.tenant, cause, plan_id, occurrence_ms, number)
        if isinstance(effect, Invocation):
            config = {key: _value(of, bindings, key) for key, of in effect.config}
            invoke = Invoke(
                id=name, tenant=rule.tenant, application=effect.application, action=effect.action,
                config=config, deadline_ms=now_ms + effect.deadline_ms, plan_id=plan_id,
                occurrence_ms=occurrence_ms, cause=cause, approval=effect.approval,
            )  # fmt: skip
            found.append(RequestedEffect(invoke, plan, _left_out(effect, clock_ms)))
        elif plan is not None:
            change = PlanChange(
                id=name, tenant=rule.tenant, plan_id=plan.id,
                occurrence_ms=None if effect.every else plan.occurrence_ms,
                fields=_fields(effect, bindings, plan), priority=rule.spec.priority, cause=cause,
            )  # fmt: skip
            found.append(RequestedEffect(change, plan))
    return found


def _left_out(effect: Invocation, clock_ms: int) -> str:
    """Why it is not done at that time; empty: it is."""
    if effect.hours is None or effect.hours.is_open(clock_ms):
        return ""
    opens_ms = effect.hours.next_opening(clock_ms)
    when = (
        "none are near"
        if opens_ms is None
        else f"they open at {shown(opens_ms, effect.hours.zone)}"
    )
    return f"outside its hours; {when}"


def _fields(change: Change, bindings: Bindings, plan: PlanView) -> tuple[tuple[str, Any], ...]:
    fields: list[tuple[str, Any]] = []
    if change.shift is not None:
        shift = change.shift.evaluate(bindings)
        if isinstance(shift, Fault):
            raise EffectFailed(f"shift: {shift.message}")
        if not isinstance(shift, timedelta):
            raise EffectFailed(f"shift: {quoted(shift)} is no duration")
        shift_ms = round(shift.total_seconds() * 1_000)
        if abs(shift_ms) > LONGEST_SHIFT_MS:
            raise EffectFailed("shift: more than a year")
        fields.append(("shift_ms", shift_ms))
    if change.cancel is not None:
        cancel = _value(change.cancel, bindings, "cancel")
        if not isinstance(cancel, bool):
            raise EffectFailed(f"cancel: {quoted(cancel)} is neither true nor false")
        fields.append(("cancelled", cancel))
    for action, name, computed in change.config:
        if action not in plan.actions:
            raise EffectFailed(f'config: plan {plan.id} has no action "{action}"')
        value = _value(computed, bindings, f"config.{action}.{name}")
        fields.append((f"actions.{action}.config.{name}", value))
    return tuple(fields)


def _value(computed: Computed, bindings: Bindings, name: str) -> Any:
    """What becomes JSON: durations in seconds, instants in RFC 3339."""
    if not isinstance(computed, Expression):
        return json_of(computed, name)
    value = computed.evaluate(bindings)
    if isinstance(value, Fault):
        raise EffectFailed(f"{name}: {value.message}")
    return json_of(value, name)


def json_of(value: Any, name: str) -> Any:
    """A CEL value as JSON has it: whole numbers without a fraction, so that a setting whose
    schema says `integer` takes them. Raises EffectFailed where it has no form there."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)):
        if not is_number(value):
            raise EffectFailed(f"{name}: {value} is no number that can be sent")
        return json_number(value) if isinstance(value, float) else value
    if isinstance(value, timedelta):
        return json_number(value.total_seconds())
    if isinstance(value, list):
        return [json_of(one, name) for one in value]
    if isinstance(value, dict):
        return _object_of(value, name)
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    kind = "bytes" if isinstance(value, bytes | bytearray) else "a type"
    raise EffectFailed(f"{name}: {kind} cannot be sent, for JSON has no such value")


def _object_of(value: Mapping[Any, Any], name: str) -> dict[str, Any]:
    """A CEL map, whose keys may be numbers and truth values as well: they become their texts, as
    protobuf's JSON mapping has it."""
    found: dict[str, Any] = {}
    for key, one in value.items():
        text = str(key).lower() if isinstance(key, bool) else str(key)
        if text in found:
            raise EffectFailed(f"{name}: JSON has one key {quoted(text)} for two keys of the map")
        found[text] = json_of(one, name)
    return found


class ResolvedEffects(NamedTuple):
    """What is acted on, and what became of each effect, in the order of what was wanted."""

    effects: tuple[Effect, ...]
    outcomes: tuple[tuple[EffectOutcome, ...], ...]


def resolve_effects(
    firings: Sequence[tuple[CompiledRule, Sequence[RequestedEffect]]],
) -> ResolvedEffects:
    """firings: in the order of the rules, which is by priority, then id."""
    winners: dict[tuple[str, int | None, str], str] = {}
    taken: list[Effect] = []
    outcomes: list[tuple[EffectOutcome, ...]] = []
    for rule, effects in firings:
        found: list[EffectOutcome] = []
        for one in effects:
            if one.left_out:
                status = EffectStatus.QUIET_HOURS
                found.append(EffectOutcome(one.effect, status, reason=one.left_out))
                continue
            if isinstance(one.effect, Invoke) or one.plan is None:
                taken.append(one.effect)
                found.append(EffectOutcome(one.effect, EffectStatus.TAKEN))
                continue
            change, statuses = _resolve_change(one.effect, one.plan, rule, winners)
            found += statuses
            if change.fields:
                taken.append(change)
        outcomes.append(tuple(found))
    return ResolvedEffects(tuple(taken), tuple(outcomes))


def _resolve_change(
    change: PlanChange,
    plan: PlanView,
    rule: CompiledRule,
    winners: dict[tuple[str, int | None, str], str],
) -> tuple[PlanChange, list[EffectOutcome]]:
    every = change.occurrence_ms is None
    values = plan.every_values if every else plan.values
    holds: Mapping[str, Hold] = plan.every_holds if every else plan.holds
    left: list[tuple[str, Any]] = []
    outcomes: list[EffectOutcome] = []
    for field, value in change.fields:
        place = (change.plan_id, change.occurrence_ms, field)
        winner, hold = winners.get(place), holds.get(field)
        if winner is not None:
            reason = f"rule {winner} set it for the same event"
            outcomes.append(EffectOutcome(change, EffectStatus.OVERRULED, field, reason))
        elif hold is not None and hold.priority > rule.spec.priority:
            reason = f"{hold.by} set it with priority {hold.priority}"
            outcomes.append(EffectOutcome(change, EffectStatus.OVERRULED, field, reason))
        else:
            winners[place] = rule.id
            if _same(values.get(field), value):
                outcomes.append(EffectOutcome(change, EffectStatus.UNCHANGED, field))
            else:
                left.append((field, value))
                outcomes.append(EffectOutcome(change, EffectStatus.TAKEN, field))
    return replace(change, fields=tuple(left)), outcomes


def _same(one: Any, other: Any) -> bool:
    """true and 1 are different values, as in JSON."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)
