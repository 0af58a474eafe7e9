"""An engine whose one table has words, works on it, and a connection that fails."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from control_plane.sqlite import engine as engines
from control_plane.sqlite.engine import Engine

Work = Callable[[sqlite3.Connection], Any]


def prepare(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS words (word TEXT PRIMARY KEY)")


def open_engine(
    path: Path,
    *,
    group_s: float = math.inf,
    before_commit: Callable[[], None] | None = None,
    try_again_s: float = engines.TRY_AGAIN_S,
    free_bytes: Callable[[Path], int] = engines.free_on_disk,
) -> Engine:
    return Engine(
        path, prepare=prepare, page_bytes=4096, group_s=group_s, before_commit=before_commit,
        try_again_s=try_again_s, free_bytes=free_bytes,
    )  # fmt: skip


def put(word: str) -> Work:
    return lambda db: db.execute("INSERT INTO words VALUES (?)", (word,)).rowcount


def words(engine: Engine) -> list[str]:
    found = engine.read(lambda db: db.execute("SELECT word FROM words ORDER BY word").fetchall())
    return [word for (word,) in found]


class FailingConnection:
    """A connection that cannot do one kind of statement."""

    def __init__(self, connection: sqlite3.Connection, start: str) -> None:
        self.connection = connection
        self.start = start

    @property
    def in_transaction(self) -> bool:
        return self.connection.in_transaction

    @property
    def total_changes(self) -> int:
        return self.connection.total_changes

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        if statement.startswith(self.start):
            raise sqlite3.OperationalError("disk I/O error")
        return self.connection.execute(statement, values)
