"""Presses as a unit keeps them: its part of the database.

Who presses has a row, and so has the account whose card it is: that copy knows the presses of all
viewers and decides (see clicking). Functions of a connection, for works of the engine.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from control_plane.sqlite.schema import Schema
from deployment_units.services.cards.clicks import Press
from deployment_units.services.conversations.press import KeptPress, PressState
from deployment_units.services.state.parts import Part, Table

MOST_SHOWN = 64  # of a viewer's presses of one message, the newest


class PressRow(msgspec.Struct, array_like=True, frozen=True):
    """See KeptPress."""

    message: bytes
    author: str
    action: str
    viewer: str
    number: int
    id: bytes
    revision: int
    inputs: str
    state: str
    pressed_ms: int


def _as_before(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    """Version 2 had one index less."""
    return [(table, values)]


def _without_author(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    """Presses of version 1 did not say whose card it was: they count for that of anybody."""
    return [(table, [values[0], "", *values[1:]])]


PART = Part(
    schema=Schema(
        part="presses",
        steps=(
            (
                "CREATE TABLE presses (owner INTEGER NOT NULL, message BLOB NOT NULL,"
                " action TEXT NOT NULL, viewer TEXT NOT NULL, number INTEGER NOT NULL,"
                " id BLOB NOT NULL, revision INTEGER NOT NULL, inputs TEXT NOT NULL,"
                " state TEXT NOT NULL, pressed_ms INTEGER NOT NULL,"
                " PRIMARY KEY (owner, message, action, viewer, number)) WITHOUT ROWID",
                "CREATE UNIQUE INDEX presses_id ON presses (owner, id, viewer)",
                "CREATE INDEX presses_kept ON presses (owner, pressed_ms, id) WHERE state = 'kept'",
            ),
            (
                "ALTER TABLE presses RENAME TO presses_before",
                "DROP INDEX presses_id",
                "DROP INDEX presses_kept",
                "CREATE TABLE presses (owner INTEGER NOT NULL, message BLOB NOT NULL,"
                " author TEXT NOT NULL, action TEXT NOT NULL, viewer TEXT NOT NULL,"
                " number INTEGER NOT NULL, id BLOB NOT NULL, revision INTEGER NOT NULL,"
                " inputs TEXT NOT NULL, state TEXT NOT NULL, pressed_ms INTEGER NOT NULL,"
                " PRIMARY KEY (owner, message, author, action, viewer, number)) WITHOUT ROWID",
                "INSERT INTO presses SELECT owner, message, '', action, viewer, number, id,"
                " revision, inputs, state, pressed_ms FROM presses_before",
                "DROP TABLE presses_before",
                "CREATE UNIQUE INDEX presses_id ON presses (owner, id, viewer)",
                "CREATE INDEX presses_kept ON presses (owner, pressed_ms, id) WHERE state = 'kept'",
            ),
            (
                "CREATE INDEX presses_newest ON presses"
                " (owner, message, viewer, author, pressed_ms, number)",
            ),
        ),
    ),
    tables=(Table(name="presses", row=PressRow, key=5),),
    upgrades=(_without_author, _as_before),
)
_ROW = "message, author, action, viewer, number, id, revision, inputs, state, pressed_ms"


def add(db: sqlite3.Connection, owner: int, press: KeptPress) -> None:
    """One that was judged to be accepted in this transaction."""
    db.execute(
        f"INSERT INTO presses (owner, {_ROW}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            owner, press.message, press.author, press.action, press.viewer, press.number, press.id,
            press.revision, press.inputs, press.state.value, press.pressed_ms,
        ),
    )  # fmt: skip


def that_count(
    db: sqlite3.Connection,
    owner: int,
    message: bytes,
    author: str,
    action: str,
    viewer: str,
    press: bytes,
) -> list[Press]:
    """Of all presses of an action of the author's card those by which another one is judged: the
    viewer's first and last, the first of anybody, and this one if it was made before. However many
    there are, it costs the same."""
    where = "FROM presses WHERE owner = ? AND message = ? AND author = ? AND action = ?"
    found: dict[tuple[str, int], Press] = {}
    for whose in _authors(db, owner, message, author):
        keys = (owner, message, whose, action)
        for query, values in (
            (f"{where} AND viewer = ? ORDER BY number LIMIT 1", (*keys, viewer)),
            (f"{where} AND viewer = ? ORDER BY number DESC LIMIT 1", (*keys, viewer)),
            (f"{where} ORDER BY viewer, number LIMIT 1", keys),
        ):
            for row in db.execute(f"SELECT {_ROW} {query}", values):
                one = _press(row)
                found[one.viewer, one.number] = _judged(one)
    again = find(db, owner, viewer, press)
    if again is not None and (again.message, again.action) == (message, action):
        found[again.viewer, again.number] = _judged(again)
    return list(found.values())


def find(db: sqlite3.Connection, owner: int, viewer: str, press: bytes) -> KeptPress | None:
    """A viewer's press by its id."""
    row = db.execute(
        f"SELECT {_ROW} FROM presses WHERE owner = ? AND viewer = ? AND id = ?",
        (owner, viewer, press),
    ).fetchone()
    return _press(row) if row else None


