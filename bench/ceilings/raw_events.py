"""Bare SQLite: events appended in groups, WAL, full sync. Nothing is read, checked or indexed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path


def events_per_s(folder: Path, events: Sequence[bytes], group: int) -> float:
    """Events a second into a table of one column, `group` a transaction. The file is made in
    `folder` and removed."""
    path = folder / f"raw-events-{group}.db"
    rows = [(event,) for event in events]
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, event BLOB NOT NULL)")
        began = time.perf_counter()
        for start in range(0, len(rows), group):
            db.execute("BEGIN")
            db.executemany("INSERT INTO events (event) VALUES (?)", rows[start : start + group])
            db.execute("COMMIT")
        return len(rows) / (time.perf_counter() - began)
    finally:
        db.close()
        for one in folder.glob(f"{path.name}*"):
            one.unlink()
