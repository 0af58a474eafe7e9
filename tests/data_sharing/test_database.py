"""The database: groups, savepoints, migrations, one owner."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from control_plane.errors import Refused
from control_plane.sqlite.schema import Schema
from control_plane.store.port import StoreUnavailable
from data_sharing.database import Database

FIRST = ("CREATE TABLE words (word TEXT PRIMARY KEY)",)
SECOND = ("ALTER TABLE words ADD COLUMN size INTEGER", "UPDATE words SET size = length(word)")
WORDS = Schema(part="words", steps=(FIRST,))


def put(word: str):
    return lambda db: db.execute("INSERT INTO words (word) VALUES (?)", (word,)).lastrowid


def words(database: Database) -> list[str]:
    return [
        word
        for (word,) in database.read(
            lambda db: db.execute("SELECT word FROM words ORDER BY word").fetchall()
        )
    ]


async def test_what_gathers_shares_a_transaction(tmp_path):
    database = await Database.open(tmp_path / "a.db", [WORDS])
    await asyncio.gather(*(database.transact(put(f"w{n}")) for n in range(40)))
    assert len(words(database)) == 40
    assert database.groups < 5
    await database.close()


async def test_one_that_fails_is_undone_alone(tmp_path):
    database = await Database.open(tmp_path / "a.db", [WORDS])

    def half(db: sqlite3.Connection) -> None:
        put("half")(db)
        raise KeyError("stop")

    answers = await asyncio.gather(
        database.transact(put("a")), database.transact(half), database.transact(put("a")),
        database.transact(put("b")), return_exceptions=True,
    )  # fmt: skip
    assert [type(one) for one in answers] == [int, KeyError, sqlite3.IntegrityError, int]
    assert words(database) == ["a", "b"]
    await database.close()


async def test_a_read_sees_what_is_committed(tmp_path):
    database = await Database.open(tmp_path / "a.db", [WORDS])
    kept = database.submit(put("a"))
    assert words(database) == []
    await kept
    assert words(database) == ["a"]
    with pytest.raises(sqlite3.OperationalError):
        database.read(put("b"))
    await database.close()


async def test_tables_are_brought_up_to_date_once(tmp_path):
    path = tmp_path / "a.db"
    database = await Database.open(path, [WORDS])
    await database.transact(put("three"))
    await database.close()
    for _ in range(2):
        newer = await Database.open(path, [Schema(part="words", steps=(FIRST, SECOND))])
        found = newer.read(lambda db: db.execute("SELECT word, size FROM words").fetchall())
        assert found == [("three", 5)]
        await newer.close()


async def test_a_newer_homeports_tables_are_refused(tmp_path):
    path = tmp_path / "a.db"
    await (await Database.open(path, [Schema(part="words", steps=(FIRST, SECOND))])).close()
    with pytest.raises(Refused, match="newer"):
        await Database.open(path, [WORDS])


async def test_a_file_of_another_process_is_refused(tmp_path):
    database = await Database.open(tmp_path / "a.db", [WORDS])
    with pytest.raises(Refused, match="another process"):
        await Database.open(tmp_path / "a.db", [WORDS])
    await database.close()


async def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "a.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(Refused, match="move it away"):
        await Database.open(tmp_path / "a.db", [WORDS])


async def test_closing_finishes_what_was_handed_in(tmp_path):
    database = await Database.open(tmp_path / "a.db", [WORDS])
    kept = [database.submit(put(f"w{n}")) for n in range(200)]
    await database.close()
    assert all(one.done() for one in kept)
    with pytest.raises(StoreUnavailable):
        await database.transact(put("late"))
    database = await Database.open(tmp_path / "a.db", [WORDS])
    assert len(words(database)) == 200
    await database.close()
