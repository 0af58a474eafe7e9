"""Changes of a plan, each recorded with its cause, explained, and taken back.

The history is the truth: a field's value is that of the newest change that set it and is not
undone. So undoing a change beneath later ones leaves what those set, and undoing a later one
afterwards does not bring back what was undone. Who undoes a rule's change wants it so: rules cannot
set its fields again for that occurrence, until the undo is undone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from control_plane.errors import Conflict, InvalidInput, NotFound, Refused
from data_sharing.calendars.timing import nearest_occurrence, shown
from data_sharing.plans.plan import EVERY, EventPlan, Setting
from data_sharing.rules.effects import USER_PRIORITY, Cause, EventRef, PlanChange

LONGEST_SHIFT_MS = 366 * 86_400_000
MOST_CONFIG_FIELDS = 64  # set by changes, per occurrence
MOST_CHANGED = 400  # occurrences to come with settings of their own


class FieldChange(msgspec.Struct, array_like=True, frozen=True):
    """before, after: None where the plan's own value stands."""

    field: str
    before: Any
    after: Any


class CauseRecord(msgspec.Struct, array_like=True, frozen=True):
    """Cause, as it is stored."""

    rule: str = ""
    rule_version: int = 0
    events: tuple[tuple[str, str, int], ...] = ()  # source, id, position
    timer: str = ""
    user: str = ""
    note: str = ""
    hops: int = 0
    correlation: str = ""

    @classmethod
    def of(cls, cause: Cause) -> CauseRecord:
        events = tuple((one.source, one.id, one.position) for one in cause.events)
        return cls(
            cause.rule, cause.rule_version, events, cause.timer, cause.user, cause.note,
            cause.hops, cause.correlation,
        )  # fmt: skip

    @property
    def refs(self) -> tuple[EventRef, ...]:
        return tuple(EventRef(*one, self.hops, self.correlation) for one in self.events)

    @property
    def by(self) -> str:
        return f"user {self.user}" if self.user else f"rule {self.rule}"


class ChangeRecord(msgspec.Struct, array_like=True, frozen=True):
    """One change. version: the plan's after it. undoes: id of the change it took back."""

    id: str
    version: int
    at_ms: int
    occurrence: str  # planned Unix ms, or EVERY
    fields: tuple[FieldChange, ...]
    priority: int
    cause: CauseRecord
    undoes: str = ""


class ChangedPlan(msgspec.Struct, frozen=True):
    """record None: nothing was to change."""

    plan: EventPlan
    record: ChangeRecord | None


def user_change(
    plan: EventPlan,
    *,
    change_id: str,
    occurrence_ms: int | None,
    fields: Mapping[str, Any],
    user: str,
    note: str = "",
    expected_version: int = 0,
) -> PlanChange:
    """A user's change of a plan. Raises InvalidInput, NotFound, Refused or Conflict."""
    if expected_version and expected_version != plan.version:
        raise Conflict(
            f"plan {plan.id} has version {plan.version}, not {expected_version}; read it again"
        )
    if plan.cancelled:
        raise Refused(f"plan {plan.id} is cancelled")
    if not fields:
        raise InvalidInput("fields", "the change sets nothing; give shift, cancelled or config")
    if occurrence_ms is not None and not is_occurrence(plan, occurrence_ms):
        raise NotFound(
            f"plan {plan.id} has no occurrence planned at {occurrence_ms} (Unix ms)"
            f"{_nearest(plan, occurrence_ms)}"
        )
    for field, value in fields.items():
        check_field(plan, field, value)
    return PlanChange(
        change_id, plan.tenant, plan.id, occurrence_ms, tuple(fields.items()), USER_PRIORITY,
        Cause(user=user, note=note),
    )  # fmt: skip


def _nearest(plan: EventPlan, at_ms: int) -> str:
    timing = plan.timing
    nearest = nearest_occurrence(timing, at_ms)
    return "" if nearest is None else f"; the nearest is planned at {shown(nearest, timing.zone)}"


