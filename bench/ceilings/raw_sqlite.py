"""Bare SQLite: grouped inserts of our key and value sizes, WAL, full sync.

The best of several group sizes counts.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from bench.workloads import client_id
from control_plane import keys
from provisioner.ledger.assignment import encode_assignment

GROUPS = (1_000, 5_000)


def rows_per_s(folder: Path, run: str, count: int) -> float:
    """Rows a second into a plain key-value table."""
    value = encode_assignment("ap-northeast", 1, 1_795_526_278_416, "CN:25.4,118.5~121")
    best = 0.0
    for group in GROUPS:
        path = folder / f"raw-{run}-{group}.db"
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE pairs (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        rows = [
            (keys.assignment("default", client_id(run, n % 100, n)), value) for n in range(count)
        ]
        began = time.perf_counter()
        for start in range(0, count, group):
            db.execute("BEGIN")
            db.executemany("INSERT INTO pairs VALUES (?, ?)", rows[start : start + group])
            db.execute("COMMIT")
        best = max(best, count / (time.perf_counter() - began))
        db.close()
        path.unlink()
    return best
