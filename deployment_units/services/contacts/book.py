"""The contacts of an account: accounts of its tenant that it knows. Its part of the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from control_plane.errors import Refused
from control_plane.sqlite.rows import insert
from control_plane.sqlite.schema import Schema
from deployment_units.services.state.parts import Part, Table

MAX_CONTACTS = 10_000


class ContactRow(msgspec.Struct, array_like=True, frozen=True):
    """One contact. since_ms: Unix ms."""

    account: str
    since_ms: int


PART = Part(
    schema=Schema(
        part="contacts",
        steps=(
            (
                "CREATE TABLE contacts (owner INTEGER NOT NULL, account TEXT NOT NULL,"
                " since_ms INTEGER NOT NULL, PRIMARY KEY (owner, account)) WITHOUT ROWID",
            ),
        ),
    ),
    tables=(Table(name="contacts", row=ContactRow, key=1),),
)


class TooManyContacts(Refused):
    """The account knows as many as it may."""

    reason = "TOO_MANY_CONTACTS"


def knows(db: sqlite3.Connection, owner: int, account: str) -> bool:
    """Whether the account is a contact of the owner's."""
    found = db.execute(
        "SELECT 1 FROM contacts WHERE owner = ? AND account = ?", (owner, account)
    ).fetchone()
    return found is not None


def page(db: sqlite3.Connection, owner: int, *, after: str, most: int) -> list[str]:
    """Contacts behind the id `after`, in order of their ids."""
    rows = db.execute(
        "SELECT account FROM contacts WHERE owner = ? AND account > ? ORDER BY account LIMIT ?",
        (owner, after, most),
    )
    return [account for (account,) in rows]


def change(
    db: sqlite3.Connection,
    owner: int,
    *,
    add: Sequence[str],
    remove: Sequence[str],
    now_ms: int,
) -> int:
    """Removes contacts, then adds some; how many there are now. Those that are there keep the time
    since when. Raises TooManyContacts."""
    db.executemany(
        "DELETE FROM contacts WHERE owner = ? AND account = ?", [(owner, one) for one in remove]
    )
    insert(
        db,
        "contacts (owner, account, since_ms)",
        [(owner, one, now_ms) for one in add],
        otherwise="ON CONFLICT DO NOTHING",
    )
    count: int = db.execute("SELECT count(*) FROM contacts WHERE owner = ?", (owner,)).fetchone()[0]
    if count > MAX_CONTACTS and add:
        raise TooManyContacts(
            f"an account has at most {MAX_CONTACTS} contacts, and would have {count}; "
            "remove some first"
        )
    return count
