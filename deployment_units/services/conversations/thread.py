"""What of a conversation came before a message, as far as a mail names it: its beginning, and the
newest ones. Functions of a connection, for works of the engine.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from deployment_units.services.conversations.message import KeptMessage

MOST_BEGINNING = 8  # messages in which the beginning is looked for
MOST_CONTENT_BYTES = 128 << 10  # of a message that is looked into
_COLUMNS = f"id, sender, via, handling, iif(length(content) <= {MOST_CONTENT_BYTES}, content, x'')"


class Earlier(NamedTuple):
    """A message as it is named later. content: empty where it is too long to be looked into."""

    id: bytes
    sender: str
    via: str
    handling: str
    content: bytes


def beginning(db: sqlite3.Connection, owner: int, message: KeptMessage) -> list[Earlier]:
    """The first messages of its conversation up to itself, the oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM messages WHERE owner = ? AND conversation = ? AND position <= ?"
        " ORDER BY position LIMIT ?",
        (owner, message.conversation, message.position, MOST_BEGINNING),
    )
    return [Earlier(*row) for row in rows]


def newest_before(
    db: sqlite3.Connection, owner: int, message: KeptMessage, most: int
) -> list[Earlier]:
    """So many messages of its conversation before it, the oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM messages WHERE owner = ? AND conversation = ? AND position < ?"
        " ORDER BY position DESC LIMIT ?",
        (owner, message.conversation, message.position, most),
    ).fetchall()
    return [Earlier(*row) for row in reversed(rows)]
