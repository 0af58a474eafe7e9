"""Effects of rules, as values: plan changes and invocations. Others act on them.

Every effect has an id that the same events, rules and order give again, so that a worker that
died between deciding and acting can be replaced without a second action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from data_sharing.instruction import ApprovalTerms

USER_PRIORITY = 1_000  # a user's own change stands against every rule (0 to 999)


class EventRef(NamedTuple):
    """Names an event; position in its log, 0 where unknown. hops: decisions that came before it;
    correlation: the flow that it is of, empty where unknown."""

    source: str
    id: str
    position: int = 0
    hops: int = 0
    correlation: str = ""


class Cause(NamedTuple):
    """Why something was done: a rule and the events that made it fire, or a user."""

    rule: str = ""
    rule_version: int = 0
    events: tuple[EventRef, ...] = ()
    timer: str = ""  # id of the timer that was due, where no event did it
    user: str = ""
    note: str = ""
    undoes: str = ""  # id of the change that this takes back
    hops: int = 0  # decisions that came before
    correlation: str = ""  # the flow that it is of; empty: one begins


class PlanChange(msgspec.Struct, frozen=True):
    """Fields of a plan get new values; None: back to what the plan itself says.

    fields: "shift_ms" (int), "cancelled" (bool), "actions.<name>.config.<field>" (JSON).
    occurrence_ms: planned time of the occurrence; None: every one.
    """

    id: str
    tenant: str
    plan_id: str
    occurrence_ms: int | None
    fields: tuple[tuple[str, Any], ...]
    priority: int
    cause: Cause


class Invoke(msgspec.Struct, frozen=True):
    """Have an application perform an action now."""

    id: str
    tenant: str
    application: str
    action: str
    config: Mapping[str, Any]
    deadline_ms: int
    plan_id: str  # empty: no plan was looked at
    occurrence_ms: int | None
    cause: Cause
    approval: ApprovalTerms | None = None  # that a person gives first


Effect = PlanChange | Invoke


def effect_id(tenant: str, cause: Cause, plan_id: str, occurrence_ms: int | None, n: int) -> str:
    """24 hexadecimal digits. n: number of the effect within its rule."""
    before = (tenant, cause.rule, cause.rule_version, cause.timer, plan_id, occurrence_ms, n)
    return effect_id_of(f"{repr(before)[:-1]}, ", cause.events)


def effect_id_prefix(tenant: str, rule: str, version: int, n: int) -> str:
    """What `effect_id_of` needs of an effect that no plan and no timer has to do with."""
    return f"{(tenant, rule, version, '', '', None, n)!r}"[:-1] + ", "


def effect_id_of(prefix: str, events: Sequence[EventRef]) -> str:
    """As `effect_id`; prefix: what it is made of before the events."""
    named = f"{prefix}{[(one.source, one.id) for one in events]!r})"
    return blake2b(named.encode(), digest_size=12).hexdigest()


class Hold(NamedTuple):
    """Who set a field of a plan, and with which priority: who has less cannot change it."""

    priority: int
    by: str  # "rule leave-earlier" or "user u-1"


class PlanView(NamedTuple):
    """A plan at its next occurrence, as rules see it."""

    id: str
    version: int
    name: str
    owner: str
    occurrence_ms: int | None  # None: nothing is to come
    fields: Mapping[str, Any]  # in CEL: `plan`
    actions: frozenset[str]
    values: Mapping[str, Any]  # what the occurrence's fields are now, by name as in PlanChange
    holds: Mapping[str, Hold]  # on fields of this occurrence
    every_values: Mapping[str, Any]  # the same of what is set for every occurrence
    every_holds: Mapping[str, Hold]
