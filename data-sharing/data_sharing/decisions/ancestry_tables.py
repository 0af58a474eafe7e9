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
from typing import NamedTuple

from msgspec.structs import replace

from control_plane.sqlite.schema import Schema
from data_sharing.correlation import Correlation, with_correlation
from data_sharing.decisions import outbox, sharing_tables
from data_sharing.decisions.history import Decision
from data_sharing.decisions.instruction_factory import FindOrigin
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


class _Cause(NamedTuple):
    """What an event names. may_name: whether its producer may."""

    known: Correlation
    may_name: bool


class NamedCauses:
    """What is known of the causes that events name. find_origin: the application that a feed's
    events come from; empty: the service itself, or nobody knows.

    An application may name what it performed, what its events caused, and its own events. Of what
    is another's its events inherit how many decisions came before, so that no loop is hidden, and
    nothing else: neither the flow, nor a place in the ancestry.
    """

    def __init__(self, find_origin: FindOrigin = lambda tenant, feed: "") -> None:
        self._find_origin = find_origin

    def inherited(self, db: sqlite3.Connection, candidate: Candidate) -> Candidate:
        """An event that is to be kept, with what it has from its cause."""
        event = candidate.event
        cause = self._cause_of(db, event)
        if cause is None:
            return candidate
        flow = cause.known.correlation if cause.may_name else ""
        told = Correlation(
            event.correlation or flow, event.causation, max(event.hops, cause.known.hops)
        )
        if (told.correlation, told.hops) == (event.correlation, event.hops):
            return candidate
        return replace(
            candidate,
            event=replace(event, correlation=told.correlation, hops=told.hops),
            attributes=with_correlation(candidate.attributes, told),
        )

    def put_caused(self, db: sqlite3.Connection, events: Iterable[Event]) -> None:
        """Keeps which of them name a cause that they may name, or that is not known."""
        rows = [
            (one.tenant, one.causation, one.position)
            for one in events
            if one.causation and ((cause := self._cause_of(db, one)) is None or cause.may_name)
        ]
        if rows:
            db.executemany("INSERT OR IGNORE INTO caused_events VALUES (?, ?, ?)", rows)

    def _cause_of(self, db: sqlite3.Connection, event: Event) -> _Cause | None:
        """None: nothing is known of it."""
        tenant, causation = event.tenant, event.causation
        producer = self._find_origin(tenant, event.type)
        instruction = instruction_of_outcome(causation)
        stored = outbox.get(db, instruction) if instruction else None
        if stored is not None and stored.instruction.tenant == tenant:
            what = stored.instruction
            may_name = producer in ("", what.application, *what.caused_by)
            return _Cause(Correlation(what.correlation, what.decision, what.hops), may_name)
        record = log_tables.record_named(db, tenant, event.source, causation)
        if record is None:
            return None
        known = record.event()
        # What a producer calls its flow may be for fewer than may see the event that is caused.
        governed = sharing_tables.is_governed(db, tenant, known.type)
        correlation = known.id if governed else known.correlation_id
        may_name = producer in ("", self._find_origin(tenant, known.type))
        return _Cause(Correlation(correlation, known.causation, known.hops), may_name)


def names_cause(db: sqlite3.Connection, tenant: str, position: int) -> bool:
    """Whether the event there names a cause that it may name."""
    row = db.execute(
        "SELECT 1 FROM caused_events WHERE tenant = ? AND position = ?", (tenant, position)
    ).fetchone()
    return row is not None


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
