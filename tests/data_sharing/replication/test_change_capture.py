"""Whatever a transaction does to whichever table, the same changes made elsewhere come to the same
rows."""

from __future__ import annotations

import sqlite3

from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.sqlite.schema import migrate
from data_sharing.decisions import tables as decision_tables
from data_sharing.feeds import log_tables
from data_sharing.replication import change_capture as capture
from data_sharing.replication import replica_tables

TABLES = (
    "CREATE TABLE plain (a TEXT, b INTEGER)",
    "CREATE TABLE numbered (row INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT UNIQUE, b INTEGER)",
    "CREATE TABLE named (a TEXT, b INTEGER, c TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
    "CREATE TABLE texts (a TEXT PRIMARY KEY, b INTEGER)",
)
NAMES = st.sampled_from(["x", "y", "z", "ü"])
NUMBERS = st.integers(0, 4)
STATEMENTS = st.sampled_from(
    [
        "INSERT INTO plain VALUES (:a, :b)",
        "UPDATE plain SET a = :a WHERE b = :b",
        "DELETE FROM plain WHERE a = :a",
        "INSERT OR FAIL INTO numbered (a, b) VALUES (:a, :b) ON CONFLICT (a) DO NOTHING",
        "INSERT OR REPLACE INTO numbered (row, a, b) VALUES (:b, :a, :b)",
        "UPDATE OR IGNORE numbered SET a = :a WHERE b = :b",
        "UPDATE OR REPLACE numbered SET row = :b WHERE a = :a",
        "DELETE FROM numbered WHERE b = :b",
        "INSERT OR REPLACE INTO named VALUES (:a, :b, 'one')",
        "INSERT INTO named VALUES (:a, :b, 'two') ON CONFLICT DO UPDATE SET c = 'three'",
        "UPDATE OR REPLACE named SET b = :b WHERE a = :a",
        "DELETE FROM named WHERE a = :a",
        "INSERT OR IGNORE INTO texts VALUES (:a, :b)",
        "UPDATE OR IGNORE texts SET a = :a WHERE b = :b",
        "DELETE FROM texts",
    ]
)
STEPS = st.lists(st.tuples(st.booleans(), STATEMENTS, NAMES, NUMBERS), max_size=20)


def opened() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    for statement in TABLES:
        db.execute(statement)
    return db


def content(db: sqlite3.Connection) -> list:
    tables = capture.tables_of(db)
    return [
        db.execute(f"SELECT {', '.join(one.columns)} FROM {one.name} ORDER BY {one.keys[0]}, a, b")
        .fetchall()
        for one in tables
    ]  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(transactions=st.lists(STEPS, max_size=4))
def test_a_copy_that_makes_the_changes_is_the_same(transactions):
    db, copy = opened(), opened()
    tables = capture.tables_of(db)
    capture.install(db, tables)
    for steps in transactions:
        db.execute("BEGIN")
        for undone, statement, a, b in steps:
            db.execute("SAVEPOINT step")
            db.execute(statement, {"a": a, "b": b})
            if undone:
                db.execute("ROLLBACK TO step")
            db.execute("RELEASE step")
        changes = capture.changes_of(db, tables)
        capture.forget(db, tables)
        db.execute("COMMIT")
        for _ in range(2):  # made twice is as made once
            capture.apply(copy, changes)
        assert content(copy) == content(db)


def test_what_is_undone_is_not_told():
    db = opened()
    tables = capture.tables_of(db)
    capture.install(db, tables)
    db.execute("BEGIN")
    db.execute("INSERT INTO plain VALUES ('x', 1)")
    db.execute("ROLLBACK")
    assert capture.changes_of(db, tables) == []


def test_all_tables_of_the_decision_side_are_captured_and_the_local_ones_are_not():
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, [log_tables.SCHEMA, *decision_tables.SCHEMAS, replica_tables.SCHEMA])
    names = {one.name for one in capture.tables_of(db)}
    assert {"feed_logs", "feed_events", "cells", "timers", "instructions", "decisions"} <= names
    assert "terms" in names
    assert not names & capture.LOCAL_TABLES


def test_a_layout_differs_where_a_column_does():
    db = opened()
    before = capture.layout_of(capture.tables_of(db))
    assert capture.layout_of(capture.tables_of(opened())) == before
    db.execute("ALTER TABLE plain ADD COLUMN c TEXT")
    assert capture.layout_of(capture.tables_of(db)) != before


def test_a_row_that_another_one_replaced_is_gone_although_that_one_changed_again():
    db, copy = opened(), opened()
    tables = capture.tables_of(db)
    for one in (db, copy):
        one.execute("INSERT INTO numbered VALUES (1, 'x', 0), (2, 'y', 0)")
    capture.install(db, tables)
    db.execute("BEGIN")
    db.execute("INSERT OR REPLACE INTO numbered VALUES (3, 'x', 1)")
    db.execute("UPDATE numbered SET a = 'z' WHERE row = 3")
    capture.apply(copy, capture.changes_of(db, tables))
    assert content(copy) == content(db)
