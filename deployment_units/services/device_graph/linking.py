"""Linking: what becomes of the graphs when a device is reported or a browser is seen, in the one
transaction that keeps it. Functions of a connection, for works of the engine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from deployment_units.services.device_graph import kept, reported_sessions, waiting
from deployment_units.services.device_graph.evidence import BootInstant, NoBoot
from deployment_units.services.device_graph.graph import Consent, apply, without
from deployment_units.services.device_graph.matching import (
    SESSION_MS,
    Ambiguous,
    Decision,
    Linked,
    NoMatch,
    Observation,
    Session,
    match,
)

MOST_DECIDED: Final = 32  # browsers that wait, at one report; the others at the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of a browser that was seen. on: the owner's number of the account whose device it
    is on; None: nobody's, as far as is known."""

    decision: Decision
    on: int | None


def reported(
    db: sqlite3.Connection,
    tenant: str,
    owner: int,
    session: Session,
    *,
    now_ms: int,
    on_boot: Callable[[], None] = lambda: None,
) -> list[str]:
    """Keeps a report of a device, and matches the browsers that wait for it; those that are on a
    device now. The account has agreed to that, or `kept.NoConsent` is raised. on_boot: is told that
    the device was not known to have booted then; what it raises is raised."""
    check_consent(db, owner)
    reported_sessions.keep_session(db, owner, session, now_ms, on_boot=on_boot)
    # This report alone is new: whom it does not concern waits on.
    concerned = [
        (found.evidence.apart_ms, at, seen)
        for at, seen in enumerate(waiting.waiting_at(db, tenant, session.block))
        if isinstance(found := match(seen, [session]), Linked)
    ]
    sessions = _at(db, tenant, session.block, now_ms - 2 * SESSION_MS) if concerned else []
    linked = [
        seen.browser
        for _, _, seen in sorted(concerned, key=lambda one: one[:2])[:MOST_DECIDED]
        if _decide(db, tenant, seen, sessions, now_ms=now_ms).on is not None
    ]
    if linked:
        waiting.no_longer_waits(db, tenant, linked)
    return linked


def check_consent(db: sqlite3.Connection, owner: int) -> None:
    """Raises kept.NoConsent where the account has not agreed."""
    if not kept.consents(db, owner):
        raise kept.NoConsent(
            "the account has not agreed that its devices are matched with browsers; agree first: "
            "SetConsent, or homeport devices consent"
        )


def device_reported(
    db: sqlite3.Connection,
    tenant: str,
    owner: int,
    device: str,
    *,
    label: str,
    block: str,
    server: str,
    boots: Sequence[BootInstant],
    now_ms: int,
    on_boot: Callable[[], None] = lambda: None,
) -> int:
    """Keeps a device and a report of it; how many browsers that waited are on it now. boots: by
    each source that tells; on_boot: see `reported`. Raises TooManyDevices, NoConsent."""
    kept.add_device(db, owner, device, label, now_ms=now_ms)
    found = set[str]()
    for boot in boots:
        session = Session(device=device, block=block, server=server, boot=boot)
        found.update(reported(db, tenant, owner, session, now_ms=now_ms, on_boot=on_boot))
    if not boots:
        check_consent(db, owner)
    return len(found)


def browser_seen(
    db: sqlite3.Connection,
    tenant: str,
    browser: str,
    *,
    block: str,
    server: str,
    boots: Sequence[BootInstant],
    now_ms: int,
) -> list[Seen]:
    """Decides on a browser whose user has agreed, by each source that tells, or once where none
    does."""
    return [
        _seen_once(
            db,
            tenant,
            Observation(browser=browser, block=block, server=server, boot=boot, seen_ms=now_ms),
            now_ms=now_ms,
        )
        for boot in (*boots,) or (NoBoot.NOTHING,)
    ]


def _seen_once(db: sqlite3.Connection, tenant: str, seen: Observation, *, now_ms: int) -> Seen:
    """One that is on no device waits for a report."""
    sessions = _at(db, tenant, seen.block, seen.seen_ms - SESSION_MS)
    found = _decide(db, tenant, seen, sessions, now_ms=now_ms)
    if found.on is None:
        waiting.wait(db, tenant, seen)
    elif isinstance(found.decision, Linked):
        waiting.no_longer_waits(db, tenant, [seen.browser])
    return found


def explained(db: sqlite3.Connection, tenant: str, owner: int, browser: str) -> Decision | None:
    """What would be decided of a browser that waits, if one of the account's devices is meant or
    could be; None: nothing that concerns the account."""
    for seen in waiting.waiting_of(db, tenant, browser):
        at = reported_sessions.sessions_at(
            db, tenant, seen.block, since_ms=seen.seen_ms - SESSION_MS
        )
        if any(number == owner for number, _ in at):
            return _as_known_to(owner, match(seen, [session for _, session in at]))
    return None


def _as_known_to(owner: int, decision: Decision) -> Decision:
    """A decision without what is other accounts' business."""
    if isinstance(decision, Linked) and _parts(decision.device)[0] == owner:
        return _own(decision)
    if isinstance(decision, Ambiguous):
        mine = [one for one in decision.devices if _parts(one)[0] == owner]
        if mine:
            return _own(Ambiguous(devices=tuple(mine)))
    return decision if isinstance(decision, NoMatch) else NoMatch.NONE_AGREES


def _at(db: sqlite3.Connection, tenant: str, block: str, since_ms: int) -> list[Session]:
    return [one for _, one in reported_sessions.sessions_at(db, tenant, block, since_ms=since_ms)]


def _decide(
    db: sqlite3.Connection,
    tenant: str,
    seen: Observation,
    sessions: Sequence[Session],
    *,
    now_ms: int,
) -> Seen:
    """sessions: at its address."""
    decision = match(seen, sessions)
    if decision is NoMatch.NONE_AGREES or isinstance(decision, Ambiguous):
        return Seen(decision=decision, on=None)
    known = kept.edges_of(db, tenant, seen.browser)
    if not isinstance(decision, Linked):
        # Seen without evidence it is where it was, but not against evidence.
        held = [number for number, edge in known if edge.holds(now_ms)]
        return Seen(decision=decision, on=held[0] if held else None)
    number, device = _parts(decision.device)
    elsewhere = [(other, edge) for other, edge in known if other != number]
    for other, _ in elsewhere:
        before = kept.graph_of(db, other, seen.browser)
        kept.keep_graph(db, other, before, without(before, seen.browser), now_ms=now_ms)
    if any(edge.holds(now_ms) for _, edge in elsewhere):
        return Seen(decision=_own(decision), on=None)
    before = kept.graph_with(db, number, seen.browser, dict(known).get(number))
    consent = Consent.BOTH if kept.consents(db, number) else Consent.NOT_DEVICE
    after = apply(before, seen.browser, replace(decision, device=device), consent, now_ms=now_ms)
    kept.keep_graph(db, number, before, after, now_ms=now_ms)
    return Seen(decision=_own(decision), on=number if seen.browser in after.edges else None)


def _own(decision: Decision) -> Decision:
    """With the ids that accounts give their devices."""
    if isinstance(decision, Linked):
        return replace(decision, device=_parts(decision.device)[1])
    if isinstance(decision, Ambiguous):
        return Ambiguous(devices=tuple(sorted(_parts(one)[1] for one in decision.devices)))
    return decision


def _parts(device: str) -> tuple[int, str]:
    number, _, own = device.partition("/")
    return int(number), own
