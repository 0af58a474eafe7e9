"""Message links: the pages to which texts lead that were too long to be sent whole: a part of an
account's rows.

A link is known by 128 random bits, shows one message, and is good until its time is over. Links
move with the account. A unit also remembers the links that it made itself, as long as they are
good: so it knows one of its own after the account has moved, and can say where to. Functions of a
connection, for works of the engine.
"""

from __future__ import annotations

import base64
import re
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

import msgspec

from control_plane.sqlite.schema import Schema
from deployment_units.services.state.owners import Owner
from deployment_units.services.state.parts import Part, Table

LINK_MS = 30 * 86_400_000  # a link in a text is good for
TOKEN_BYTES = 16
_TOKEN = re.compile(r"[a-z2-7]{26}\Z")
_FORGOTTEN_AT_ONCE = 16


class MessageLinkRow(msgspec.Struct, array_like=True, frozen=True):
    """position: of the message in the account; recipient: as deliveries name it; until_ms: Unix
    ms."""

    position: int
    recipient: str
    token: bytes
    until_ms: int


PART = Part(
    schema=Schema(
        part="message_links",
        steps=(
            (
                "CREATE TABLE message_links (owner INTEGER NOT NULL, position INTEGER NOT NULL,"
                " recipient TEXT NOT NULL, token BLOB NOT NULL, until_ms INTEGER NOT NULL,"
                " PRIMARY KEY (owner, position, recipient)) WITHOUT ROWID",
                "CREATE INDEX message_links_tokens ON message_links (token)",
                "CREATE INDEX message_links_over ON message_links (owner, until_ms)",
                # The unit's own memory: of no owner, and never handed over.
                "CREATE TABLE message_links_made (token BLOB NOT NULL PRIMARY KEY,"
                " tenant TEXT NOT NULL, account TEXT NOT NULL, until_ms INTEGER NOT NULL)"
                " WITHOUT ROWID",
                "CREATE INDEX message_links_made_over ON message_links_made (until_ms)",
            ),
        ),
    ),
    tables=(Table(name="message_links", row=MessageLinkRow, key=2),),
)


class MessageLink(NamedTuple):
    """Whose message a link shows. position: None: this unit made the link, and knows nothing more
    of it."""

    tenant: str
    account: str
    position: int | None


def link_to(
    db: sqlite3.Connection,
    owner: Owner,
    position: int,
    recipient: str,
    *,
    now_ms: int,
    new_key: Callable[[], bytes],
) -> str:
    """The token of the page that shows a message to a recipient: the same one as long as it is
    good, and good for LINK_MS from now on. new_key: 32 random bytes."""
    until_ms = now_ms + LINK_MS
    _forget(db, owner.number, now_ms)
    row = db.execute(
        "SELECT token FROM message_links WHERE owner = ? AND position = ? AND recipient = ?",
        (owner.number, position, recipient),
    ).fetchone()
    token: bytes = row[0] if row else _token_of(new_key(), owner.account, position, recipient)
    db.execute(
        "INSERT INTO message_links (owner, position, recipient, token, until_ms)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET until_ms = excluded.until_ms",
        (owner.number, position, recipient, token, until_ms),
    )
    db.execute(
        "INSERT INTO message_links_made (token, tenant, account, until_ms) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET until_ms = excluded.until_ms",
        (token, owner.tenant, owner.account, until_ms),
    )
    return base64.b32encode(token).decode().lower().rstrip("=")


def forget_message(db: sqlite3.Connection, owner: int, position: int) -> None:
    """Of a message that is kept no more."""
    db.execute("DELETE FROM message_links WHERE owner = ? AND position = ?", (owner, position))


def linked(db: sqlite3.Connection, token: str, *, now_ms: int) -> MessageLink | None:
    """What a token stands for: of an account that lives here, or is leaving; else of one that was
    made here. None: neither, or its time is over."""
    if not _TOKEN.match(token):
        return None
    raw = base64.b32decode(token.upper() + "======")
    row = db.execute(
        "SELECT o.tenant, o.account, l.position FROM message_links l"
        " JOIN owners o ON o.owner = l.owner"
        " WHERE l.token = ? AND l.until_ms > ? AND o.state IN ('live', 'leaving')",
        (raw, now_ms),
    ).fetchone()
    if row is None:
        row = db.execute(
            "SELECT tenant, account, NULL FROM message_links_made WHERE token = ? AND until_ms > ?",
            (raw, now_ms),
        ).fetchone()
    return MessageLink(*row) if row else None


def _token_of(key: bytes, account: str, position: int, recipient: str) -> bytes:
    said = f"{account}\0{position}\0{recipient}".encode()
    return sha256(b"homeport message link\0" + key + said).digest()[:TOKEN_BYTES]


def _forget(db: sqlite3.Connection, owner: int, now_ms: int) -> None:
    """Some of those whose time is over."""
    db.execute(
        "DELETE FROM message_links WHERE owner = ? AND (position, recipient) IN"
        " (SELECT position, recipient FROM message_links WHERE owner = ? AND until_ms <= ?"
        " ORDER BY until_ms LIMIT ?)",
        (owner, owner, now_ms, _FORGOTTEN_AT_ONCE),
    )
    db.execute(
        "DELETE FROM message_links_made WHERE token IN (SELECT token FROM message_links_made"
        " WHERE until_ms <= ? ORDER BY until_ms LIMIT ?)",
        (now_ms, _FORGOTTEN_AT_ONCE),
    )
