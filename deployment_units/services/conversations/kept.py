"""The conversations of an account as its unit keeps them: its part of the database.

Positions count over the whole account, so that who subscribes goes on from one number; they are
never used twice, whatever is removed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from control_plane.errors import AlreadyExists, NotFound, Refused
from deployment_units.services.conversations.message import (
    MAX_DEVICES,
    Conversation,
    KeptMessage,
    NewMessage,
)
from deployment_units.services.conversations.places import members_json, place_of
from deployment_units.services.conversations.presses import answered, forget_presses
from deployment_units.services.conversations.revisions import next_revision, shown_instead
from deployment_units.services.conversations.tables import BRINGER
from deployment_units.services.conversations.tables import PART as PART

PAGE_BYTES = 1 << 20  # of messages that are read together
REMOVED_AT_ONCE = 200  # messages
LAST = "last position"
_SEEN_BYTES = 16  # about, of a position that was seen, besides the device
COLUMNS = "position, id, conversation, sender, content, kept_ms, replaces, revision, via, handling"


class KeptOnce(NamedTuple):
    """new: it was not there before; known_as: the id by which others know its conversation."""

    message: KeptMessage
    new: bool
    known_as: bytes


class TooManyDevices(Refused):
    """The conversation was seen on as many as it may."""

    reason = "TOO_MANY_DEVICES"


def members_of(db: sqlite3.Connection, owner: int, conversation: bytes) -> tuple[str, ...] | None:
    """Its members but the account itself; None: there is no such conversation."""
    found = members_json(db, owner, conversation)
    return None if found is None else _members(found)


def keep(
    db: sqlite3.Connection, owner: int, message: NewMessage, members: Iterable[str], *, now_ms: int
) -> KeptMessage:
    """See `keep_once`."""
    return keep_once(db, owner, message, members, now_ms=now_ms).message


def keep_once(
    db: sqlite3.Connection,
    owner: int,
    message: NewMessage,
    members: Iterable[str],
    *,
    now_ms: int,
    arrives: bool = False,
) -> KeptOnce:
    """Keeps a message once, whatever it is repeated. Ids are of whoever
    brings it: what others bring under the same id is another message. members: of its
    conversation but the account itself. arrives: others chose the id of its conversation, which
    has a place of its own where one with other members has that id here (see `places`). Raises
    AlreadyExists where its id is another one's of the same account, or, of what does not arrive,
    the conversation has other members; NothingToReplace where it is to be the next revision of
    what is not there."""
    wanted = members_as_kept(members)
    there, known_as, known, last = db.execute(
        "SELECT talk.members, talk.known_as,"
        f" (SELECT position FROM messages WHERE owner = ? AND id = ? AND {BRINGER} = ?),"
        " (SELECT value FROM counters WHERE owner = ? AND name = ?)"
        " FROM (SELECT 1) LEFT JOIN conversations AS talk ON talk.owner = ? AND talk.id = ?",
        (owner, message.id, message.bringer, owner, LAST, owner, message.conversation),
    ).fetchone()
    if there != wanted and (arrives or there is not None):
        if not arrives:
            raise AlreadyExists("the conversation has other members; begin one with another id")
        known_as = message.conversation
        place = place_of(db, owner, known_as, wanted, taken=there is not None)
        if place != known_as:
            message = msgspec.structs.replace(message, conversation=place)
            there = members_json(db, owner, place)
    known_as = known_as or message.conversation
    if known is not None:
        kept = at(db, owner, known)
        assert kept is not None
        if _said(kept) != _said(message):
            raise AlreadyExists("another message has this id; give each its own")
        return KeptOnce(kept, False, known_as)
    revision = message.revision or next_revision(db, owner, message)
    if message.answers:
        answered(db, owner, message.answers, message.sender, refused=message.refused)
    kept = KeptMessage(
        _next_position(db, owner, last), message.id, message.conversation, message.sender,
        message.content, now_ms, message.replaces, revision, message.via, message.handling,
    )  # fmt: skip
    if there is None:
        db.execute(
            "INSERT INTO conversations (owner, id, members, last, known_as) VALUES (?, ?, ?, ?, ?)",
            (owner, kept.conversation, wanted, kept.position, known_as),
        )
    else:
        db.execute(
            "UPDATE conversations SET last = ? WHERE owner = ? AND id = ?",
            (kept.position, owner, kept.conversation),
        )
    db.execute(
        f"INSERT INTO messages (owner, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (owner, *kept),
    )
    return KeptOnce(kept, True, known_as)


def at(db: sqlite3.Connection, owner: int, position: int) -> KeptMessage | None:
    """The message at this position; None: there is none."""
    row = db.execute(
        f"SELECT {COLUMNS} FROM messages WHERE owner = ? AND position = ?",
        (owner, position),
    ).fetchone()
    return KeptMessage(*row) if row else None


def ids_at(
    db: sqlite3.Connection, owner: int, positions: Iterable[int]
) -> dict[int, tuple[bytes, bytes]]:
    """Id and conversation of the messages at these positions, by position, without what they say:
    that may be megabytes."""
    found = {}
    for position in positions:
        row = db.execute(
            "SELECT id, conversation FROM messages WHERE owner = ? AND position = ?",
            (owner, position),
        ).fetchone()
        if row is not None:
            found[position] = (row[0], row[1])
    return found


def messages(
    db: sqlite3.Connection,
    owner: int,
    *,
    after: int,
    most: int,
    conversation: bytes | None = None,
    before: int = 0,
) -> tuple[list[KeptMessage], bool]:
    """Messages behind a position, of one conversation or all, and whether there are more. before:
    the newest of those before that position, 0: the oldest. In their order; at least one, if there
    is one; not many more than PAGE_BYTES."""
    of = "" if conversation is None else " AND conversation = ?"
    until, order = (" AND position < ?", "DESC") if before else ("", "ASC")
    rows = db.execute(
        f"SELECT {COLUMNS} FROM messages WHERE owner = ?{of} AND position > ?{until}"
        f" ORDER BY position {order} LIMIT ?",
        (
            owner, *([] if conversation is None else [conversation]), after,
            *([before] if before else []), most + 1,
        ),
    )  # fmt: skip
    found: list[KeptMessage] = []
    size, more = 0, False
    for row in rows:
        if more := len(found) == most or size > PAGE_BYTES:
            break
        found.append(KeptMessage(*row))
        size += len(found[-1].content)
    return found[::-1] if before else found, more


def find(
    db: sqlite3.Connection, owner: int, id_: bytes, *, bringer: str | None = None
) -> KeptMessage | None:
    """The message, or the revision, of that id: what that account wrote or passed on, or, of any,
    what came first."""
    whose, values = ("", ()) if bringer is None else (f" AND {BRINGER} = ?", (bringer,))
    row = db.execute(
        # By `position` it would go through the whole account in that order.
        f"SELECT {COLUMNS} FROM messages WHERE owner = ? AND id = ?{whose}"
        " ORDER BY +position LIMIT 1",
        (owner, id_, *values),
    ).fetchone()
    return KeptMessage(*row) if row else None


def last_to(
    db: sqlite3.Connection,
    owner: int,
    conversation: bytes,
    member: str,
    *,
    by_ms: int,
    looked_through: int,
) -> KeptMessage | None:
    """The last message of a conversation that is not the member's own and was kept by then (Unix
    ms); None: there is none among so many of the last ones."""
    row = db.execute(
        f"SELECT {COLUMNS} FROM (SELECT * FROM messages WHERE owner = ? AND conversation = ?"
        " ORDER BY position DESC LIMIT ?) WHERE sender <> ? AND kept_ms <= ?"
        " ORDER BY position DESC LIMIT 1",
        (owner, conversation, looked_through, member, by_ms),
    ).fetchone()
    return KeptMessage(*row) if row else None


def of_id(db: sqlite3.Connection, owner: int, id_: bytes) -> list[KeptMessage]:
    """All messages of that id, one of each account that brought one: no more than members."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM messages WHERE owner = ? AND id = ? ORDER BY +position",
        (owner, id_),
    )
    return [KeptMessage(*row) for row in rows]


