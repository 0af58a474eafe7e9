"""Deliveries of an account as its unit keeps them: its part of the database.

A delivery is one message on its way to one recipient, beside the copy of the account that sent it
or took it in: another account, or a URI; or, empty, the account itself, whose unit finds the
channel on which it is. What has a time at which it is due is the outbox. All of it moves with the
account.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from control_plane.sqlite.schema import Schema
from deployment_units.services.gateway.waiting import SCHEMA_STEP
from deployment_units.services.state.parts import Part, Table

ITSELF = ""  # the recipient of what came to the account


class DeliveryRow(msgspec.Struct, array_like=True, frozen=True):
    """position: of the message in the account; due_ms: Unix ms, when something is to be done; None:
    nothing is. tries: in vain, in a row; words: what was said to the last one. plan: JSON of a
    route; record: of what is known (see records); told: of what its unit said became of it.
    since_ms: when it was first due; None: it never was, or that is not known."""

    position: int
    recipient: str
    due_ms: int | None
    tries: int
    words: str
    plan: str
    record: str
    told: str
    since_ms: int | None


class ReceiptRow(msgspec.Struct, array_like=True, frozen=True):
    """What `writer` was told of its messages in a conversation: up to which position they were
    delivered, and seen. due_ms: when it is told more; None: there is nothing."""

    conversation: bytes
    writer: str
    delivered: int
    seen: int
    due_ms: int | None
    tries: int


class OutcomeRow(msgspec.Struct, array_like=True, frozen=True):
    """What became of a message that came to the account, and `writer` was not told yet. state: of a
    DeliveryState; at_ms: Unix ms, when that was known."""

    conversation: bytes
    writer: str
    position: int
    state: str
    at_ms: int


class RulesRow(msgspec.Struct, array_like=True, frozen=True):
    """The account's own rules for how it is reached; one row."""

    revision: int
    document: str


