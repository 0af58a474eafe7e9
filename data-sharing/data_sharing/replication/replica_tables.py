"""The tables by which a file knows what it is a copy of: which changelog, and up to which commit;
and the terms of the workers that had the partition. Functions of a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from control_plane.sqlite.schema import Schema
from data_sharing.replication.commit import TableChange

SCHEMA = Schema(
    part="replication",
    steps=(
        (
            """CREATE TABLE replica (
                 one INTEGER PRIMARY KEY CHECK (one = 1), changelog TEXT NOT NULL,
                 sequence INTEGER NOT NULL, snapshot TEXT NOT NULL)""",
            """CREATE TABLE terms (
                 number INTEGER PRIMARY KEY, owner TEXT NOT NULL, began_ms INTEGER NOT NULL)""",
            """CREATE TABLE newest_snapshot (
                 one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL)""",
        ),
    ),
)
MOVING_IN = -1  # a file that a changelog is to begin with, and has not yet, as far as it knows
MOST_TERMS = 1_000


class ReplicaState(NamedTuple):
    """What a file is a copy of."""

    changelog: str  # its identity
    sequence: int  # of the last commit that is in the file; MOVING_IN
    snapshot: str  # where MOVING_IN: of this file, with which the changelog is to begin


def state_of(db: sqlite3.Connection) -> ReplicaState | None:
    """None: the file is a database of its own."""
    row = db.execute("SELECT changelog, sequence, snapshot FROM replica").fetchone()
    return ReplicaState(*row) if row else None


def set_state(db: sqlite3.Connection, state: ReplicaState) -> None:
    db.execute("INSERT OR REPLACE INTO replica VALUES (1, ?, ?, ?)", state)


def set_sequence(db: sqlite3.Connection, sequence: int) -> None:
    """The file has all commits up to this one."""
    db.execute("UPDATE replica SET sequence = ?, snapshot = ''", (sequence,))


def detach(db: sqlite3.Connection) -> None:
    """The file is a database of its own from now on."""
    db.execute("DELETE FROM replica")


def begin_term(db: sqlite3.Connection, owner: str, now_ms: int) -> int:
    """A worker has the partition from now on; the number of its term. Old terms are forgotten."""
    row = db.execute(
        "INSERT INTO terms (number, owner, began_ms)"
        " VALUES ((SELECT coalesce(max(number), 0) + 1 FROM terms), ?, ?) RETURNING number",
        (owner, now_ms),
    ).fetchone()
    number: int = row[0]
    db.execute("DELETE FROM terms WHERE number <= ?", (number - MOST_TERMS,))
    return number


def is_note(changes: Sequence[TableChange]) -> bool:
    """Whether a commit says which snapshot is the newest, and no more: that is the same in every
    version, and the last that one leaves when it stops in order."""
    return [one.table for one in changes] == ["newest_snapshot"]


def note_snapshot(db: sqlite3.Connection, name: str) -> None:
    """A change that is written for the commit which it makes."""
    db.execute("INSERT OR REPLACE INTO newest_snapshot VALUES (1, ?)", (name,))
