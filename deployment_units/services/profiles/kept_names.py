"""The names of an account as its unit keeps them: handles, what identifiers are, and when the
directory is asked next. Transactions over tables of the part `profiles` (see kept).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.profiles.names import (
    PROVED,
    Name,
    NameState,
    mended,
    mended_handles,
)

NAMES = "names"  # of which the directory is asked; a row's key
MOST_HANDLES = 16  # that are shown; those lost before others go


def handles(db: sqlite3.Connection, owner: int) -> dict[str, Name]:
    """By handle, without '@'; the one that is held first."""
    rows = db.execute(
        "SELECT handle, state, since_ms, until_ms FROM handles WHERE owner = ?"
        " ORDER BY state <> 'held', handle",
        (owner,),
    )
    return {
        handle: Name(state=NameState(state), since_ms=since_ms, until_ms=until_ms)
        for handle, state, since_ms, until_ms in rows
    }


def identifiers(db: sqlite3.Connection, owner: int) -> dict[str, Name]:
    """Those that the directory may know, by URI."""
    rows = db.execute(
        "SELECT uri, state, proved_ms, until_ms, findable FROM identifiers"
        " WHERE owner = ? AND state <> '' ORDER BY uri",
        (owner,),
    )
    return {
        uri: Name(
            state=NameState(state), since_ms=since_ms, until_ms=until_ms, findable=bool(findable)
        )
        for uri, state, since_ms, until_ms, findable in rows
    }


def state_of(db: sqlite3.Connection, owner: int, uri: str) -> NameState | None:
    """Of an identifier; None: the account has no such one."""
    row = db.execute(
        "SELECT state FROM identifiers WHERE owner = ? AND uri = ?", (owner, uri)
    ).fetchone()
    return NameState(row[0]) if row else None


def begin(db: sqlite3.Connection, owner: int, uri: str) -> None:
    """A code is sent to an identifier that is there: the directory may know it from now on."""
    db.execute(
        "UPDATE identifiers SET state = 'begun' WHERE owner = ? AND uri = ? AND state = ''",
        (owner, uri),
    )


def asked_at(db: sqlite3.Connection, owner: int) -> int | None:
    """When the directory was asked last, Unix ms; None: never."""
    row = db.execute(
        "SELECT asked_ms FROM name_checks WHERE owner = ? AND what = ?", (owner, NAMES)
    ).fetchone()
    return row[0] if row else None


def ask_at(db: sqlite3.Connection, owner: int, due_ms: int) -> None:
    """The directory is to be asked then, Unix ms, or earlier if that was so before."""
    db.execute(
        "INSERT INTO name_checks (owner, what, due_ms) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET due_ms = min(due_ms, excluded.due_ms)",
        (owner, NAMES, due_ms),
    )


def put_off(db: sqlite3.Connection, owner: int, due_ms: int) -> None:
    """The directory was asked in vain; it is to be asked again then."""
    db.execute(
        "UPDATE name_checks SET due_ms = ? WHERE owner = ? AND what = ?", (due_ms, owner, NAMES)
    )


def due(db: sqlite3.Connection, now_ms: int, *, most: int) -> list[Resident]:
    """Accounts that live here and of whose names the directory is to be asked, the longest due
    first."""
    rows = db.execute(
        "SELECT tenant, account, epoch, owners.first_ms FROM name_checks JOIN owners USING (owner)"
        " WHERE due_ms <= ? AND owners.state = 'live' ORDER BY due_ms LIMIT ?",
        (now_ms, most),
    )
    return _residents(rows)


def with_names(db: sqlite3.Connection, *, most: int) -> list[Resident]:
    """Accounts that live here and have names, those first of which the directory was asked last."""
    rows = db.execute(
        "SELECT tenant, account, epoch, owners.first_ms FROM name_checks JOIN owners USING (owner)"
        " WHERE owners.state = 'live' ORDER BY due_ms DESC LIMIT ?",
        (most,),
    )
    return _residents(rows)


def mend(
    db: sqlite3.Connection,
    owner: int,
    *,
    told_handles: Mapping[str, Name],
    told: Mapping[str, Name],
    asked_ms: int,
    due_ms: int,
) -> None:
    """Has the profile say what the directory told. told: of identifiers, by URI: those that it was
    asked for. due_ms: when it is asked again, where there is anything to ask."""
    for uri, kept in identifiers(db, owner).items():
        if uri in told:
            name = mended(kept, told[uri] if told[uri].state else None)
            db.execute(
                "UPDATE identifiers SET state = ?, proved_ms = ?, until_ms = ?, findable = ?"
                " WHERE owner = ? AND uri = ?",
                (
                    name.state,
                    name.since_ms if name.state in PROVED else None,
                    name.until_ms,
                    int(name.findable),
                    owner,
                    uri,
                ),
            )
    shown = mended_handles(handles(db, owner), told_handles)
    db.execute("DELETE FROM handles WHERE owner = ?", (owner,))
    order = sorted(shown, key=lambda one: (shown[one].state is NameState.LOST, one))
    db.executemany(
        "INSERT INTO handles (owner, handle, state, since_ms, until_ms) VALUES (?, ?, ?, ?, ?)",
        [
            (owner, one, shown[one].state, shown[one].since_ms, shown[one].until_ms)
            for one in order[:MOST_HANDLES]
        ],
    )
    db.execute("DELETE FROM name_checks WHERE owner = ? AND what = ?", (owner, NAMES))
    if shown or identifiers(db, owner):
        db.execute(
            "INSERT INTO name_checks (owner, what, due_ms, asked_ms) VALUES (?, ?, ?, ?)",
            (owner, NAMES, due_ms, asked_ms),
        )


def _residents(rows: Iterable[tuple[str, str, int, int]]) -> list[Resident]:
    return [
        Resident(tenant=tenant, account=account, epoch=epoch, first_ms=first_ms)
        for tenant, account, epoch, first_ms in rows
    ]
