"""Owners: whose the rows of a unit's database are. Transactions over the table `owners`.

Every row belongs to a number, and one table says which account that is, since which epoch, and
whether it lives here. So an import fills a number of its own while what was kept before stands,
and its commit changes one row; a number whose account is gone is emptied in the background, and
never used again. Functions of a connection, for works of the engine.
"""

from __future__ import annotations

import sqlite3
from enum import StrEnum

import msgspec

from control_plane.sqlite.schema import Schema


class OwnerState(StrEnum):
    """LIVE: its account lives here. LEAVING: so it does, and was exported: nothing is written
    until it has left or stays. ARRIVING: an import that is not committed. GONE: being deleted."""

    LIVE = "live"
    LEAVING = "leaving"
    ARRIVING = "arriving"
    GONE = "gone"


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. An account has at most one that is live or leaving. A Struct is made in
    a fraction of the time of a dataclass, and every change makes one of each account in it."""

    number: int
    tenant: str
    account: str
    epoch: int  # of the assignment; 0: nothing is kept, and nothing may be while it leaves
    first_ms: int  # when this life of the client began, Unix ms; 0: not known
    state: OwnerState
    since_ms: int  # Unix ms: in this state, or epoch
    bytes: int  # of its rows, as in parts


SCHEMA = Schema(
    part="owners",
    steps=(
        (
            "CREATE TABLE owners (owner INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL,"
            " account TEXT NOT NULL, epoch INTEGER NOT NULL, first_ms INTEGER NOT NULL,"
            " state TEXT NOT NULL, since_ms INTEGER NOT NULL, bytes INTEGER NOT NULL DEFAULT 0)",
            "CREATE UNIQUE INDEX owners_here ON owners (tenant, account)"
            " WHERE state IN ('live', 'leaving')",
            "CREATE INDEX owners_otherwise ON owners (state, since_ms) WHERE state <> 'live'",
        ),
    ),
)
_STATES = {state.value: state for state in OwnerState}
_COLUMNS = "owner, tenant, account, epoch, first_ms, state, since_ms, bytes"


def find(db: sqlite3.Connection, tenant: str, account: str) -> Owner | None:
    """Whose rows the account's are, live or leaving; None: it is not here."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM owners"
        " WHERE tenant = ? AND account = ? AND state IN ('live', 'leaving')",
        (tenant, account),
    ).fetchone()
    return _owner(row) if row else None


def by_number(db: sqlite3.Connection, number: int) -> Owner | None:
    """An owner in whatever state; None: there is none, or not any more."""
    row = db.execute(f"SELECT {_COLUMNS} FROM owners WHERE owner = ?", (number,)).fetchone()
    return _owner(row) if row else None


def in_state(
    db: sqlite3.Connection,
    state: OwnerState,
    *,
    most: int,
    before_ms: int = 2**62,
    behind: tuple[int, int] = (-1, 0),
) -> list[Owner]:
    """Those in a state other than LIVE since before then, the longest first. behind: `since_ms` and
    number of the last one that was seen."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM owners WHERE state = ? AND state <> 'live' AND since_ms < ?"
        " AND (since_ms, owner) > (?, ?) ORDER BY since_ms, owner LIMIT ?",
        (state, before_ms, *behind, most),
    )
    return [_owner(row) for row in rows]


def add(
    db: sqlite3.Connection,
    tenant: str,
    account: str,
    *,
    epoch: int,
    state: OwnerState,
    now_ms: int,
    first_ms: int = 0,
) -> int:
    """A new owner's number."""
    added = db.execute(
        "INSERT INTO owners (tenant, account, epoch, first_ms, state, since_ms)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (tenant, account, epoch, first_ms, state, now_ms),
    )
    assert added.lastrowid is not None
    return added.lastrowid


def become(
    db: sqlite3.Connection,
    number: int,
    state: OwnerState,
    *,
    now_ms: int,
    epoch: int | None = None,
    first_ms: int | None = None,
) -> None:
    """Changes the state of an owner, and what else is given."""
    db.execute(
        "UPDATE owners SET state = ?, since_ms = ?, epoch = coalesce(?, epoch),"
        " first_ms = coalesce(?, first_ms) WHERE owner = ?",
        (state, now_ms, epoch, first_ms, number),
    )


def still_leaving(db: sqlite3.Connection, number: int, *, now_ms: int) -> None:
    """An owner that is leaving has the whole time for it, from now on."""
    db.execute(
        "UPDATE owners SET since_ms = ? WHERE owner = ? AND state = 'leaving'", (now_ms, number)
    )


def remove(db: sqlite3.Connection, number: int) -> None:
    """Of an owner that is gone, once it has no rows any more."""
    db.execute("DELETE FROM owners WHERE owner = ? AND state = 'gone'", (number,))


def bytes_of(db: sqlite3.Connection, number: int) -> int:
    """What an owner's rows take."""
    found: int = db.execute("SELECT bytes FROM owners WHERE owner = ?", (number,)).fetchone()[0]
    return found


def _owner(row: tuple[int, str, str, int, int, str, int, int]) -> Owner:
    number, tenant, account, epoch, first_ms, state, since_ms, size = row
    return Owner(
        number=number,
        tenant=tenant,
        account=account,
        epoch=epoch,
        first_ms=first_ms,
        state=_STATES[state],
        since_ms=since_ms,
        bytes=size,
    )
