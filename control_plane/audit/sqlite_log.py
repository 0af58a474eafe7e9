"""SqliteAuditLog: the audit log of a server that has one SQLite file to itself, which has what is
changed as well: what a call has the file do leaves a mark in the same transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from typing import TypeVar

from control_plane.audit.chain import AuditRecord, extend
from control_plane.audit.change import change_here, told_already
from control_plane.audit.entry import START, AuditEntry, AuditPhase, ChainPoint
from control_plane.audit.outcomes import abandoned, decided
from control_plane.audit.port import END_AT_ONCE, TRIM_AT_ONCE, ChainPage, due
from control_plane.errors import OutcomeUnknown, Unavailable
from control_plane.sqlite.engine import Engine, Work
from control_plane.sqlite.schema import Schema

T = TypeVar("T")

SCHEMA = Schema(
    part="audit",
    steps=(
        (
            """CREATE TABLE audit_entries (
                 sequence INTEGER PRIMARY KEY, content BLOB NOT NULL, hash BLOB NOT NULL)""",
            "CREATE TABLE audit_open (sequence INTEGER PRIMARY KEY)",
            # One row for the newest entry, one for the newest that was deleted.
            """CREATE TABLE audit_points (
                 name TEXT PRIMARY KEY, sequence INTEGER NOT NULL, hash TEXT NOT NULL,
                 time_ms INTEGER NOT NULL) WITHOUT ROWID""",
        ),
        # Transactions of the change that say they were made.
        ("ALTER TABLE audit_open ADD COLUMN made INTEGER NOT NULL DEFAULT 0",),
    ),
)


class SqliteAuditLog:
    """An AuditLog in a database that has SCHEMA. wall_ms: Unix ms; new_id: tells two trims
    apart."""

    def __init__(
        self, database: Engine, *, wall_ms: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._database = database
        self._wall_ms = wall_ms
        self._new_id = new_id
        # What is open up to here was asked of processes before this one.
        self._inherited = database.read(lambda db: _point(db, "head")[0].sequence)

    async def append(self, entry: AuditEntry) -> int:
        """See AuditLog."""
        return await self._write(lambda db: _append(db, entry, self._wall_ms()))

    async def read(self, *, after: int, limit: int) -> ChainPage:
        """See AuditLog."""
        return self._database.read(lambda db: _page(db, after, limit))

    async def end_abandoned(self, under_way: Collection[int]) -> int:
        """See AuditLog. One process at a time has the file, so that all before it have gone."""

        def work(db: sqlite3.Connection) -> int:
            rows = db.execute(
                "SELECT e.sequence, content, hash, made FROM audit_open o"
                " JOIN audit_entries e ON e.sequence = o.sequence"
                " WHERE o.sequence <= ? ORDER BY o.sequence LIMIT ?",
                (self._inherited, END_AT_ONCE),
            ).fetchall()
            for sequence, content, digest, made in rows:
                record = AuditRecord(sequence=sequence, content=bytes(content), hash=bytes(digest))
                _append(db, abandoned(record, self._new_id(), made), self._wall_ms())
            return len(rows)

        return await self._write(work)

    async def trim(self, *, before_ms: int, keep: int) -> int:
        """See AuditLog."""

        def work(db: sqlite3.Connection) -> int:
            trimmed, _ = _point(db, "trimmed")
            page = _page(db, trimmed.sequence, TRIM_AT_ONCE)
            gone = due(page, before_ms=before_ms, keep=keep)
            if not gone:
                return 0
            newest = gone[-1].point
            entry = AuditEntry(id=self._new_id(), phase=AuditPhase.TRIMMED, trimmed=newest)
            _append(db, entry, self._wall_ms())
            _put_point(db, "trimmed", newest, 0)
            for table in ("audit_entries", "audit_open"):
                db.execute(f"DELETE FROM {table} WHERE sequence <= ?", (newest.sequence,))
            return len(gone)

        return await self._write(work)

    async def _write(self, work: Work[int]) -> int:
        try:
            return await self._database.transact(work)
        except sqlite3.IntegrityError as error:
            raise Unavailable(
                "the audit log in the database is damaged: the next entry is there already; run "
                "`homeport audit verify`"
            ) from error
        except OutcomeUnknown as error:
            raise Unavailable(f"the audit log cannot be written: {error.message}") from error


def marking(work: Work[T]) -> Work[T]:
    """For an Engine's `around`: the same work, and where a call makes it that is audited, and it
    changes anything, the mark that it was made. It raises Unavailable where the call has its
    outcome already."""
    sequence = change_here()
    if not sequence:
        return work

    def marked(db: sqlite3.Connection) -> T:
        changes = db.total_changes
        result = work(db)
        if db.total_changes != changes:
            mark = "UPDATE audit_open SET made = made + 1 WHERE sequence = ?"
            if db.execute(mark, (sequence,)).rowcount != 1:
                raise told_already(sequence)
        return result

    return marked


def _append(db: sqlite3.Connection, entry: AuditEntry, now_ms: int) -> int:
    if entry.asked:
        mark = "SELECT made FROM audit_open WHERE sequence = ?"
        row = db.execute(mark, (entry.asked,)).fetchone()
        if row is None:
            return 0
        entry = decided(entry, row[0])
    head, newest_ms = _point(db, "head")
    time_ms = max(newest_ms, now_ms)
    record = extend(head, entry, time_ms)
    db.execute(
        "INSERT INTO audit_entries VALUES (?, ?, ?)",
        (record.sequence, record.content, record.hash),
    )
    _put_point(db, "head", record.point, time_ms)
    if entry.phase is AuditPhase.ASKED:
        db.execute("INSERT OR REPLACE INTO audit_open VALUES (?, 0)", (record.sequence,))
    elif entry.asked:
        db.execute("DELETE FROM audit_open WHERE sequence = ?", (entry.asked,))
    return record.sequence


def _page(db: sqlite3.Connection, after: int, limit: int) -> ChainPage:
    rows = db.execute(
        "SELECT e.sequence, content, hash, o.sequence FROM audit_entries e"
        " LEFT JOIN audit_open o ON o.sequence = e.sequence"
        " WHERE e.sequence > ? ORDER BY e.sequence LIMIT ?",
        (after, limit),
    ).fetchall()
    return ChainPage(
        records=[
            AuditRecord(sequence=sequence, content=bytes(content), hash=bytes(digest))
            for sequence, content, digest, _ in rows
        ],
        head=_point(db, "head")[0],
        trimmed=_point(db, "trimmed")[0],
        open=frozenset(row[0] for row in rows if row[3] is not None),
    )


def _point(db: sqlite3.Connection, name: str) -> tuple[ChainPoint, int]:
    row = db.execute(
        "SELECT sequence, hash, time_ms FROM audit_points WHERE name = ?", (name,)
    ).fetchone()
    return (ChainPoint(sequence=row[0], hash=row[1]), row[2]) if row else (START, 0)


def _put_point(db: sqlite3.Connection, name: str, point: ChainPoint, time_ms: int) -> None:
    db.execute(
        "INSERT OR REPLACE INTO audit_points VALUES (?, ?, ?, ?)",
        (name, point.sequence, point.hash, time_ms),
    )
