"""What waits in the outboxes of a unit's accounts, counted by tenant as it comes and goes, and how
much of it there may be.

Deliveries to others count, from when they are due to when they are over. Triggers keep the count,
so that it is part of whatever transaction changes a delivery, and is undone with it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

MOST_OF_ACCOUNT, MOST_OF_TENANT = 10_000, 1_000_000


def _counted(row: str, change: str) -> str:
    return (
        f"INSERT INTO waiting (tenant, count) SELECT tenant, {change} FROM owners"
        f" WHERE owner = {row}.owner"
        " ON CONFLICT DO UPDATE SET count = count + excluded.count;"
    )


def _waits(row: str) -> str:
    return f"{row}.due_ms IS NOT NULL AND {row}.recipient > ''"


SCHEMA_STEP = (
    "ALTER TABLE deliveries ADD COLUMN since_ms INTEGER",
    "CREATE INDEX deliveries_oldest ON deliveries (since_ms)"
    " WHERE due_ms IS NOT NULL AND recipient > ''",
    "CREATE TABLE waiting (tenant TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO waiting SELECT tenant, count(*) FROM deliveries JOIN owners USING (owner)"
    " WHERE due_ms IS NOT NULL AND recipient > '' GROUP BY tenant",
    f"CREATE TRIGGER waiting_insert AFTER INSERT ON deliveries WHEN {_waits('NEW')}"
    f" BEGIN {_counted('NEW', '1')} END",
    f"CREATE TRIGGER waiting_delete AFTER DELETE ON deliveries WHEN {_waits('OLD')}"
    f" BEGIN {_counted('OLD', '-1')} END",
    "CREATE TRIGGER waiting_update AFTER UPDATE OF due_ms ON deliveries"
    " WHEN (OLD.due_ms IS NULL) <> (NEW.due_ms IS NULL) AND NEW.recipient > ''"
    f" BEGIN {_counted('NEW', 'iif(NEW.due_ms IS NULL, -1, 1)')} END",
)
"""Of the gateway's part, version 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxLimits:
    """How many deliveries to others may wait: of one account, and in this unit of one tenant."""

    of_account: int = MOST_OF_ACCOUNT
    of_tenant: int = MOST_OF_TENANT


class WaitingNow(NamedTuple):
    """number: of deliveries in a unit. since_ms: when the one that waits for longest was sent, Unix
    ms; None: nothing
    waits, or it came with an account from a unit that did not say."""

    number: int
    since_ms: int | None


def waiting_of_account(db: sqlite3.Connection, owner: int, *, most: int) -> int:
    """How many deliveries to others are not over; counted up to `most`."""
    found: int = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE owner = ? AND recipient > ''"
        " AND due_ms IS NOT NULL LIMIT ?)",
        (owner, most),
    ).fetchone()[0]
    return found


def waiting_of_tenant(db: sqlite3.Connection, tenant: str) -> int:
    """The same of all accounts of a tenant in this unit."""
    row = db.execute("SELECT count FROM waiting WHERE tenant = ?", (tenant,)).fetchone()
    return row[0] if row else 0


def waiting_now(db: sqlite3.Connection) -> WaitingNow:
    """Of all tenants."""
    number: int = db.execute("SELECT coalesce(sum(count), 0) FROM waiting").fetchone()[0]
    since: int | None = db.execute(
        "SELECT min(since_ms) FROM deliveries WHERE due_ms IS NOT NULL AND recipient > ''"
        " AND since_ms IS NOT NULL"
    ).fetchone()[0]
    return WaitingNow(number, since)
