"""A file's log is brought into it beside its transactions, while they go on."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from control_plane.sqlite.checkpointing import Checkpointing
from control_plane.sqlite.connection import connect
from control_plane.sqlite.engine import Engine

PAGE_BYTES = 4096
MOST_WAIT_S = 60.0


def prepare(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS words (word BLOB)")


def writer_of(path: Path) -> sqlite3.Connection:
    """One that never brings its log into the file itself."""
    db = connect(path, page_bytes=PAGE_BYTES)
    db.execute("PRAGMA wal_autocheckpoint = 0")
    prepare(db)
    return db


def put(db: sqlite3.Connection) -> None:
    db.execute("INSERT INTO words VALUES (randomblob(1000))")


def test_so_many_commits_bring_the_log_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "words.db"
    db = writer_of(path)
    checkpoints = Checkpointing(path, page_bytes=PAGE_BYTES, commits=3)
    before = path.stat().st_size
    for _ in range(2):
        put(db)
        checkpoints.committed()
    assert (path.stat().st_size, checkpoints.done) == (before, 0)
    put(db)
    checkpoints.committed()
    checkpoints.close()
    assert checkpoints.done == 1
    assert path.stat().st_size > before
    _, of_log, done = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert of_log == done
    db.close()


def test_a_transaction_that_is_under_way_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "words.db"
    db = writer_of(path)
    put(db)
    checkpoints = Checkpointing(path, page_bytes=PAGE_BYTES, commits=1)
    db.execute("BEGIN IMMEDIATE")
    put(db)
    checkpoints.committed()
    checkpoints.close()  # it would never end
    db.execute("COMMIT")
    assert checkpoints.done == 1
    assert db.execute("SELECT count(*) FROM words").fetchone() == (2,)
    db.close()


def test_a_file_that_cannot_be_opened_is_left_to_its_transactions(tmp_path: Path, caplog) -> None:
    checkpoints = Checkpointing(tmp_path, page_bytes=PAGE_BYTES, commits=1)
    checkpoints.committed()
    checkpoints.close()
    assert checkpoints.done == 0
    assert "not brought into the file" in caplog.text


async def test_an_engine_has_its_log_in_the_file_without_a_transaction_that_does_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "words.db"
    engine = Engine(path, prepare=prepare, page_bytes=PAGE_BYTES)
    engine.writer.execute("PRAGMA wal_autocheckpoint = 0")
    try:
        async with asyncio.timeout(MOST_WAIT_S):
            while path.stat().st_size < 20 * PAGE_BYTES:
                await engine.transact(put)
    finally:
        await engine.close()
    again = connect(path, page_bytes=PAGE_BYTES)
    assert again.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    again.close()