def is_occurrence(plan: EventPlan, planned_ms: int) -> bool:
    return next(plan.timing.between(planned_ms, planned_ms), None) is not None


def check_field(plan: EventPlan, field: str, value: Any) -> None:
    """Raises InvalidInput."""
    if field == "shift_ms":
        if value is not None and (type(value) is not int or abs(value) > LONGEST_SHIFT_MS):
            raise InvalidInput("shift", "shift: at most a year, in whole milliseconds")
        return
    if field == "cancelled":
        if value is not None and not isinstance(value, bool):
            raise InvalidInput("cancelled", "cancelled: true or false")
        return
    parts = field.split(".", 3)
    if len(parts) < 4 or (parts[0], parts[2]) != ("actions", "config") or not parts[3]:
        raise InvalidInput(field, f"{field}: a plan has no such field")
    if parts[1] not in plan.spec.actions:
        known = ", ".join(plan.spec.actions)
        raise InvalidInput("config", f'config: plan {plan.id} has no action "{parts[1]}": {known}')
    if len(msgspec.json.encode(value)) > 4_096:
        raise InvalidInput("config", f"{field}: a value has at most 4,096 bytes")


def apply(plan: EventPlan, change: PlanChange, *, now_ms: int) -> ChangedPlan:
    """The plan with the change. What it sets to what is set already changes nothing, unless
    somebody of higher priority now stands behind it. Applying a change twice changes nothing."""
    occurrence = EVERY if change.occurrence_ms is None else str(change.occurrence_ms)
    before = plan.settings.get(occurrence, {})
    by = CauseRecord.of(change.cause).by
    settings, fields = dict(before), []
    for field, value in change.fields:
        old = before.get(field)
        if old is not None and (
            old.change == change.id or (_same(old.value, value) and old.priority >= change.priority)
        ):
            continue
        settings[field] = Setting(value, change.priority, by, change.id)
        fields.append(FieldChange(field, None if old is None else old.value, value))
    if not fields:
        return ChangedPlan(plan, None)
    if len(settings) > MOST_CONFIG_FIELDS:
        raise Refused(f"plan {plan.id}: more than {MOST_CONFIG_FIELDS} fields set by changes")
    if occurrence not in plan.settings and len(plan.settings) > MOST_CHANGED:
        raise Refused(f"plan {plan.id}: more than {MOST_CHANGED} occurrences changed one by one")
    made = msgspec.structs.replace(
        plan, version=plan.version + 1, settings=_with(plan.settings, occurrence, settings)
    )
    record = ChangeRecord(
        change.id, made.version, now_ms, occurrence, tuple(fields), change.priority,
        CauseRecord.of(change.cause),
    )  # fmt: skip
    return ChangedPlan(made, record)


def cancel(plan: EventPlan, *, change_id: str, user: str, now_ms: int) -> ChangedPlan:
    """No action becomes due any more. It cannot be undone: make a new plan."""
    if plan.cancelled:
        return ChangedPlan(plan, None)
    made = msgspec.structs.replace(plan, version=plan.version + 1, cancelled=True)
    record = ChangeRecord(
        change_id, made.version, now_ms, EVERY, (FieldChange("plan.cancelled", False, True),),
        USER_PRIORITY, CauseRecord(user=user),
    )  # fmt: skip
    return ChangedPlan(made, record)


