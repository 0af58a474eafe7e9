"""Routing: where one call or text of an account goes, in the one transaction that opens its record
and, for a stranger, allocates a technical number. A function of a connection, for a work of the
engine.

What a link says is decided by `link`, who may reach the account by its profile, what may be called
by `refusal_of`, what an account may use of a day by `room`; here they are asked in this order, and
nothing is written for what is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from control_plane.faultpoints import passing
from deployment_units.services.profiles import kept as profiles
from deployment_units.services.profiles.profile import Mode, Relation, Viewer
from deployment_units.services.telephony import kept
from deployment_units.services.telephony.allocation import PoolEmpty, allocate
from deployment_units.services.telephony.dialling import refusal_of
from deployment_units.services.telephony.linking import Linked, link
from deployment_units.services.telephony.port import CallKind, RefusedCause
from deployment_units.services.telephony.records import (
    CallLimits,
    CallRow,
    digest_of,
    open_record,
    record_id,
    room,
)

NEW_A_DAY = 50  # links that strangers make of one account


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantNumbers:
    """technical: E.164, in the order in which they are allocated; countries: that are called, ISO
    3166."""

    technical: tuple[str, ...] = ()
    countries: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAsked:
    """A call or text of an account. caller: E.164, None: withheld; dialled: E.164. trusted: the
    caller is known to be no number of ours, so that it may get a technical number."""

    caller: str | None
    dialled: str
    kind: CallKind
    trusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """Where it goes: see Leg. record: the id of its record."""

    target: str
    shown: str | None
    record: bytes
    limit_s: int


def judged(
    db: sqlite3.Connection, owner: int, name: str, asked: CallAsked, numbers: TenantNumbers
) -> Linked | RefusedCause:
    """Where it would go. name: of the account. Nothing is written."""
    table = kept.table_for(db, owner, name, asked.caller, asked.dialled)
    found = link(asked.caller, asked.dialled, table)
    if isinstance(found, RefusedCause):
        return found
    if not found.outgoing and not _is_open(db, owner, asked):
        return RefusedCause.NOT_OPEN
    ours = {*numbers.technical, *table.users[name].virtual}
    if asked.caller in ours:
        return RefusedCause.LOOP
    return refusal_of(found.target, countries=numbers.countries, ours=ours) or found


_MODES = {CallKind.CALL: Mode.TELEPHONE, CallKind.TEXT: Mode.TEXT}


def _is_open(db: sqlite3.Connection, owner: int, asked: CallAsked) -> bool:
    """Whether the account lets the caller reach it. By its number nobody is known to be an account:
    who was linked by the owner is a contact, and anybody else is nobody in particular. Where the
    owner has not said, a virtual number is for everybody."""
    audience = profiles.chosen(db, owner, _MODES[asked.kind])
    if audience is None or audience.everyone:
        return True
    linked = asked.caller is not None and kept.has_linked(db, owner, asked.caller)
    relation = Relation.CONTACT if linked else Relation.STRANGER
    return Viewer(relation=relation).is_in(audience)


def route(
    db: sqlite3.Connection,
    owner: int,
    name: str,
    asked: CallAsked,
    numbers: TenantNumbers,
    limits: CallLimits,
    *,
    now_ms: int,
    random: Callable[[int], bytes],
    new_a_day: int = NEW_A_DAY,
) -> Routed | RefusedCause:
    """Opens the record of a call, which is named by the account and the record's id. now_ms: Unix
    ms; random(n): n bytes. Raises nothing of its own."""
    found = judged(db, owner, name, asked, numbers)
    if isinstance(found, RefusedCause):
        return found
    limit_s = room(db, owner, asked.kind, limits, now_ms=now_ms)
    if isinstance(limit_s, RefusedCause):
        return limit_s
    shown = found.shown
    if found.stranger and asked.trusted and asked.caller is not None:
        shown = _for_stranger(
            db, owner, name, asked.caller, numbers, now_ms=now_ms, new_a_day=new_a_day
        )
    technical = (asked.dialled if found.outgoing else shown) or ""
    if technical:
        kept.used(db, owner, technical, now_ms=now_ms)
    secret = kept.secret(db, owner, random(32))
    row = CallRow(
        id=record_id(now_ms, random(10)),
        kind=asked.kind.value,
        outgoing=int(found.outgoing),
        technical=technical,
        other=digest_of(secret, found.contact),
        routed_ms=now_ms,
        limit_s=limit_s,
        began_ms=None,
        answered_ms=None,
        ended_ms=None,
        ended="",
    )
    open_record(db, owner, row, now_ms=now_ms)
    return Routed(target=found.target, shown=shown, record=row.id, limit_s=limit_s)


def _for_stranger(
    db: sqlite3.Connection,
    owner: int,
    name: str,
    caller: str,
    numbers: TenantNumbers,
    *,
    now_ms: int,
    new_a_day: int,
) -> str | None:
    """The technical number that a stranger gets; None: it is shown as nobody."""
    if kept.strangers(db, owner) == kept.ANONYMOUS:
        return None
    if refusal_of(caller, countries=numbers.countries, ours=frozenset()) is not None:
        return None  # it could not be called back
    if kept.by_strangers(db, owner, since_ms=now_ms - kept.DAY_MS) >= new_a_day:
        return None
    table = kept.whole_table(db, owner, name, now_ms=now_ms)
    found = allocate(name, caller, table, numbers.technical)
    if isinstance(found, PoolEmpty):
        return None
    row = kept.LinkRow(
        technical=found, contact=caller, made_by=kept.BY_STRANGER, since_ms=now_ms, last_ms=None
    )
    try:
        kept.add_link(db, owner, row, now_ms=now_ms)
    except kept.TooManyLinks:
        return None
    passing("link.allocated.after")
    return found