def _without_outcomes(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    """Version 1 told none: its other rows are as they were."""
    return [(table, values)]


def _without_times(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    """Version 2 does not say since when a delivery waits."""
    return [(table, [*values, None] if table == "deliveries" else values)]


PART = Part(
    schema=Schema(
        part="gateway",
        steps=(
            (
                "CREATE TABLE deliveries (owner INTEGER NOT NULL, position INTEGER NOT NULL,"
                " recipient TEXT NOT NULL, due_ms INTEGER, tries INTEGER NOT NULL,"
                " words TEXT NOT NULL, plan TEXT NOT NULL, record TEXT NOT NULL,"
                " told TEXT NOT NULL, PRIMARY KEY (owner, position, recipient))",
                "CREATE INDEX deliveries_due ON deliveries (owner, due_ms)"
                " WHERE due_ms IS NOT NULL",
                "CREATE INDEX deliveries_waiting ON deliveries (owner, recipient, position)"
                " WHERE due_ms IS NOT NULL",
                "CREATE TABLE receipts (owner INTEGER NOT NULL, conversation BLOB NOT NULL,"
                " writer TEXT NOT NULL, delivered INTEGER NOT NULL, seen INTEGER NOT NULL,"
                " due_ms INTEGER, tries INTEGER NOT NULL,"
                " PRIMARY KEY (owner, conversation, writer)) WITHOUT ROWID",
                "CREATE INDEX receipts_due ON receipts (owner, due_ms) WHERE due_ms IS NOT NULL",
                "CREATE TABLE rules (owner INTEGER NOT NULL, revision INTEGER NOT NULL,"
                " document TEXT NOT NULL, PRIMARY KEY (owner, revision)) WITHOUT ROWID",
            ),
            (
                "CREATE TABLE outcomes (owner INTEGER NOT NULL, conversation BLOB NOT NULL,"
                " writer TEXT NOT NULL, position INTEGER NOT NULL, state TEXT NOT NULL,"
                " at_ms INTEGER NOT NULL,"
                " PRIMARY KEY (owner, conversation, writer, position)) WITHOUT ROWID",
            ),
            SCHEMA_STEP,
        ),
    ),
    tables=(
        Table(name="deliveries", row=DeliveryRow, key=2),
        Table(name="outcomes", row=OutcomeRow, key=3),
        Table(name="receipts", row=ReceiptRow, key=2),
        Table(name="rules", row=RulesRow, key=1),
    ),
    upgrades=(_without_outcomes, _without_times),
)
_DELIVERY = "position, recipient, due_ms, tries, words, plan, record, told, since_ms"


class Waiting(NamedTuple):
    """An owner that has something to do, and when, Unix ms."""

    owner: int
    due_ms: int


def add(
    db: sqlite3.Connection, owner: int, position: int, recipient: str, due_ms: int | None
) -> None:
    """A delivery of which nothing is known yet; without a time: of a message that was kept for the
    recipient at once."""
    db.execute(
        f"INSERT INTO deliveries (owner, {_DELIVERY}) VALUES (?, ?, ?, ?, 0, '', '', '', '', ?)",
        (owner, position, recipient, due_ms, due_ms),
    )


def put(db: sqlite3.Connection, owner: int, row: DeliveryRow) -> None:
    """Changes a delivery that is there."""
    db.execute(
        "UPDATE deliveries SET due_ms = ?, tries = ?, words = ?, plan = ?, record = ?, told = ?"
        " WHERE owner = ? AND position = ? AND recipient = ?",
        (
            row.due_ms, row.tries, row.words, row.plan, row.record, row.told,
            owner, row.position, row.recipient,
        ),
    )  # fmt: skip


def heard(db: sqlite3.Connection, owner: int, position: int, recipient: str, told: str) -> None:
    """What the recipient's unit said, see `told`."""
    db.execute(
        "UPDATE deliveries SET told = ? WHERE owner = ? AND position = ? AND recipient = ?",
        (told, owner, position, recipient),
    )


def tell(
    db: sqlite3.Connection, owner: int, writers: Iterable[tuple[bytes, str]], due_ms: int
) -> None:
    """Writers of conversations are to be told how far their messages have come."""
    db.executemany(
        "INSERT INTO receipts (owner, conversation, writer, delivered, seen, due_ms, tries)"
        " VALUES (?, ?, ?, 0, 0, ?, 0) ON CONFLICT DO UPDATE SET"
        " due_ms = coalesce(min(due_ms, excluded.due_ms), excluded.due_ms)",
        [(owner, conversation, writer, due_ms) for conversation, writer in writers],
    )


def tell_later(db: sqlite3.Connection, owner: int, row: ReceiptRow, due_ms: int) -> None:
    """It could not be told now."""
    db.execute(
        "UPDATE receipts SET due_ms = ?, tries = tries + 1"
        " WHERE owner = ? AND conversation = ? AND writer = ?",
        (due_ms, owner, row.conversation, row.writer),
    )


def was_told(db: sqlite3.Connection, owner: int, row: ReceiptRow, due_ms: int | None) -> None:
    """How far it was told, and when it is told more."""
    db.execute(
        "UPDATE receipts SET delivered = max(delivered, ?), seen = max(seen, ?), tries = 0,"
        " due_ms = ? WHERE owner = ? AND conversation = ? AND writer = ?",
        (row.delivered, row.seen, due_ms, owner, row.conversation, row.writer),
    )


def due_receipts(db: sqlite3.Connection, owner: int, *, now_ms: int, most: int) -> list[ReceiptRow]:
    """Those that are due, the longest first."""
    rows = db.execute(
        "SELECT conversation, writer, delivered, seen, due_ms, tries FROM receipts"
        " WHERE owner = ? AND due_ms <= ? ORDER BY due_ms LIMIT ?",
        (owner, now_ms, most),
    )
    return [ReceiptRow(*row) for row in rows]


def remove(db: sqlite3.Connection, owner: int, position: int) -> None:
    """Of a message that is not kept any more: its deliveries."""
    db.execute("DELETE FROM deliveries WHERE owner = ? AND position = ?", (owner, position))


def forget_conversation(db: sqlite3.Connection, owner: int, conversation: bytes) -> None:
    """What its writers were to be told of it."""
    for table in ("receipts", "outcomes"):
        db.execute(
            f"DELETE FROM {table} WHERE owner = ? AND conversation = ?", (owner, conversation)
        )


def find(db: sqlite3.Connection, owner: int, position: int, recipient: str) -> DeliveryRow | None:
    """One delivery; None: there is none."""
    row = db.execute(
        f"SELECT {_DELIVERY} FROM deliveries WHERE owner = ? AND position = ? AND recipient = ?",
        (owner, position, recipient),
    ).fetchone()
    return DeliveryRow(*row) if row else None


def recipients(db: sqlite3.Connection, owner: int, position: int) -> set[str]:
    """To whom a message has a delivery."""
    rows = db.execute(
        "SELECT recipient FROM deliveries WHERE owner = ? AND position = ?", (owner, position)
    )
    return {name for (name,) in rows}


def due(db: sqlite3.Connection, owner: int, *, now_ms: int, most: int) -> list[DeliveryRow]:
    """Deliveries that are due, those first that have been for longest."""
    rows = db.execute(
        f"SELECT {_DELIVERY} FROM deliveries WHERE owner = ? AND due_ms <= ?"
        " ORDER BY due_ms, position LIMIT ?",
        (owner, now_ms, most),
    )
    return [DeliveryRow(*row) for row in rows]


def line(db: sqlite3.Connection, owner: int, recipient: str, *, most: int) -> list[DeliveryRow]:
    """Deliveries to one recipient that are not over, in the order of their messages."""
    rows = db.execute(
        f"SELECT {_DELIVERY} FROM deliveries WHERE owner = ? AND recipient = ?"
        " AND due_ms IS NOT NULL ORDER BY position LIMIT ?",
        (owner, recipient, most),
    )
    return [DeliveryRow(*row) for row in rows]


def hold_line(db: sqlite3.Connection, owner: int, recipient: str, until_ms: int) -> None:
    """Nothing of what waits for the recipient is due before then."""
    db.execute(
        "UPDATE deliveries INDEXED BY deliveries_waiting SET due_ms = ?"
        " WHERE owner = ? AND recipient = ? AND due_ms < ?",
        (until_ms, owner, recipient, until_ms),
    )


def anything_waits(db: sqlite3.Connection, owner: int, recipient: str | None = None) -> bool:
    """Whether something waits for others, or for one of them."""
    which, values = ("> ''", ()) if recipient is None else ("= ?", (recipient,))
    row = db.execute(
        "SELECT 1 FROM deliveries INDEXED BY deliveries_waiting"
        f" WHERE owner = ? AND recipient {which} AND due_ms IS NOT NULL LIMIT 1",
        (owner, *values),
    ).fetchone()
    return row is not None


def release_line(db: sqlite3.Connection, owner: int, recipient: str, due_ms: int) -> None:
    """All that waits for the recipient is due then at the latest."""
    db.execute(
        "UPDATE deliveries INDEXED BY deliveries_waiting SET due_ms = ?, tries = 0"
        " WHERE owner = ? AND recipient = ? AND due_ms > ?",
        (due_ms, owner, recipient, due_ms),
    )


def next_due(db: sqlite3.Connection, owner: int) -> int | None:
    """When the owner has something to do, Unix ms; None: nothing waits."""
    found = db.execute(
        "SELECT (SELECT min(due_ms) FROM deliveries WHERE owner = ? AND due_ms IS NOT NULL),"
        " (SELECT min(due_ms) FROM receipts WHERE owner = ? AND due_ms IS NOT NULL)",
        (owner, owner),
    ).fetchone()
    return min((int(one) for one in found if one is not None), default=None)


def owners_waiting(db: sqlite3.Connection, *, behind: int, most: int) -> list[Waiting]:
    """Owners that have something to do, page by page; behind: the last one seen. One step through
    the index an owner, whatever it has waiting."""
    found: dict[int, int] = {}
    for table in ("deliveries", "receipts"):
        rows = db.execute(
            "WITH RECURSIVE some(owner) AS ("
            f" SELECT min(owner) FROM {table} WHERE due_ms IS NOT NULL AND owner > ?"
            f" UNION ALL SELECT (SELECT min(owner) FROM {table} WHERE due_ms IS NOT NULL"
            " AND owner > some.owner) FROM some WHERE some.owner IS NOT NULL)"
            f" SELECT owner, (SELECT min(due_ms) FROM {table} WHERE {table}.owner = some.owner"
            " AND due_ms IS NOT NULL) FROM some WHERE owner IS NOT NULL LIMIT ?",
            (behind, most),
        )
        for owner, due_ms in rows:
            found[owner] = min(due_ms, found.get(owner, due_ms))
    return [Waiting(*pair) for pair in sorted(found.items())[:most]]


def listed(
    db: sqlite3.Connection, owner: int, *, before: int, most: int, waiting_only: bool
) -> tuple[list[DeliveryRow], bool]:
    """Deliveries to others, those of the newest messages first, and whether there are more. All of
    one message together, so that there may be some more of them than `most`."""
    # What waits is bounded, and what is over is not.
    by, only = "", ""
    if waiting_only:
        by, only = " INDEXED BY deliveries_waiting", " AND due_ms IS NOT NULL"
    rows = db.execute(
        f"SELECT {_DELIVERY} FROM deliveries{by} WHERE owner = ? AND recipient > ''"
        f" AND position < ?{only} ORDER BY position DESC, recipient",
        (owner, before),
    )
    found: list[DeliveryRow] = []
    for row in rows:
        if len(found) >= most and row[0] != found[-1].position:
            return found, True
        found.append(DeliveryRow(*row))
    return found, False


def of_message(db: sqlite3.Connection, owner: int, position: int) -> list[DeliveryRow]:
    """Deliveries of one message, by recipient."""
    rows = db.execute(
        f"SELECT {_DELIVERY} FROM deliveries WHERE owner = ? AND position = ? AND recipient > ''"
        " ORDER BY recipient",
        (owner, position),
    )
    return [DeliveryRow(*row) for row in rows]
