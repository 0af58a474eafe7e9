"""EvaluationResult: what came of one event or timer, rule by rule.

Everything a worker stores in its transaction, and everything an explanation needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from data_sharing.forecasts.spec import shown
from data_sharing.rules.effects import Effect, EventRef, Invoke
from data_sharing.rules.rule_health import ParkingScope
from data_sharing.sharing.field_view import AudienceRead


class RuleVerdict(StrEnum):
    """What became of one rule, once for each combination of events and plan it looked at."""

    FIRED = "fired"
    NOT_MATCHED = "not-matched"  # `when` was false, or read a field that is not there
    ERROR = "error"  # `when`, a key, a value or an effect failed
    WAITING = "waiting"  # a join still lacks events, or waits whether one stays absent
    PENDING = "pending"  # debounce: fires when nothing further matches
    COOLDOWN = "cooldown"  # it fired too recently
    LIMITED = "limited"  # it fired too often of late
    QUIET_HOURS = "quiet-hours"  # it is outside the rule's hours
    DEFERRED = "deferred"  # likewise, and fires when they open
    LATE = "late"  # the event is older than the newest of its key by more than allowed
    LOOP = "loop"  # too many decisions have followed on one another, so it does not fire
    TOO_OLD = "too-old"  # the event is older by the clock than the rule wants
    NO_KEY = "no-key"  # the event lacks what the rule's key is made of
    NO_PLAN = "no-plan"  # nobody has a plan that the rule looks at
    PARKED = "parked"  # it failed too often in a row, there or at all, and waits to be retried
    PAUSED = "paused"  # an operator has paused the rule; the event waits
    FULL = "full"  # it remembers as much as it may, and has no room for the event


class EffectStatus(StrEnum):
    """What became of an effect of a rule that fired."""

    TAKEN = "taken"
    UNCHANGED = "unchanged"  # the plan is already so
    OVERRULED = "overruled"  # somebody with a higher priority has set that
    QUIET_HOURS = "quiet-hours"  # it is outside the action's hours
    SHADOW = "shadow"  # the version of the rule does not act at this key


class ClauseOutcome(NamedTuple):
    """One part of a condition and what it came to: "true", "false", "missing: …", "error: …".
    read: values by path. joined_by: "&&" or "||" of the parts; empty: a leaf."""

    text: str
    outcome: str
    read: Mapping[str, Any]
    joined_by: str = ""
    parts: tuple[ClauseOutcome, ...] = ()


class KeptEvent(NamedTuple):
    """An event that a window or join holds. value: in a window; source and id: in a join."""

    time_ms: int
    value: float | None = None
    source: str = ""
    id: str = ""


class KeptPart(NamedTuple):
    """What a rule held of a window or of one input of its join, once it had judged. newest: of
    the events a few. from_ms and until_ms: of a window, whose events are behind the one and up to
    the other; of an input until_ms says up to when an event that it waits for may have happened, 0:
    it waits for none."""

    kind: str  # "window", "input", "absent"
    name: str
    events: int
    newest: tuple[KeptEvent, ...]
    from_ms: int = 0
    until_ms: int = 0


class EffectOutcome(msgspec.Struct, frozen=True):
    """field: of a plan change, which of its fields; empty: all of the effect."""

    effect: Effect
    status: EffectStatus
    field: str = ""
    reason: str = ""


def effect_text(one: EffectOutcome) -> str:
    """For people: what was to be done, and what became of it."""
    reason = f" ({one.reason})" if one.reason else ""
    return f"{one.status.value}: {wanted_text(one.effect, one.field)}{reason}"


def wanted_text(effect: Effect, field: str = "") -> str:
    """For people: what is to be done. field: of a plan change, that one alone."""
    if isinstance(effect, Invoke):
        config = msgspec.json.encode(effect.config).decode()
        return f"invoke {effect.application} {effect.action} {config}"
    values = dict(effect.fields)
    names = [field] if field else list(values)
    said = ", ".join(f"{name} = {_value(name, values.get(name))}" for name in names)
    return f"plan {effect.plan_id}: {said}"


def _value(field: str, value: Any) -> str:
    if field == "shift_ms" and isinstance(value, int):
        return shown(value)
    return msgspec.json.encode(value).decode()


class RuleOutcome(msgspec.Struct, frozen=True):
    """One rule's share in a decision."""

    rule: str
    version: int
    verdict: RuleVerdict
    key: str = ""
    plan_id: str = ""
    detail: str = ""  # one sentence, where the verdict leaves a question
    events: tuple[EventRef, ...] = ()  # that took part
    consumed: tuple[EventRef, ...] = ()  # that are used up
    effects: tuple[EffectOutcome, ...] = ()
    read: Mapping[str, Any] = {}  # of rules that fired: what `when` read, by path
    clauses: ClauseOutcome | None = None  # where explaining was asked for
    kept: tuple[KeptPart, ...] = ()  # likewise, of rules that have windows or a join
    hops: int = 0  # decisions that came before, where it fired
    correlation: str = ""  # the flow that it is of, likewise; empty: one begins
    dead_letter: bool = False  # the rule wants the event kept, although it did not decide it


class Timer(NamedTuple):
    """Must come back through RuleSet.due at due_ms or later, once. A timer with the id of one
    that stands replaces it."""

    tenant: str
    rule: str
    kind: str  # window, debounce, absent, sequence, deferred
    key: str
    token: str  # tells timers of one key apart
    due_ms: int

    @property
    def id(self) -> str:
        """Unique per tenant's timers."""
        parts = (self.tenant, self.rule, self.kind, self.key, self.token)
        return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)


class ParkingChangeKind(StrEnum):
    """What became of a scope of a rule that failed."""

    PARKED = "parked"
    RETRY_SUCCEEDED = "retry-succeeded"  # it is not parked any more
    RETRY_FAILED = "retry-failed"  # it is parked for longer


class ParkingChange(NamedTuple):
    """A scope of a rule was parked or retried."""

    rule: str
    kind: ParkingChangeKind
    scope: ParkingScope


class EvaluationResult(msgspec.Struct, frozen=True):
    """outcomes: of the rules that the index found, in their order. effects: those to act on, in
    order. timers: to store; dropped: ids of timers that need not come back. evicted: rules, and
    how many events each let go of for want of room. late and ahead: rules for which the event
    came too late, or is too far ahead of the clock to make others late. loops: rules that may not
    fire, because too many decisions followed on one another. full: forecasts that had no room for
    the event. parking: what was parked or retried.
    reads: who was shown what of an event whose feed has a sharing policy. shadow: of versions of
    rules that do not act at their key."""

    outcomes: tuple[RuleOutcome, ...] = ()
    effects: tuple[Effect, ...] = ()
    timers: tuple[Timer, ...] = ()
    dropped: tuple[str, ...] = ()
    evicted: tuple[tuple[str, int], ...] = ()
    late: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()
    loops: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    parking: tuple[ParkingChange, ...] = ()
    reads: tuple[AudienceRead, ...] = ()
    shadow: tuple[RuleOutcome, ...] = ()


NO_RESULT = EvaluationResult()