def shown(
    db: sqlite3.Connection, owner: int, id_: bytes, *, bringer: str | None = None
) -> KeptMessage | None:
    """What is shown of the message of that id, or of which that is a revision, now. bringer: as in
    `find`."""
    found = find(db, owner, id_, bringer=bringer)
    root = found
    if found is not None and found.replaces:
        root = find(db, owner, found.replaces, bringer=found.bringer)
    if root is None or found is None or root.replaces:
        return found
    if (root.sender, root.conversation) != (found.sender, found.conversation):
        return found
    newest = shown_instead(db, owner, root)
    return root if newest is None else find(db, owner, newest, bringer=root.bringer)


def conversations(
    db: sqlite3.Connection, owner: int, *, before: int, most: int
) -> tuple[list[Conversation], bool]:
    """Those whose newest message is before a position, the newest first, and whether there are
    more. At least one, if there is one; not many more than PAGE_BYTES."""
    rows = db.execute(
        "SELECT id, members, last FROM conversations WHERE owner = ? AND last < ?"
        " ORDER BY last DESC LIMIT ?",
        (owner, before, most + 1),
    )
    found: list[Conversation] = []
    size = 0
    for one, members, last in rows:
        if len(found) == most or size > PAGE_BYTES:
            return found, True
        seen = _seen(db, owner, one)
        found.append(Conversation(id=one, members=_members(members), last=last, seen=seen))
        size += len(members) + sum(len(device) + _SEEN_BYTES for device, _ in seen)
    return found, False


