"""What an account keeps of identities: its part of the database, and as what it may write.

`pairs` say how often and how lately an own identity and an identifier of somebody were used
together, `used` which own identity was used last in a conversation. Both are written in the
transaction that keeps the message, and are bounded: those go that were used least, or longest ago.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence

import msgspec

from control_plane.errors import Refused
from control_plane.printable import quoted
from control_plane.sqlite.schema import Schema
from deployment_units.services.identities.frequency import used_again
from deployment_units.services.identities.identity import (
    MOST_IDENTIFIERS,
    MOST_OWN,
    History,
    OwnIdentity,
    PairUse,
)
from deployment_units.services.identities.organisations import organisation_of
from deployment_units.services.state.parts import Part, Table

MOST_PAIRS = 20_000
MOST_THREADS = 5_000
_ASKED_AT_ONCE = 500  # identifiers, in one statement


class PairRow(msgspec.Struct, array_like=True, frozen=True):
    """contact: an identifier of the member's, or the id of an account that was written to without
    one; own: an identifier of the account's. rank_ms: see frequency; last_ms: Unix ms."""

    contact: str
    own: str
    member: str
    rank_ms: int
    last_ms: int


class UsedRow(msgspec.Struct, array_like=True, frozen=True):
    """The own identity that wrote last in a conversation, or to which one was written."""

    conversation: bytes
    own: str
    used_ms: int


PART = Part(
    schema=Schema(
        part="identities",
        steps=(
            (
                "CREATE TABLE pairs (owner INTEGER NOT NULL, contact TEXT NOT NULL,"
                " own TEXT NOT NULL, member TEXT NOT NULL, rank_ms INTEGER NOT NULL,"
                " last_ms INTEGER NOT NULL, PRIMARY KEY (owner, contact, own)) WITHOUT ROWID",
                "CREATE INDEX pairs_member ON pairs (owner, member)",
                "CREATE INDEX pairs_rank ON pairs (owner, rank_ms)",
                "CREATE TABLE used (owner INTEGER NOT NULL, conversation BLOB NOT NULL,"
                " own TEXT NOT NULL, used_ms INTEGER NOT NULL,"
                " PRIMARY KEY (owner, conversation)) WITHOUT ROWID",
                "CREATE INDEX used_when ON used (owner, used_ms)",
            ),
        ),
    ),
    tables=(
        Table(name="pairs", row=PairRow, key=2),
        Table(name="used", row=UsedRow, key=1),
    ),
)


class NotYourIdentifier(Refused):
    """It is no handle that the account has, and no identifier that it has proved."""

    reason = "NOT_YOUR_IDENTIFIER"


def own_identities(db: sqlite3.Connection, owner: int) -> list[OwnIdentity]:
    """As what the account may write: the handle that it has, which is the default, then what it has
    proved, in order of their URIs."""
    rows = db.execute(
        "SELECT * FROM (SELECT '@' || handle FROM handles WHERE owner = ? AND state = 'held'"
        " ORDER BY handle) UNION ALL SELECT * FROM (SELECT uri FROM identifiers"
        " WHERE owner = ? AND proved_ms IS NOT NULL ORDER BY uri) LIMIT ?",
        (owner, owner, MOST_OWN),
    )
    return [OwnIdentity(uri=uri, organisation=organisation_of(uri)) for (uri,) in rows]


def is_own(db: sqlite3.Connection, owner: int, uri: str) -> bool:
    """Whether the account may write as it."""
    if uri.startswith("@"):
        asked = "SELECT 1 FROM handles WHERE owner = ? AND handle = ? AND state = 'held'"
        value = uri[1:]
    else:
        asked = "SELECT 1 FROM identifiers WHERE owner = ? AND uri = ? AND proved_ms IS NOT NULL"
        value = uri
    return db.execute(asked, (owner, value)).fetchone() is not None


def check_own(db: sqlite3.Connection, owner: int, uri: str) -> None:
    """Raises NotYourIdentifier."""
    if not is_own(db, owner, uri):
        raise NotYourIdentifier(
            f"{quoted(uri)} is no handle of this account and no identifier that it has proved; "
            "claim or prove it, or write as another"
        )


