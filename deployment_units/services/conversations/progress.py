"""How far the clients of an account have come with its messages, and whose messages those are."""

from __future__ import annotations

import sqlite3

from deployment_units.services.conversations.kept import COLUMNS, LAST
from deployment_units.services.conversations.message import KeptMessage

_ACKNOWLEDGED = "acknowledged position"


def acknowledged(db: sqlite3.Connection, owner: int) -> int:
    """Up to which position the clients of the account have said that they have its messages."""
    row = db.execute(
        "SELECT value FROM counters WHERE owner = ? AND name = ?", (owner, _ACKNOWLEDGED)
    ).fetchone()
    return row[0] if row else 0


def acknowledge(db: sqlite3.Connection, owner: int, position: int) -> None:
    """They say so."""
    db.execute(
        "INSERT INTO counters (owner, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET value = max(value, excluded.value)",
        (owner, _ACKNOWLEDGED, position),
    )


def last_position(db: sqlite3.Connection, owner: int) -> int:
    """Of the newest message; 0: there is none."""
    row = db.execute(
        "SELECT value FROM counters WHERE owner = ? AND name = ?", (owner, LAST)
    ).fetchone()
    return row[0] if row else 0


def seen_up_to(db: sqlite3.Connection, owner: int, conversation: bytes) -> int:
    """How far any device has shown the conversation."""
    found: int = db.execute(
        "SELECT coalesce(max(position), 0) FROM seen WHERE owner = ? AND conversation = ?",
        (owner, conversation),
    ).fetchone()[0]
    return found


def writers_between(
    db: sqlite3.Connection, owner: int, after: int, up_to: int
) -> list[tuple[bytes, str]]:
    """Conversations in which somebody wrote, or passed something on, between two positions, and
    who."""
    rows = db.execute(
        "SELECT DISTINCT conversation, CASE WHEN via = '' THEN sender ELSE via END FROM messages"
        " WHERE owner = ? AND position > ? AND position <= ?",
        (owner, after, up_to),
    )
    return rows.fetchall()


def written(
    db: sqlite3.Connection,
    owner: int,
    conversation: bytes,
    writer: str,
    *,
    after: int,
    up_to: int,
    most: int,
) -> list[KeptMessage]:
    """Messages of a conversation that an account wrote or passed on, behind a position."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM messages WHERE owner = ? AND conversation = ? AND position > ?"
        " AND position <= ? AND (CASE WHEN via = '' THEN sender ELSE via END) = ?"
        " ORDER BY position LIMIT ?",
        (owner, conversation, after, up_to, writer, most),
    )
    return [KeptMessage(*row) for row in rows]
