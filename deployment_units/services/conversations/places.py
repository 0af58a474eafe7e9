"""Places: under which id an account keeps a conversation that others began.

Whoever begins a conversation chooses its id, and who knows that id may begin another one by it. So
a conversation is known by its id and its members together: the first of an id that arrives is kept
under it, and one with other members under an id of the account's own. Nobody keeps a message from
its recipient by being there first, and nobody is shown one in the midst of another's conversation.
What the account writes there goes out under the id that the others know. Functions of a
connection, for works of the engine.
"""

from __future__ import annotations

import sqlite3


def place_of(
    db: sqlite3.Connection, owner: int, known_as: bytes, members: str, *, taken: bool
) -> bytes:
    """The id under which the account keeps, or is to keep, the conversation that others know as
    `known_as`. members: as kept, and not those of a conversation with that id here; taken: there
    is one."""
    place = found_place(db, owner, known_as, members)
    if place is not None:
        return place
    if not taken:
        return known_as
    new: bytes = db.execute("SELECT randomblob(16)").fetchone()[0]
    return new


def found_place(db: sqlite3.Connection, owner: int, known_as: bytes, members: str) -> bytes | None:
    """The id of its own under which the account keeps such a conversation; None: it keeps none."""
    row = db.execute(
        "SELECT id FROM conversations WHERE owner = ? AND known_as = ? AND known_as <> id"
        " AND members = ?",
        (owner, known_as, members),
    ).fetchone()
    return row[0] if row else None


def known_as(db: sqlite3.Connection, owner: int, conversation: bytes) -> bytes:
    """The id by which others know a conversation of the account."""
    row = db.execute(
        "SELECT known_as FROM conversations WHERE owner = ? AND id = ?", (owner, conversation)
    ).fetchone()
    return row[0] if row else conversation


def members_json(db: sqlite3.Connection, owner: int, conversation: bytes) -> str | None:
    """The members of a conversation as they are kept; None: there is none."""
    row = db.execute(
        "SELECT members FROM conversations WHERE owner = ? AND id = ?", (owner, conversation)
    ).fetchone()
    return row[0] if row else None