def mark_seen(
    db: sqlite3.Connection, owner: int, conversation: bytes, device: str, position: int
) -> int:
    """How far the device has shown the conversation now: never less than before, nor more than
    there is. Raises NotFound, TooManyDevices."""
    row = db.execute(
        "SELECT last FROM conversations WHERE owner = ? AND id = ?", (owner, conversation)
    ).fetchone()
    if row is None:
        raise NotFound("the account has no such conversation")
    seen = dict(_seen(db, owner, conversation))
    if device not in seen and len(seen) >= MAX_DEVICES:
        raise TooManyDevices(f"the conversation was seen on {MAX_DEVICES} devices")
    last: int = row[0]
    now = max(seen.get(device, 0), min(position, last))
    db.execute(
        "INSERT INTO seen (owner, conversation, device, position) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET position = excluded.position",
        (owner, conversation, device, now),
    )
    return now


def removed_next(db: sqlite3.Connection, owner: int, conversation: bytes) -> list[KeptMessage]:
    """What `remove_some` removes, but for what the messages say."""
    rows = db.execute(
        "SELECT position, id, conversation, sender, x'', kept_ms, replaces, revision, via, handling"
        " FROM messages WHERE owner = ? AND conversation = ? ORDER BY position LIMIT ?",
        (owner, conversation, REMOVED_AT_ONCE),
    )
    return [KeptMessage(*row) for row in rows]


def remove_some(db: sqlite3.Connection, owner: int, conversation: bytes) -> bool:
    """Removes the oldest messages of a conversation with what was pressed on them, and with the
    last ones itself; whether some are left."""
    for one in removed_next(db, owner, conversation):
        forget_presses(db, owner, one.id, one.sender)
    db.execute(
        "DELETE FROM messages WHERE owner = ? AND position IN (SELECT position FROM messages"
        " WHERE owner = ? AND conversation = ? ORDER BY position LIMIT ?)",
        (owner, owner, conversation, REMOVED_AT_ONCE),
    )
    left = db.execute(
        "SELECT 1 FROM messages WHERE owner = ? AND conversation = ? LIMIT 1", (owner, conversation)
    ).fetchone()
    if left is None:
        db.execute("DELETE FROM seen WHERE owner = ? AND conversation = ?", (owner, conversation))
        db.execute("DELETE FROM conversations WHERE owner = ? AND id = ?", (owner, conversation))
    return left is not None


def _next_position(db: sqlite3.Connection, owner: int, last: int | None) -> int:
    """last: the one before, as this transaction read it; None: there was none."""
    position = (last or 0) + 1
    if last is None:
        db.execute(
            "INSERT INTO counters (owner, name, value) VALUES (?, ?, ?)", (owner, LAST, position)
        )
    else:
        db.execute(
            "UPDATE counters SET value = ? WHERE owner = ? AND name = ?", (position, owner, LAST)
        )
    return position


def _seen(db: sqlite3.Connection, owner: int, conversation: bytes) -> tuple[tuple[str, int], ...]:
    rows = db.execute(
        "SELECT device, position FROM seen WHERE owner = ? AND conversation = ? ORDER BY device",
        (owner, conversation),
    )
    return tuple(rows.fetchall())


def _said(message: NewMessage | KeptMessage) -> tuple[bytes, str, str, bytes, bytes]:
    """What is the same where the same message comes again."""
    return message.conversation, message.sender, message.via, message.content, message.replaces


def members_as_kept(members: Iterable[str]) -> str:
    """In their column."""
    return msgspec.json.encode(sorted(members)).decode()


def _members(text: str) -> tuple[str, ...]:
    return msgspec.json.decode(text, type=tuple[str, ...])
