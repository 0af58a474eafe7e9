"""The push addresses of an account, as its unit keeps them: a part of its database.

Routes and deliveries name an address by its id, so that what is secret of it stands here alone.
Nothing is sent to one before its owner has shown that it is theirs, by the code that was sent
there; tries are counted before they are answered. Moves with the account.
"""

from __future__ import annotations

import hmac
import sqlite3
from hashlib import sha256

import msgspec

from control_plane.errors import NotFound, Refused
from control_plane.sqlite.schema import Schema
from deployment_units.services.state.parts import Part, Table

MOST_ADDRESSES = 8  # of one account
TRIES = 5  # of one code
CODE_MS = 10 * 60_000
_PREFIX = "push:"


class PushAddressRow(msgspec.Struct, array_like=True, frozen=True):
    """address: a URL of apprise's, whole; proved_ms: Unix ms; None: it is not. code: the digest of
    the last one that was sent; until_ms: how long it counts."""

    id: str
    address: str
    label: str
    added_ms: int
    proved_ms: int | None
    code: bytes
    tries: int
    until_ms: int


PART = Part(
    schema=Schema(
        part="push",
        steps=(
            (
                "CREATE TABLE push_addresses (owner INTEGER NOT NULL, id TEXT NOT NULL,"
                " address TEXT NOT NULL, label TEXT NOT NULL, added_ms INTEGER NOT NULL,"
                " proved_ms INTEGER, code BLOB NOT NULL, tries INTEGER NOT NULL,"
                " until_ms INTEGER NOT NULL, PRIMARY KEY (owner, id)) WITHOUT ROWID",
            ),
        ),
    ),
    tables=(Table(name="push_addresses", row=PushAddressRow, key=1),),
)
_COLUMNS = "id, address, label, added_ms, proved_ms, code, tries, until_ms"


class TooManyPushAddresses(Refused):
    """The account has as many as it may."""

    reason = "TOO_MANY_PUSH_ADDRESSES"


def reference_of(id: str) -> str:
    """As routes name it."""
    return _PREFIX + id


def address_of(db: sqlite3.Connection, owner: int, reference: str) -> str | None:
    """What a route names, whole; None: it was removed, or is not proved."""
    row = find(db, owner, reference.removeprefix(_PREFIX))
    return row.address if row is not None and row.proved_ms is not None else None


def listed(db: sqlite3.Connection, owner: int) -> list[PushAddressRow]:
    """In the order in which they were added."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM push_addresses WHERE owner = ? ORDER BY added_ms, id", (owner,)
    )
    return [PushAddressRow(*row) for row in rows]


def find(db: sqlite3.Connection, owner: int, id: str) -> PushAddressRow | None:
    """One by its id."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM push_addresses WHERE owner = ? AND id = ?", (owner, id)
    ).fetchone()
    return PushAddressRow(*row) if row else None


def proved(db: sqlite3.Connection, owner: int) -> list[str]:
    """References of those to which notices are sent."""
    rows = db.execute(
        "SELECT id FROM push_addresses WHERE owner = ? AND proved_ms IS NOT NULL"
        " ORDER BY added_ms, id",
        (owner,),
    )
    return [reference_of(id) for (id,) in rows]


def begin(
    db: sqlite3.Connection,
    owner: int,
    address: str,
    label: str,
    *,
    new_id: str,
    code: str,
    now_ms: int,
) -> PushAddressRow:
    """The address, there from now on, with the code that counts now; of one that is proved, as it
    is but for its label. Raises TooManyPushAddresses."""
    there = listed(db, owner)
    same = next((one for one in there if one.address == address), None)
    if same is None and len(there) >= MOST_ADDRESSES:
        raise TooManyPushAddresses(
            f"the account has {MOST_ADDRESSES} push addresses, which is as many as it may; remove "
            "one first"
        )
    made = same or PushAddressRow(new_id, address, label, now_ms, None, b"", 0, 0)
    made = msgspec.structs.replace(made, label=label)
    if made.proved_ms is None:
        made = msgspec.structs.replace(
            made, code=_digest(made.id, code), tries=TRIES, until_ms=now_ms + CODE_MS
        )
    _put(db, owner, made)
    return made


def confirm(
    db: sqlite3.Connection, owner: int, id: str, code: str, *, now_ms: int
) -> PushAddressRow:
    """The address after a try, which is counted: whether it is proved says whether the code was
    the one. Raises NotFound."""
    row = find(db, owner, id)
    if row is None:
        raise NotFound("the account has no such push address")
    if row.proved_ms is not None or row.tries <= 0 or now_ms >= row.until_ms:
        return row
    if hmac.compare_digest(row.code, _digest(id, code)):
        row = msgspec.structs.replace(row, proved_ms=now_ms, code=b"", tries=0, until_ms=0)
    else:
        row = msgspec.structs.replace(row, tries=row.tries - 1)
    _put(db, owner, row)
    return row


def remove(db: sqlite3.Connection, owner: int, id: str, *, unless_proved: bool = False) -> None:
    """It is gone; unless_proved: where nobody has proved it meanwhile."""
    still = " AND proved_ms IS NULL" if unless_proved else ""
    db.execute(f"DELETE FROM push_addresses WHERE owner = ? AND id = ?{still}", (owner, id))


def _put(db: sqlite3.Connection, owner: int, row: PushAddressRow) -> None:
    db.execute(
        f"INSERT OR REPLACE INTO push_addresses (owner, {_COLUMNS})"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (owner, *msgspec.structs.astuple(row)),
    )


def _digest(id: str, code: str) -> bytes:
    return sha256(f"homeport push {id} {code}".encode()).digest()