def of_viewer(
    db: sqlite3.Connection, owner: int, message: bytes, author: str, viewer: str
) -> list[KeptPress]:
    """A viewer's presses of an author's message, the newest first."""
    # By each name under which its presses are kept: with both at once all would be sorted.
    found = [
        _press(row)
        for whose in {author: None, "": None}
        for row in db.execute(
            f"SELECT {_ROW} FROM presses INDEXED BY presses_newest"
            " WHERE owner = ? AND message = ? AND viewer = ? AND author = ?"
            " ORDER BY pressed_ms DESC, number DESC LIMIT ?",
            (owner, message, viewer, whose, MOST_SHOWN),
        )
    ]
    found.sort(key=lambda one: (-one.pressed_ms, -one.number))
    return found[:MOST_SHOWN]


def to_hand_on(
    db: sqlite3.Connection, owner: int, *, most: int, behind: tuple[int, bytes] = (-1, b"")
) -> list[KeptPress]:
    """Those of an account that are to be handed on, the oldest first, from behind one on (its time
    and id)."""
    rows = db.execute(
        f"SELECT {_ROW} FROM presses WHERE owner = ? AND state = 'kept'"
        " AND (pressed_ms, id) > (?, ?) ORDER BY pressed_ms, id LIMIT ?",
        (owner, *behind, most),
    )
    return [_press(row) for row in rows]


def owners_with_some(db: sqlite3.Connection, *, behind: int, most: int) -> list[int]:
    """The numbers of owners with presses to hand on, in order, from behind one on."""
    found: list[int] = []
    while len(found) < most:
        row = db.execute(
            "SELECT min(owner) FROM presses WHERE state = 'kept' AND owner > ?", (behind,)
        ).fetchone()
        if row[0] is None:
            break
        behind = row[0]
        found.append(behind)
    return found


def become(
    db: sqlite3.Connection, owner: int, viewer: str, press: bytes, state: PressState
) -> None:
    """How far a press is now. What is answered stays so, whatever is heard late."""
    db.execute(
        "UPDATE presses SET state = ? WHERE owner = ? AND viewer = ? AND id = ?"
        " AND state <> 'done'",
        (state.value, owner, viewer, press),
    )


def answered(
    db: sqlite3.Connection, owner: int, press: bytes, author: str, *, refused: bool = False
) -> None:
    """A message of `author` came that says it answers a press, or that it was not taken: so it is,
    where it is a press of one of the author's messages. What is answered stays so."""
    state = PressState.REFUSED if refused else PressState.DONE
    db.execute(
        "UPDATE presses INDEXED BY presses_id SET state = ?"
        " WHERE owner = ? AND id = ? AND state <> 'done' AND author IN (?, '')"
        " AND EXISTS (SELECT 1 FROM messages WHERE messages.owner = presses.owner"
        " AND messages.id = presses.message AND sender = ?)",
        (state.value, owner, press, author, author),
    )


def forget_presses(db: sqlite3.Connection, owner: int, message: bytes, author: str) -> None:
    """Of an author's message that is kept no more."""
    db.execute(
        "DELETE FROM presses WHERE owner = ? AND message = ? AND author IN (?, '')",
        (owner, message, author),
    )


def _authors(db: sqlite3.Connection, owner: int, message: bytes, author: str) -> tuple[str, ...]:
    """Under whom presses of an author's message are kept."""
    before = db.execute(
        "SELECT 1 FROM presses WHERE owner = ? AND message = ? AND author = '' LIMIT 1",
        (owner, message),
    ).fetchone()
    return (author,) if before is None else (author, "")


def _judged(one: KeptPress) -> Press:
    return Press(id=one.id, action=one.action, viewer=one.viewer, number=one.number)


def _press(row: tuple[bytes, str, str, str, int, bytes, int, str, str, int]) -> KeptPress:
    message, author, action, viewer, number, id_, revision, inputs, state, pressed_ms = row
    return KeptPress(
        message=message,
        author=author,
        action=action,
        viewer=viewer,
        number=number,
        id=id_,
        revision=revision,
        inputs=inputs,
        state=PressState(state),
        pressed_ms=pressed_ms,
    )
