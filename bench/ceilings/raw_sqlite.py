"""Bare SQLite: grouped inserts of our key and value sizes, WAL, full sync."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from bench.workloads import bulk_client_id
from control_plane import keys
from provisioner.ledger.assignment_encoding import encode_assignment


def rows_per_s(folder: Path, run: str, count: int, group: int) -> float:
    """Rows a second into a plain key-value table, `group` rows a transaction. The file is
    made in `folder` and removed."""
    value = encode_assignment(
        "ap-northeast", 1, 1_795_526_278_416, "CN:25.4,118.5~121",
        why='["nearest","database",2234.3,123456]',
    )  # fmt: skip
    rows = [(keys.assignment("default", bulk_client_id(run, n)), value) for n in range(count)]
    path = folder / f"raw-{run}-{group}.db"
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE pairs (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        began = time.perf_counter()
        for start in range(0, count, group):
            db.execute("BEGIN")
            db.executemany("INSERT INTO pairs VALUES (?, ?)", rows[start : start + group])
            db.execute("COMMIT")
        return count / (time.perf_counter() - began)
    finally:
        db.close()
        path.unlink()
