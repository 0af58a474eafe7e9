"""The tables of paused rules: since when and why, and by their positions the events that wait for
each, with the timers that came due meanwhile. Functions of a connection, so that an event waits
from the transaction that keeps it to the one that decides it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from control_plane.sqlite.schema import Schema
from data_sharing.rules.results import Timer

MOST_WAITING = 100_000  # events of one rule; those beyond are dead letters
SCHEMA = Schema(
    part="pauses",
    steps=(
        (
            """CREATE TABLE pauses (
                 tenant TEXT NOT NULL, rule TEXT NOT NULL, since_ms INTEGER NOT NULL,
                 by TEXT NOT NULL, reason TEXT NOT NULL, resuming INTEGER NOT NULL DEFAULT 0,
                 skip_to INTEGER NOT NULL DEFAULT 0, waiting INTEGER NOT NULL DEFAULT 0,
                 lost INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (tenant, rule)) WITHOUT ROWID""",
            """CREATE TABLE paused_events (
                 tenant TEXT NOT NULL, rule TEXT NOT NULL, position INTEGER NOT NULL,
                 PRIMARY KEY (tenant, rule, position)) WITHOUT ROWID""",
            """CREATE TABLE paused_timers (
                 id TEXT PRIMARY KEY, of TEXT NOT NULL, tenant TEXT NOT NULL, rule TEXT NOT NULL,
                 kind TEXT NOT NULL, key TEXT NOT NULL, token TEXT NOT NULL,
                 due_ms INTEGER NOT NULL) WITHOUT ROWID""",
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Of one rule. by: who paused it. resuming: what waits is decided now, but for events up to
    skip_to, which are not. waiting: events; lost: that passed their retention while they waited."""

    since_ms: int
    by: str
    reason: str
    resuming: bool = False
    skip_to: int = 0
    waiting: int = 0
    lost: int = 0


_COLUMNS = "since_ms, by, reason, resuming, skip_to, waiting, lost"


def get(db: sqlite3.Connection, tenant: str, rule: str) -> Pause | None:
    """None: it is not paused."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM pauses WHERE tenant = ? AND rule = ?", (tenant, rule)
    ).fetchone()
    return _pause(row) if row else None


def paused(db: sqlite3.Connection, tenant: str = "") -> set[tuple[str, str]]:
    """Tenants and rules; of one tenant, or of all."""
    only = " WHERE tenant = ?" if tenant else ""
    rows = db.execute(f"SELECT tenant, rule FROM pauses{only}", (tenant,) if tenant else ())
    return set(rows)


def backlogs(db: sqlite3.Connection, limit: int) -> list[tuple[str, str, int]]:
    """(tenant, rule, events that wait) of paused rules, by name."""
    return db.execute(
        "SELECT tenant, rule, waiting FROM pauses ORDER BY tenant, rule LIMIT ?", (limit,)
    ).fetchall()


def put(
    db: sqlite3.Connection, tenant: str, rule: str, *, by: str, reason: str, now_ms: int
) -> None:
    """It is paused from now on, also where it was being resumed. One that is stays so, since when
    it was."""
    db.execute(
        "INSERT INTO pauses (tenant, rule, since_ms, by, reason) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (tenant, rule) DO UPDATE SET resuming = 0",
        (tenant, rule, now_ms, by, reason),
    )


def resume(db: sqlite3.Connection, tenant: str, rule: str, *, skip: bool) -> None:
    """What waits is decided from now on, or skipped."""
    db.execute(
        "UPDATE pauses SET resuming = 1, skip_to = CASE WHEN ? THEN coalesce((SELECT max(position)"
        " FROM paused_events e WHERE e.tenant = pauses.tenant AND e.rule = pauses.rule), 0)"
        " ELSE skip_to END WHERE tenant = ? AND rule = ?",
        (skip, tenant, rule),
    )


def add_event(db: sqlite3.Connection, tenant: str, rule: str, position: int, now_ms: int) -> bool:
    """An event waits for the rule, once. False where too many do. A rule whose pause is just over
    is resumed once more for it."""
    waits = get(db, tenant, rule)
    if waits is not None and waits.waiting >= MOST_WAITING:
        return False
    if waits is None:
        put(db, tenant, rule, by="", reason="came while it was resumed", now_ms=now_ms)
        resume(db, tenant, rule, skip=False)
    added = db.execute(
        "INSERT OR IGNORE INTO paused_events VALUES (?, ?, ?)", (tenant, rule, position)
    )
    _count(db, tenant, rule, added.rowcount, 0)
    return True


def add_timer(db: sqlite3.Connection, rule: str, timer: Timer) -> None:
    """A timer of the rule waits; it comes back when the rule is resumed."""
    db.execute(
        "INSERT OR REPLACE INTO paused_timers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (timer.id, rule, *timer),
    )


def resuming(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Tenants and rules that are being resumed."""
    return db.execute(
        "SELECT tenant, rule FROM pauses WHERE resuming = 1 ORDER BY tenant, rule"
    ).fetchall()


