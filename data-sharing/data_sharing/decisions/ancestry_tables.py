"""Ancestry tables: which events name what they were caused by, so that it is found both ways; and
what an event inherits from it.

An event names its cause by `causationid`: an instruction, an outcome of one, or an event of its own
source. Where that is known here, the event is of the same flow and as many decisions behind its
beginning; whatever its producer says can make the count greater, never smaller. Functions of a
connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from msgspec.structs import replace

from control_plane.sqlite.schema import Schema
from data_sharing.correlation import Correlation, with_correlation
from data_sharing.decisions import outbox, sharing_tables
from data_sharing.decisions.history import Decision
from data_sharing.event import Event
from data_sharing.feeds import log_tables
from data_sharing.feeds.port import Candidate
from data_sharing.instruction import instruction_of_outcome

SCHEMA = Schema(
    part="ancestry",
    steps=(
        (
            """CREATE TABLE caused_events (
                 tenant TEXT NOT NULL, causation TEXT NOT NULL, position INTEGER NOT NULL,
                 PRIMARY KEY (tenant, causation, position)) WITHOUT ROWID""",
            "CREATE UNIQUE INDEX caused_events_by_position ON caused_events (tenant, position)",
        ),
        (
            """CREATE TABLE decision_causes (
                 tenant TEXT NOT NULL, position INTEGER NOT NULL, decision TEXT NOT NULL,
                 PRIMARY KEY (tenant, position, decision)) WITHOUT ROWID""",
        ),
    ),
)


def inherited(db: sqlite3.Connection, candidate: Candidate) -> Candidate:
    """An event that is to be kept, with what it has from its cause."""
    event = candidate.event
    cause = cause_of(db, event.tenant, event.source, event.causation)
    if cause is None:
        return candidate
    told = Correlation(
        event.correlation or cause.correlation, event.causation, max(event.hops, cause.hops)
    )
    if (told.correlation, told.hops) == (event.correlation, event.hops):
        return candidate
    return replace(
        candidate,
        event=replace(event, correlation=told.correlation, hops=told.hops),
        attributes=with_correlation(candidate.attributes, told),
    )


def cause_of(
    db: sqlite3.Connection, tenant: str, source: str, causation: str
) -> Correlation | None:
    """What is known of the cause that an event of that source names; None: nothing."""
    instruction = instruction_of_outcome(causation)
    stored = outbox.get(db, instruction) if instruction else None
    if stored is not None and stored.instruction.tenant == tenant:
        what = stored.instruction
        return Correlation(what.correlation, what.decision, what.hops)
    record = log_tables.record_named(db, tenant, source, causation)
    if record is None:
        return None
    event = record.event()
    # What a producer calls its flow may be for fewer than may see the event that is caused.
    governed = sharing_tables.is_governed(db, tenant, event.type)
    correlation = event.id if governed else event.correlation_id
    return Correlation(correlation, event.causation, event.hops)


def put_caused(db: sqlite3.Connection, events: Iterable[Event]) -> None:
    """Keeps which of them name a cause."""
    rows = [(one.tenant, one.causation, one.position) for one in events if one.causation]
    if rows:
        db.executemany("INSERT OR IGNORE INTO caused_events VALUES (?, ?, ?)", rows)


def caused_by(db: sqlite3.Connection, tenant: str, causation: str, limit: int) -> list[int]:
    """Positions of the events that name it as their cause, in order."""
    rows = db.execute(
        "SELECT position FROM caused_events WHERE tenant = ? AND causation = ?"
        " ORDER BY position LIMIT ?",
        (tenant, causation, limit),
    )
    return [position for (position,) in rows]


def put_decisions(db: sqlite3.Connection, decisions: Iterable[Decision]) -> None:
    """Keeps which events led to decisions besides the one at whose coming they were made."""
    rows = [
        (one.tenant, cause.position, one.id)
        for one in decisions
        for cause in one.causes
        if cause.position and cause.position != one.position
    ]
    if rows:
        db.executemany("INSERT OR IGNORE INTO decision_causes VALUES (?, ?, ?)", rows)


def decisions_of(db: sqlite3.Connection, tenant: str, position: int, limit: int) -> list[str]:
    """Ids of those decisions of an event."""
    rows = db.execute(
        "SELECT decision FROM decision_causes WHERE tenant = ? AND position = ?"
        " ORDER BY decision LIMIT ?",
        (tenant, position, limit),
    )
    return [name for (name,) in rows]


def trim(db: sqlite3.Connection, tenant: str, position: int, limit: int) -> int:
    """Forgets events up to a position, as their log does; how many."""
    return sum(
        db.execute(
            f"DELETE FROM {table} WHERE tenant = ? AND position IN (SELECT position"
            f" FROM {table} WHERE tenant = ? AND position <= ? LIMIT ?)",
            (tenant, tenant, position, limit),
        ).rowcount
        for table in ("caused_events", "decision_causes")
    )
