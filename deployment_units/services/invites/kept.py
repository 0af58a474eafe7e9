"""Invitations of an account as its unit keeps them: its part of the database, which moves with it.
Functions of a connection, for works of the engine."""

from __future__ import annotations

import sqlite3

from control_plane.errors import AlreadyExists, Refused
from control_plane.sqlite.schema import Schema
from deployment_units.services.gateway.kept import Waiting
from deployment_units.services.invites.invite import OVER, SENT, InviteRow
from deployment_units.services.state.parts import Part, Table

MOST_INVITES = 1_000  # of an account on one side; those that are over make room

PART = Part(
    schema=Schema(
        part="invites",
        steps=(
            (
                "CREATE TABLE invites (owner INTEGER NOT NULL, side TEXT NOT NULL,"
                " id TEXT NOT NULL, uri TEXT NOT NULL, organisation TEXT NOT NULL,"
                " group_id TEXT NOT NULL, other TEXT NOT NULL, state TEXT NOT NULL,"
                " due_ms INTEGER, tries INTEGER NOT NULL, why TEXT NOT NULL, words TEXT NOT NULL,"
                " made_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, message BLOB NOT NULL,"
                " said INTEGER NOT NULL, press BLOB NOT NULL, letter INTEGER NOT NULL,"
                " PRIMARY KEY (owner, side, id)) WITHOUT ROWID",
                "CREATE INDEX invites_due ON invites (owner, due_ms) WHERE due_ms IS NOT NULL",
                "CREATE INDEX invites_made ON invites (owner, made_ms, side, id)",
                "CREATE INDEX invites_message ON invites (owner, message) WHERE message <> x''",
            ),
        ),
    ),
    tables=(Table(name="invites", row=InviteRow, key=2),),
)
_COLUMNS = ", ".join(InviteRow.__struct_fields__)
_MARKS = ", ".join("?" * len(InviteRow.__struct_fields__))
_OVER = ", ".join(f"'{one}'" for one in sorted(OVER))


class TooManyInvites(Refused):
    """The account has as many that are open as it may."""

    reason = "TOO_MANY_INVITES"


def find(db: sqlite3.Connection, owner: int, side: str, id_: str) -> InviteRow | None:
    """None: the account has none of that id."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM invites WHERE owner = ? AND side = ? AND id = ?",
        (owner, side, id_),
    ).fetchone()
    return InviteRow(*row) if row else None


def of_message(db: sqlite3.Connection, owner: int, message: bytes) -> InviteRow | None:
    """The one that was brought in this message."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM invites WHERE owner = ? AND message = ? AND message <> x''",
        (owner, message),
    ).fetchone()
    return InviteRow(*row) if row else None


def put(db: sqlite3.Connection, owner: int, row: InviteRow) -> None:
    """Keeps one, or changes it."""
    values = [getattr(row, name) for name in InviteRow.__struct_fields__]
    db.execute(f"REPLACE INTO invites (owner, {_COLUMNS}) VALUES (?, {_MARKS})", (owner, *values))


def add(
    db: sqlite3.Connection, owner: int, row: InviteRow, *, now_ms: int, most: int = MOST_INVITES
) -> InviteRow:
    """Keeps one once; as it is kept. Raises AlreadyExists where its id is another one's,
    TooManyInvites."""
    there = find(db, owner, row.side, row.id)
    if there is not None:
        said = ("uri", "organisation", "group_id")
        if any(getattr(there, name) != getattr(row, name) for name in said):
            raise AlreadyExists("another invitation has this id; give each its own")
        return there
    (count,) = db.execute(
        "SELECT count(*) FROM invites WHERE owner = ? AND side = ?", (owner, row.side)
    ).fetchone()
    if count >= most:
        removed = db.execute(
            "DELETE FROM invites WHERE owner = ? AND (side, id) IN (SELECT side, id FROM invites"
            f" WHERE owner = ? AND side = ? AND due_ms IS NULL AND (state IN ({_OVER})"
            " OR expires_ms <= ?) ORDER BY made_ms, id LIMIT ?)",
            (owner, owner, row.side, now_ms, count - most + 1),
        ).rowcount
        if not removed:
            what = "made" if row.side == SENT else "been brought"
            raise TooManyInvites(
                f"the account has {what} {most} invitations that are open; wait, or end some"
            )
    put(db, owner, row)
    return row


def listed(
    db: sqlite3.Connection, owner: int, *, before: tuple[int, str, str], most: int
) -> tuple[list[InviteRow], bool]:
    """Those made before one (its time, side and id), the newest first, and whether there are
    more."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM invites WHERE owner = ? AND (made_ms, side, id) < (?, ?, ?)"
        " ORDER BY made_ms DESC, side DESC, id DESC LIMIT ?",
        (owner, *before, most + 1),
    )
    found = [InviteRow(*row) for row in rows]
    return found[:most], len(found) > most


def due(db: sqlite3.Connection, owner: int, *, now_ms: int, most: int) -> list[InviteRow]:
    """Those of which something is to be done, the longest due first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM invites WHERE owner = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?",
        (owner, now_ms, most),
    )
    return [InviteRow(*row) for row in rows]


def next_due(db: sqlite3.Connection, owner: int) -> int | None:
    """When, Unix ms; None: never."""
    found: int | None = db.execute(
        "SELECT min(due_ms) FROM invites WHERE owner = ? AND due_ms IS NOT NULL", (owner,)
    ).fetchone()[0]
    return found


def owners_waiting(db: sqlite3.Connection, *, behind: int, most: int) -> list[Waiting]:
    """Owners with something to do, in order, from behind one on: one step in the index each."""
    found: list[Waiting] = []
    while len(found) < most:
        (owner,) = db.execute(
            "SELECT min(owner) FROM invites WHERE due_ms IS NOT NULL AND owner > ?", (behind,)
        ).fetchone()
        if owner is None:
            break
        behind = owner
        found.append(Waiting(owner, next_due(db, owner) or 0))
    return found
