"""Rows written in few statements are the rows that were given, in their order."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from control_plane.sqlite.rows import AT_ONCE, insert


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (row INTEGER PRIMARY KEY, name TEXT UNIQUE, note BLOB)")
    yield connection
    connection.close()


def names(db: sqlite3.Connection) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM t ORDER BY row")]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, AT_ONCE[0] - 1, AT_ONCE[0], sum(AT_ONCE) + 3])
def test_all_rows_in_order(db: sqlite3.Connection, count: int) -> None:
    insert(db, "t (name, note)", [(f"n{n}", bytearray(b"x")) for n in range(count)])
    assert names(db) == [f"n{n}" for n in range(count)]
    assert db.execute("SELECT count(*) FROM t WHERE note = x'78'").fetchone() == (count,)


def test_a_form_fills_in_what_is_the_same_in_every_row(db: sqlite3.Connection) -> None:
    insert(db, "t (name, note)", [(f"n{n}",) for n in range(20)], form="(?, NULL)")
    assert len(names(db)) == 20
    assert db.execute("SELECT count(note) FROM t").fetchone() == (0,)


def test_what_is_there_can_be_left_as_it_is(db: sqlite3.Connection) -> None:
    insert(db, "t (name, note)", [("n3", "first")])
    rows = [(f"n{n}", "second") for n in range(AT_ONCE[0] + 5)]
    insert(db, "t (name, note)", rows, otherwise="ON CONFLICT (name) DO NOTHING")
    assert sorted(names(db)) == sorted(name for name, _ in rows)
    assert db.execute("SELECT note FROM t WHERE name = 'n3'").fetchone() == ("first",)


def test_what_fails_is_undone_by_a_savepoint(db: sqlite3.Connection) -> None:
    db.execute("BEGIN")
    insert(db, "t (name)", [("before",)])
    db.execute("SAVEPOINT one")
    with pytest.raises(sqlite3.IntegrityError):
        insert(db, "t (name)", [*((f"n{n}",) for n in range(200)), ("before",)])
    db.execute("ROLLBACK TO one")
    db.execute("COMMIT")
    assert names(db) == ["before"]