def waiting(db: sqlite3.Connection, tenant: str, rule: str, limit: int) -> list[int]:
    """Positions, the first ones."""
    rows = db.execute(
        "SELECT position FROM paused_events WHERE tenant = ? AND rule = ? ORDER BY position"
        " LIMIT ?",
        (tenant, rule, limit),
    )
    return [position for (position,) in rows]


def remove_events(
    db: sqlite3.Connection, tenant: str, rule: str, positions: Iterable[int], *, lost: int = 0
) -> None:
    """They wait no more. lost: of them, that were not there any more."""
    gone = list(positions)
    db.executemany(
        "DELETE FROM paused_events WHERE tenant = ? AND rule = ? AND position = ?",
        [(tenant, rule, position) for position in gone],
    )
    _count(db, tenant, rule, -len(gone), lost)


def end(db: sqlite3.Connection, tenant: str, rule: str) -> None:
    """The pause is over: nothing waits."""
    db.execute("DELETE FROM pauses WHERE tenant = ? AND rule = ?", (tenant, rule))


def return_timers(db: sqlite3.Connection, limit: int) -> int:
    """Timers of rules that are not paused any more come due again, unless newer ones stand in
    their place; how many."""
    rows = db.execute(
        "DELETE FROM paused_timers WHERE id IN (SELECT id FROM paused_timers t WHERE NOT EXISTS"
        " (SELECT 1 FROM pauses p WHERE p.tenant = t.tenant AND p.rule = t.of) LIMIT ?)"
        " RETURNING id, tenant, rule, kind, key, token, due_ms",
        (limit,),
    ).fetchall()
    db.executemany("INSERT OR IGNORE INTO timers VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return len(rows)


def any_timers_to_return(db: sqlite3.Connection) -> bool:
    """Whether `return_timers` has something to do."""
    found = db.execute(
        "SELECT 1 FROM paused_timers t WHERE NOT EXISTS (SELECT 1 FROM pauses p"
        " WHERE p.tenant = t.tenant AND p.rule = t.of) LIMIT 1"
    )
    return found.fetchone() is not None


def trim_events(db: sqlite3.Connection, tenant: str, position: int, limit: int) -> int:
    """Events up to a position are gone with their log, whoever waits for them; how many."""
    rows = db.execute(
        "DELETE FROM paused_events WHERE (tenant, rule, position) IN (SELECT tenant, rule, position"
        " FROM paused_events WHERE tenant = ? AND position <= ? LIMIT ?) RETURNING rule",
        (tenant, position, limit),
    ).fetchall()
    for (rule,) in dict.fromkeys(rows):
        count = rows.count((rule,))
        _count(db, tenant, rule, -count, count)
    return len(rows)


def _count(db: sqlite3.Connection, tenant: str, rule: str, more: int, lost: int) -> None:
    db.execute(
        "UPDATE pauses SET waiting = waiting + ?, lost = lost + ? WHERE tenant = ? AND rule = ?",
        (more, lost, tenant, rule),
    )


def _pause(row: tuple[int, str, str, int, int, int, int]) -> Pause:
    since_ms, by, reason, resuming_, skip_to, waiting_, lost = row
    return Pause(
        since_ms=since_ms, by=by, reason=reason, resuming=bool(resuming_), skip_to=skip_to,
        waiting=waiting_, lost=lost,
    )  # fmt: skip
