"""The tables that count what rules and forecasts remember: keys and bytes of each memory and of
each tenant, and of what events of each producer have made. Functions of a connection.

Every transaction that writes or deletes cells changes the counts by the difference that it makes,
so nothing is ever counted as a whole but once: the cells of a file that is older than the counts,
in order and a few in each transaction. How far that has come is a row beside them, and until it is
over cells behind that place do not count yet.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from data_sharing.memory_limits import MemorySpec, TenantLimits
from data_sharing.rules.cell_id import CellId
from data_sharing.rules.memory_uses import (
    COUNTED,
    NOTHING,
    MemoryChanges,
    MemoryName,
    MemoryUse,
    MemoryUses,
    Producer,
)

STEP = (
    """CREATE TABLE memory_uses (
         tenant TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, keys INTEGER NOT NULL,
         bytes INTEGER NOT NULL, PRIMARY KEY (tenant, kind, name)) WITHOUT ROWID""",
    """CREATE TABLE memory_producers (
         tenant TEXT NOT NULL, source TEXT NOT NULL, keys INTEGER NOT NULL,
         PRIMARY KEY (tenant, source)) WITHOUT ROWID""",
    """CREATE TABLE memory_counting (
         id INTEGER PRIMARY KEY CHECK (id = 1), is_over INTEGER NOT NULL, tenant TEXT NOT NULL,
         kind TEXT NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL)""",
    "ALTER TABLE cells ADD COLUMN producer TEXT NOT NULL DEFAULT ''",
)
"""Of the schema of cells. A memory is counted by its name, and a tenant in all by empty ones."""

BYTES_STEP = (
    "DROP TABLE memory_producers",
    """CREATE TABLE memory_producers (
         tenant TEXT NOT NULL, source TEXT NOT NULL, keys INTEGER NOT NULL, bytes INTEGER NOT NULL,
         PRIMARY KEY (tenant, source)) WITHOUT ROWID""",
    "DELETE FROM memory_uses",
    "DELETE FROM memory_counting",
)
"""Producers are counted in bytes as well, so everything is counted once more."""

START = CellId("", "", "", "")  # before all cells


def counted_to(db: sqlite3.Connection) -> CellId | None:
    """The last cell that counts, and all before it do; None: every one."""
    row = db.execute("SELECT is_over, tenant, kind, name, key FROM memory_counting").fetchone()
    if row is None:
        return START
    return None if row[0] else CellId(*row[1:])


def use_of(db: sqlite3.Connection, name: MemoryName) -> MemoryUse:
    """What a memory keeps; with an empty kind and name: all of the tenant."""
    row = db.execute(
        "SELECT keys, bytes FROM memory_uses WHERE tenant = ? AND kind = ? AND name = ?", name
    ).fetchone()
    return MemoryUse(*row) if row else NOTHING


def status(
    db: sqlite3.Connection, name: MemoryName, limits: TenantLimits, own: MemorySpec | None
) -> tuple[MemoryUse, str]:
    """What a memory keeps, and why no keys are added now; empty: they are, unless a producer has
    made too many. own: what the rule or forecast says of it."""
    uses = MemoryUses(lambda one: use_of(db, one), lambda _: NOTHING, limits)
    return use_of(db, name), uses.why_full(CellId(*name, ""), "", own)


def made_by(db: sqlite3.Connection, producer: Producer) -> MemoryUse:
    """What events of a producer have made and is there."""
    row = db.execute(
        "SELECT keys, bytes FROM memory_producers WHERE tenant = ? AND source = ?", producer
    ).fetchone()
    return MemoryUse(*row) if row else NOTHING


def used(db: sqlite3.Connection, tenant: str, source: str) -> dict[str, int]:
    """What a tenant keeps in all, by the name of its bound; and what events of that producer have
    made, where one is given."""
    whole = use_of(db, (tenant, "", ""))
    found = {"tenant_keys": whole.keys, "tenant_bytes": whole.bytes}
    if source:
        made = made_by(db, (tenant, source))
        found |= {"producer_keys": made.keys, "producer_bytes": made.bytes}
    return found


def tenants(db: sqlite3.Connection, limit: int) -> list[tuple[str, MemoryUse]]:
    """What tenants keep in all, by name."""
    rows = db.execute(
        "SELECT tenant, keys, bytes FROM memory_uses WHERE kind = '' ORDER BY tenant LIMIT ?",
        (limit,),
    )
    return [(tenant, MemoryUse(keys, size)) for tenant, keys, size in rows.fetchall()]


def add(db: sqlite3.Connection, changes: MemoryChanges) -> None:
    """The difference that a transaction makes, in that transaction."""
    memories = [(*name, *use) for name, use in changes.memories.items() if any(use)]
    memories += [(tenant, "", "", *use) for tenant, use in changes.tenants.items() if any(use)]
    if memories:
        db.executemany(
            "INSERT INTO memory_uses VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " keys = keys + excluded.keys, bytes = bytes + excluded.bytes",
            memories,
        )
    if any(row[3] < 0 for row in memories):
        db.executemany(
            "DELETE FROM memory_uses WHERE tenant = ? AND kind = ? AND name = ? AND keys = 0"
            " AND bytes = 0",
            [row[:3] for row in memories],
        )
    producers = [(*name, *use) for name, use in changes.producers.items() if any(use)]
    if producers:
        db.executemany(
            "INSERT INTO memory_producers VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " keys = keys + excluded.keys, bytes = bytes + excluded.bytes",
            producers,
        )
    if any(row[2] < 0 for row in producers):
        db.executemany(
            "DELETE FROM memory_producers WHERE tenant = ? AND source = ? AND keys = 0",
            [row[:2] for row in producers],
        )


def delete_cells(db: sqlite3.Connection, cells: Iterable[CellId]) -> None:
    """These alone, and they do not count any more."""
    gone: list[tuple[str, str, str, str, int, str]] = []
    for cell in cells:
        gone += db.execute(
            "DELETE FROM cells WHERE tenant = ? AND kind = ? AND name = ? AND key = ?"
            " RETURNING tenant, kind, name, key, length(content), producer",
            cell,
        ).fetchall()
    _uncount(db, gone)


def expire(db: sqlite3.Connection, now_ms: int, limit: int) -> list[CellId]:
    """Deletes cells that mean nothing any more; which."""
    rows = db.execute(
        "DELETE FROM cells WHERE (tenant, kind, name, key) IN (SELECT tenant, kind, name, key"
        " FROM cells WHERE expires_ms < ? LIMIT ?)"
        " RETURNING tenant, kind, name, key, length(content), producer",
        (now_ms, limit),
    ).fetchall()
    _uncount(db, rows)
    return [CellId(*row[:4]) for row in rows]


def count_some(db: sqlite3.Connection, limit: int) -> bool:
    """Counts the next cells that do not count yet; whether that is over now."""
    to = counted_to(db)
    if to is None:
        return True
    rows = db.execute(
        "SELECT tenant, kind, name, key, length(content), producer FROM cells"
        " WHERE (tenant, kind, name, key) > (?, ?, ?, ?) ORDER BY tenant, kind, name, key LIMIT ?",
        (*to, limit),
    ).fetchall()
    changes = MemoryChanges()
    for *name, size, producer in rows:
        cell = CellId(*name)
        if cell.kind in COUNTED:
            changes.add(cell, 1, size, producer)
    add(db, changes)
    is_over = len(rows) < limit
    last = rows[-1][:4] if rows else to
    db.execute("INSERT OR REPLACE INTO memory_counting VALUES (1, ?, ?, ?, ?, ?)", (is_over, *last))
    return is_over


def _uncount(db: sqlite3.Connection, rows: Sequence[tuple[str, str, str, str, int, str]]) -> None:
    if not rows:
        return
    to, changes = counted_to(db), MemoryChanges()
    for *name, size, producer in rows:
        cell = CellId(*name)
        if cell.kind in COUNTED and (to is None or cell <= to):
            changes.add(cell, -1, -size, producer)
    add(db, changes)
