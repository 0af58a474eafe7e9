"""Revisions: what takes the place of a message that its sender replaced.

A revision is a message of its own, kept and delivered like any other; it names the message that it
replaces and says the how manieth revision it is. The sender's copy counts; other copies keep what
they are told, in whatever order it comes, and show the one with the highest number. Only a message
of the same sender in the same conversation is replaced: of others a revision changes nothing.
Functions of a connection, for works of the engine.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from control_plane.errors import NotFound
from deployment_units.services.conversations.message import KeptMessage, NewMessage

# `replaces <> x''` says that the index of revisions is enough, whatever `root` is.
_SHOWN_INSTEAD = (
    " FROM messages WHERE owner = :owner AND replaces = :root AND replaces <> x''"
    " AND sender = :sender AND conversation = :conversation"
)


class NothingToReplace(NotFound):
    """The message that should be replaced is not there, or is not the sender's."""

    reason = "NOTHING_TO_REPLACE"


def next_revision(db: sqlite3.Connection, owner: int, message: NewMessage) -> int:
    """Which revision a message of the account's own becomes. Raises NothingToReplace."""
    if not message.replaces:
        return 1
    row = db.execute(
        "SELECT 1 FROM messages WHERE owner = ? AND id = ? AND sender = ? AND conversation = ?"
        " AND replaces = x''",
        (owner, message.replaces, message.sender, message.conversation),
    ).fetchone()
    if row is None:
        raise NothingToReplace(
            "the conversation has no such message of the sender's to replace; name the first one, "
            "not a revision of it"
        )
    names = _names(owner, message.replaces, message.sender, message.conversation)
    found: int = db.execute(f"SELECT max(revision){_SHOWN_INSTEAD}", names).fetchone()[0] or 1
    return found + 1


def superseded(
    db: sqlite3.Connection, owner: int, messages: Iterable[KeptMessage]
) -> frozenset[bytes]:
    """The ids of those of which the account has a later revision."""
    return frozenset(
        one.id
        for one in messages
        if db.execute(
            f"SELECT 1{_SHOWN_INSTEAD} AND revision > :revision LIMIT 1",
            {**_names(owner, one.root, one.sender, one.conversation), "revision": one.revision},
        ).fetchone()
    )


def shown_instead(db: sqlite3.Connection, owner: int, root: KeptMessage) -> bytes | None:
    """The id of the newest revision of a message; None: it is shown itself."""
    row = db.execute(
        f"SELECT id{_SHOWN_INSTEAD} ORDER BY revision DESC, position DESC LIMIT 1",
        _names(owner, root.id, root.sender, root.conversation),
    ).fetchone()
    return row[0] if row else None


def at_revision(
    db: sqlite3.Connection, owner: int, root: KeptMessage, revision: int
) -> bytes | None:
    """The id of a later revision of a message; None: the account does not have it."""
    row = db.execute(
        f"SELECT id{_SHOWN_INSTEAD} AND revision = :revision LIMIT 1",
        {**_names(owner, root.id, root.sender, root.conversation), "revision": revision},
    ).fetchone()
    return row[0] if row else None


def _names(owner: int, root: bytes, sender: str, conversation: bytes) -> dict[str, object]:
    return {"owner": owner, "root": root, "sender": sender, "conversation": conversation}
