"""The tables of a decision worker: cells of rules and forecasts, timers, how far it has decided
each log, and its fencing token. Functions of a connection, so that all of it moves in the
transaction of the events that moved it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from control_plane.sqlite.schema import Schema
from data_sharing.decisions import memory_tables
from data_sharing.decisions.due_turns import DueTable
from data_sharing.rules.cell_cache import NEVER_MS, CellId, CellWrite, StoredCell, decoded
from data_sharing.rules.memory_uses import COUNTED, MemoryChanges
from data_sharing.rules.results import Timer
from data_sharing.rules.rule_health import RuleHealth

SCHEMA = Schema(
    part="memory",
    steps=(
        (
            "CREATE TABLE partitions (partition TEXT PRIMARY KEY, fence INTEGER NOT NULL)",
            """CREATE TABLE decided (
                 tenant TEXT PRIMARY KEY, position INTEGER NOT NULL, accepted_ms INTEGER NOT NULL)
               WITHOUT ROWID""",
            """CREATE TABLE cells (
                 tenant TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL,
                 content BLOB NOT NULL, expires_ms INTEGER,
                 PRIMARY KEY (tenant, kind, name, key)) WITHOUT ROWID""",
            "CREATE INDEX cells_by_end ON cells (expires_ms) WHERE expires_ms IS NOT NULL",
            """CREATE TABLE timers (
                 id TEXT PRIMARY KEY, tenant TEXT NOT NULL, rule TEXT NOT NULL, kind TEXT NOT NULL,
                 key TEXT NOT NULL, token TEXT NOT NULL, due_ms INTEGER NOT NULL) WITHOUT ROWID""",
            "CREATE INDEX timers_by_time ON timers (due_ms, id)",
        ),
        ("CREATE INDEX cells_of_health ON cells (tenant, name) WHERE kind = 'health'",),
        ("CREATE INDEX timers_of_tenant ON timers (tenant, due_ms, id)",),
        memory_tables.STEP,
        memory_tables.BYTES_STEP,
    ),
)
TIMERS = DueTable(
    name="timers",
    columns="tenant, rule, kind, key, token, due_ms",
    time="due_ms",
    order="due_ms, id",
)


def take_over(db: sqlite3.Connection, partition: str) -> int:
    """A token that is higher than that of every worker before."""
    row = db.execute(
        "INSERT INTO partitions VALUES (?, 1) ON CONFLICT (partition) DO UPDATE SET"
        " fence = fence + 1 RETURNING fence",
        (partition,),
    ).fetchone()
    fence: int = row[0]
    return fence


def fence_of(db: sqlite3.Connection, partition: str) -> int:
    """The token of the worker that speaks for the partition; 0: none ever did."""
    row = db.execute("SELECT fence FROM partitions WHERE partition = ?", (partition,)).fetchone()
    return row[0] if row else 0


def decided_to(db: sqlite3.Connection, tenant: str) -> tuple[int, int]:
    """(position, time of acceptance) of the newest event that was decided; zeros: none."""
    row = db.execute(
        "SELECT position, accepted_ms FROM decided WHERE tenant = ?", (tenant,)
    ).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def set_decided_to(db: sqlite3.Connection, tenant: str, position: int, accepted_ms: int) -> None:
    """Everything up to this position is decided."""
    db.execute(
        "INSERT INTO decided VALUES (?, ?, ?) ON CONFLICT (tenant) DO UPDATE SET"
        " position = excluded.position, accepted_ms = excluded.accepted_ms",
        (tenant, position, accepted_ms),
    )


def load(db: sqlite3.Connection, cell: CellId) -> StoredCell | None:
    """A cell's content, and who made it."""
    row = db.execute(
        "SELECT content, producer FROM cells WHERE tenant = ? AND kind = ? AND name = ?"
        " AND key = ?",
        cell,
    ).fetchone()
    return StoredCell(*row) if row else None


def store(db: sqlite3.Connection, writes: Iterable[CellWrite]) -> MemoryChanges:
    """Cells that changed, and by how much what is kept has; that is counted in their
    transaction."""
    to, changes = memory_tables.counted_to(db), MemoryChanges()
    changed, gone = [], []
    for cell, content, expires_ms, before, producer in writes:
        if content is None:
            gone.append(cell)
            continue
        never = expires_ms >= NEVER_MS
        changed.append((*cell, content, None if never else expires_ms, producer))
        if cell.kind in COUNTED and (to is None or cell <= to):
            changes.add(cell, 0 if before else 1, len(content) - before, producer)
    if changed:
        db.executemany(
            "INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " content = excluded.content, expires_ms = excluded.expires_ms",
            changed,
        )
    memory_tables.add(db, changes)
    if gone:
        memory_tables.delete_cells(db, gone)
    return changes


def healths(db: sqlite3.Connection, limit: int) -> Iterator[tuple[str, str, RuleHealth]]:
    """(tenant, rule, how it fares) of rules that have failed of late; at most so many."""
    rows = db.execute(
        "SELECT tenant, name, content FROM cells WHERE kind = 'health' ORDER BY tenant, name"
        " LIMIT ?",
        (limit,),
    )
    for tenant, rule, content in rows.fetchall():
        found: RuleHealth | None = decoded("health", content)
        if found is not None:
            yield tenant, rule, found


def delete_health(db: sqlite3.Connection, tenant: str, rule: str) -> None:
    """Its failures are forgotten, so that it is not parked any more."""
    db.execute(
        "DELETE FROM cells WHERE tenant = ? AND kind = 'health' AND name = ?", (tenant, rule)
    )


def rename_health(db: sqlite3.Connection, tenant: str, rule: str, to: str) -> None:
    """What is known of how a rule fares is of the other name now, in place of what was."""
    delete_health(db, tenant, to)
    db.execute(
        "UPDATE cells SET name = ? WHERE tenant = ? AND kind = 'health' AND name = ?",
        (to, tenant, rule),
    )


def delete_limit(db: sqlite3.Connection, tenant: str, rule: str) -> None:
    """When a rule fired of late at all keys. rule: the name of its state."""
    db.execute("DELETE FROM cells WHERE tenant = ? AND kind = 'limit' AND name = ?", (tenant, rule))


def delete_timers(db: sqlite3.Connection, tenant: str, rule: str, limit: int) -> int:
    """Some timers of a rule, along their ids, which begin with its name; how many. rule: the name
    of its state."""
    first = Timer(tenant, rule, "", "", "", 0).id.removesuffix("//")
    return db.execute(
        "DELETE FROM timers WHERE id IN (SELECT id FROM timers WHERE id >= ? AND id < ? LIMIT ?)",
        (first, first.removesuffix("/") + "0", limit),  # "0" is what comes behind "/"
    ).rowcount


def set_timers(db: sqlite3.Connection, timers: Iterable[Timer]) -> None:
    """Each comes back once; one with the same id is replaced."""
    db.executemany(
        "INSERT OR REPLACE INTO timers VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(timer.id, *timer) for timer in timers],
    )


def drop_timers(db: sqlite3.Connection, ids: Iterable[str]) -> None:
    db.executemany("DELETE FROM timers WHERE id = ?", [(name,) for name in ids])


def due_timers(db: sqlite3.Connection, now_ms: int, limit: int) -> list[Timer]:
    """Those whose time has come, in order."""
    return [Timer(*row) for row in TIMERS.page(db, now_ms, limit)]