def note_use(
    db: sqlite3.Connection,
    owner: int,
    conversation: bytes,
    own: str,
    contacts: Iterable[tuple[str, str]],
    *,
    now_ms: int,
    most_pairs: int = MOST_PAIRS,
    most_threads: int = MOST_THREADS,
) -> None:
    """An own identity wrote in a conversation to these, or was written to by them. contacts:
    members, with an identifier of each."""
    grown = False
    for member, contact in dict.fromkeys(contacts):
        row = db.execute(
            "SELECT rank_ms, last_ms FROM pairs WHERE owner = ? AND contact = ? AND own = ?",
            (owner, contact, own),
        ).fetchone()
        grown = grown or row is None
        rank_ms = used_again(row and row[0], now_ms)
        db.execute(
            "INSERT INTO pairs (owner, contact, own, member, rank_ms, last_ms)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET member = excluded.member,"
            " rank_ms = excluded.rank_ms, last_ms = excluded.last_ms",
            (owner, contact, own, member, rank_ms, max(now_ms, row[1] if row else 0)),
        )
    known = db.execute(
        "UPDATE used SET own = ?, used_ms = ? WHERE owner = ? AND conversation = ?",
        (own, now_ms, owner, conversation),
    )
    if grown:
        _trim(db, owner, "pairs", "contact, own", "rank_ms", most_pairs)
    if not known.rowcount:
        db.execute(
            "INSERT INTO used (owner, conversation, own, used_ms) VALUES (?, ?, ?, ?)",
            (owner, conversation, own, now_ms),
        )
        _trim(db, owner, "used", "conversation", "used_ms", most_threads)


def forget_thread(db: sqlite3.Connection, owner: int, conversation: bytes) -> None:
    """The conversation is no more."""
    db.execute("DELETE FROM used WHERE owner = ? AND conversation = ?", (owner, conversation))


def history(
    db: sqlite3.Connection, owner: int, identifiers: Collection[str], conversation: bytes = b""
) -> History:
    """What was before with these identifiers of others, and in this conversation."""
    pairs: dict[str, dict[str, PairUse]] = {}
    asked = sorted(set(identifiers))
    for start in range(0, len(asked), _ASKED_AT_ONCE):
        some: Sequence[str] = asked[start : start + _ASKED_AT_ONCE]
        marks = ", ".join("?" * len(some))
        rows = db.execute(
            "SELECT contact, own, rank_ms, last_ms FROM pairs"
            f" WHERE owner = ? AND contact IN ({marks})",
            (owner, *some),
        )
        for contact, own, rank_ms, last_ms in rows:
            pairs.setdefault(contact, {})[own] = PairUse(rank_ms=rank_ms, last_ms=last_ms)
    row = db.execute(
        "SELECT own FROM used WHERE owner = ? AND conversation = ?", (owner, conversation)
    ).fetchone()
    return History(pairs=pairs, thread=row[0] if row else "")


def known_of(db: sqlite3.Connection, owner: int, members: Collection[str]) -> dict[str, list[str]]:
    """Identifiers of members that were used with the account, by member, those first that were used
    more and later; at most as many as are looked at."""
    found: dict[str, list[str]] = {}
    for member in sorted(members):
        rows = db.execute(
            # By contact it would go through all that the account has, for they are in that order.
            "SELECT contact FROM pairs INDEXED BY pairs_member WHERE owner = ? AND member = ?"
            " GROUP BY contact ORDER BY max(rank_ms) DESC, contact LIMIT ?",
            (owner, member, MOST_IDENTIFIERS),
        ).fetchall()
        if rows:
            found[member] = [contact for (contact,) in rows]
    return found


def _trim(db: sqlite3.Connection, owner: int, table: str, key: str, order: str, most: int) -> None:
    """Leaves so many rows, those whose `order` is highest."""
    (count,) = db.execute(f"SELECT count(*) FROM {table} WHERE owner = ?", (owner,)).fetchone()
    if count > most:
        db.execute(
            f"DELETE FROM {table} WHERE owner = ? AND ({key}) IN (SELECT {key} FROM {table}"
            f" WHERE owner = ? ORDER BY {order} LIMIT ?)",
            (owner, owner, count - most),
        )