def undo(
    plan: EventPlan,
    history: Sequence[ChangeRecord],
    change_id: str,
    *,
    undo_id: str,
    user: str,
    now_ms: int,
) -> ChangedPlan:
    """Takes a change back. history: every record of the plan, in any order. Undoing what is
    undone changes nothing. Raises NotFound, and Refused for a cancelled plan."""
    ordered = sorted(history, key=lambda one: one.version)
    target = next((one for one in ordered if one.id == change_id), None)
    if target is None:
        raise NotFound(f"plan {plan.id} has no change {change_id}")
    if plan.cancelled:
        raise Refused(f"plan {plan.id} is cancelled; make a new one")
    if change_id in undone(ordered):
        return ChangedPlan(plan, None)
    version = plan.version + 1
    bare = ChangeRecord(
        undo_id, version, now_ms, target.occurrence, (), USER_PRIORITY, CauseRecord(user=user),
        undoes=change_id,
    )  # fmt: skip
    names = [one.field for one in _base(target, ordered).fields]
    before = plan.settings.get(target.occurrence, {})
    settings = {field: one for field, one in before.items() if field not in names}
    replayed = replay([*ordered, bare], target.occurrence)
    settings |= {field: replayed[field] for field in names if field in replayed}
    fields = tuple(
        FieldChange(field, _value(before, field), _value(settings, field)) for field in names
    )
    made = msgspec.structs.replace(
        plan, version=version, settings=_with(plan.settings, target.occurrence, settings)
    )
    return ChangedPlan(made, msgspec.structs.replace(bare, fields=fields))


def undone(history: Sequence[ChangeRecord]) -> frozenset[str]:
    """Ids of changes that are taken back: by an undo that is not itself undone. history: by
    version."""
    gone: set[str] = set()
    for record in reversed(history):
        if record.undoes and record.id not in gone:
            gone.add(record.undoes)
    return frozenset(gone)


def replay(history: Sequence[ChangeRecord], occurrence: str) -> dict[str, Setting]:
    """The settings of an occurrence, from its history alone. history: by version."""
    gone = undone(history)
    settings: dict[str, Setting] = {}
    for record in history:
        if record.occurrence != occurrence or record.undoes or record.id in gone:
            continue
        for one in record.fields:
            if not one.field.startswith("plan."):
                by = record.cause.by
                settings[one.field] = Setting(one.after, record.priority, by, record.id)
    for record in history:
        if record.occurrence != occurrence or not record.undoes or record.id in gone:
            continue
        target = next((one for one in history if one.id == record.undoes), None)
        if target is None or target.undoes or target.cause.user:
            continue  # taking back one's own change lets rules in again
        for one in target.fields:
            left = settings.get(one.field)
            if left is None or _version_of(history, left.change) < record.version:
                value = None if left is None else left.value
                settings[one.field] = Setting(value, USER_PRIORITY, record.cause.by, record.id)
    return settings


def explain(history: Sequence[ChangeRecord], record: ChangeRecord) -> str:
    """One sentence: who changed what, and because of what."""
    what = ", ".join(
        f"{one.field} from {_said(one.before)} to {_said(one.after)}" for one in record.fields
    )
    who = record.cause.by
    if record.undoes:
        target = next((one for one in history if one.id == record.undoes), None)
        of = "" if target is None else f", which {target.cause.by} had made"
        return f"{who} took back change {record.undoes}{of}: {what}"
    why = [f"event {source} {name}" for source, name, _ in record.cause.events]
    why += [f"timer {record.cause.timer}"] if record.cause.timer else []
    because = f" because of {', '.join(why)}" if why else ""
    version = f" (version {record.cause.rule_version})" if record.cause.rule else ""
    note = f": {record.cause.note}" if record.cause.note else ""
    return f"{who}{version} changed {what}{because}{note}"


def _base(record: ChangeRecord, history: Sequence[ChangeRecord]) -> ChangeRecord:
    """Of an undo, the change that it is about in the end."""
    by_id = {one.id: one for one in history}
    while record.undoes and record.undoes in by_id:
        record = by_id[record.undoes]
    return record


def _version_of(history: Sequence[ChangeRecord], change: str) -> int:
    return next((one.version for one in history if one.id == change), 0)


def _with(
    settings: Mapping[str, dict[str, Setting]], occurrence: str, own: dict[str, Setting]
) -> dict[str, dict[str, Setting]]:
    others = {name: of for name, of in settings.items() if name != occurrence}
    return {**others, occurrence: own} if own else others


def _value(settings: Mapping[str, Setting], field: str) -> Any:
    found = settings.get(field)
    return None if found is None else found.value


def _same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _said(value: Any) -> str:
    return "as planned" if value is None else msgspec.json.encode(value).decode()
