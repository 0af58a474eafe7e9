"""What rules and forecasts keep, counted anew from their cells; and as the tables have it."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple


class Counted(NamedTuple):
    """memories: (tenant, kind, name) to (keys, bytes), with empty kind and name of a tenant in
    all; producers: (tenant, source) to the same."""

    memories: dict[tuple[str, str, str], tuple[int, int]]
    producers: dict[tuple[str, str], tuple[int, int]]


def recounted(db: sqlite3.Connection) -> Counted:
    """From the cells alone."""
    where = "FROM cells WHERE kind IN ('rule', 'forecast')"
    one = "SELECT tenant, kind, name, count(*), sum(length(content))"
    rows = db.execute(f"{one} {where} GROUP BY tenant, kind, name").fetchall()
    rows += db.execute(
        f"SELECT tenant, '', '', count(*), sum(length(content)) {where} GROUP BY tenant"
    ).fetchall()
    producers = db.execute(
        f"SELECT tenant, producer, count(*), sum(length(content)) {where} AND producer != ''"
        " GROUP BY tenant, producer"
    )
    return Counted(
        {tuple(row[:3]): tuple(row[3:]) for row in rows},
        {tuple(row[:2]): tuple(row[2:]) for row in producers.fetchall()},
    )


def counted(db: sqlite3.Connection) -> Counted:
    """As the tables say."""
    rows = db.execute("SELECT tenant, kind, name, keys, bytes FROM memory_uses").fetchall()
    producers = db.execute("SELECT tenant, source, keys, bytes FROM memory_producers").fetchall()
    return Counted(
        {tuple(row[:3]): tuple(row[3:]) for row in rows},
        {tuple(row[:2]): tuple(row[2:]) for row in producers},
    )
