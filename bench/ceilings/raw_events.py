"""Bare SQLite: grouped appends of events as they come, WAL, full sync."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path


def events_per_s(path: Path, rows: Sequence[tuple[object, ...]], group: int) -> float:
    """Rows a second into a log without any index, `group` rows a transaction. The file is made
    and removed. A row: position, source, id, type, key, time and content."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(
            "CREATE TABLE events (position INTEGER PRIMARY KEY, source TEXT, id TEXT, type TEXT,"
            " key TEXT, time_ms INTEGER, content BLOB)"
        )
        began = time.perf_counter()
        for start in range(0, len(rows), group):
            db.execute("BEGIN")
            db.executemany(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", rows[start : start + group]
            )
            db.execute("COMMIT")
        return len(rows) / (time.perf_counter() - began)
    finally:
        db.close()
        path.unlink()
