"""What a unit keeps of an account's mail: its part of the database.

The addresses to which answers come, with the key that their tokens are made with, and mails as they
came in, each beside the message that was made of it. All of it moves with the account, so an answer
to an old mail finds its conversation wherever the account lives by then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

import msgspec

from control_plane.sqlite.schema import Schema
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels.reply_tokens import (
    ReplyOwner,
    reply_address,
    reply_token,
    token_fits,
)
from deployment_units.services.state.parts import Part, Table

FIRST_EPOCH = 1
_DIGEST_BYTES = 16


class MailKeyRow(msgspec.Struct, array_like=True, frozen=True):
    """The key of the account's reply tokens."""

    epoch: int
    key: bytes


class ReplyAddressRow(msgspec.Struct, array_like=True, frozen=True):
    """token: its digest; see ReplyOwner."""

    token: bytes
    conversation: bytes
    participant: str
    address: str


class ReceivedRow(msgspec.Struct, array_like=True, frozen=True):
    """A mail as it came. message: the id of what was made of it."""

    message: bytes
    content: bytes


PART = Part(
    schema=Schema(
        part="mail",
        steps=(
            (
                "CREATE TABLE mail_keys (owner INTEGER NOT NULL, epoch INTEGER NOT NULL,"
                " key BLOB NOT NULL, PRIMARY KEY (owner, epoch)) WITHOUT ROWID",
                "CREATE TABLE received_mails (owner INTEGER NOT NULL, message BLOB NOT NULL,"
                " content BLOB NOT NULL, PRIMARY KEY (owner, message))",
                "CREATE TABLE reply_addresses (owner INTEGER NOT NULL, token BLOB NOT NULL,"
                " conversation BLOB NOT NULL, participant TEXT NOT NULL, address TEXT NOT NULL,"
                " PRIMARY KEY (owner, token)) WITHOUT ROWID",
                "CREATE INDEX reply_addresses_token ON reply_addresses (token)",
            ),
        ),
    ),
    tables=(
        Table(name="mail_keys", row=MailKeyRow, key=1),
        Table(name="received_mails", row=ReceivedRow, key=1),
        Table(name="reply_addresses", row=ReplyAddressRow, key=1),
    ),
)


class ReplyPlace(NamedTuple):
    """To whom answers at an address come: the resident, whose rows are the owner's, for `whose`."""

    owner: int
    resident: Resident
    whose: ReplyOwner


def address_for_replies(
    db: sqlite3.Connection,
    owner: int,
    whose: ReplyOwner,
    *,
    account: str,
    host: str,
    new_key: Callable[[], bytes],
) -> str:
    """Where answers of a participant come to the account, whose rows are the owner's: always the
    same. host: the domain of our mail. new_key: 32 random bytes, where it has no key yet."""
    row = db.execute(
        "SELECT epoch, key FROM mail_keys WHERE owner = ? ORDER BY epoch DESC LIMIT 1", (owner,)
    ).fetchone()
    epoch, key = row or (FIRST_EPOCH, new_key())
    if row is None:
        db.execute(
            "INSERT INTO mail_keys (owner, epoch, key) VALUES (?, ?, ?)", (owner, epoch, key)
        )
    token = reply_token(key, epoch, whose)
    db.execute(
        "INSERT INTO reply_addresses (owner, token, conversation, participant, address)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (owner, _digest(token), whose.conversation, whose.participant, whose.address),
    )
    return reply_address(token, account, host)


def reply_places(db: sqlite3.Connection, token: str) -> list[ReplyPlace]:
    """Accounts that live here, or are leaving, to which answers with a token come."""
    rows = db.execute(
        "SELECT a.owner, o.tenant, o.account, o.epoch, o.first_ms, a.conversation, a.participant,"
        " a.address FROM reply_addresses a JOIN owners o ON o.owner = a.owner"
        " WHERE a.token = ? AND o.state IN ('live', 'leaving') LIMIT 2",
        (_digest(token),),
    ).fetchall()
    found: list[ReplyPlace] = []
    for owner, tenant, account, epoch, first_ms, conversation, participant, address in rows:
        whose = ReplyOwner(conversation=conversation, participant=participant, address=address)
        keys = dict(db.execute("SELECT epoch, key FROM mail_keys WHERE owner = ?", (owner,)))
        if token_fits(token, keys, whose):
            resident = Resident(tenant=tenant, account=account, epoch=epoch, first_ms=first_ms)
            found.append(ReplyPlace(owner, resident, whose))
    return found


def resident_of_handle(db: sqlite3.Connection, tenant: str, handle: str) -> Resident | None:
    """The account that lives here, or is leaving, and holds the handle, as its profile says."""
    row = db.execute(
        "SELECT o.tenant, o.account, o.epoch, o.first_ms FROM handles h"
        " JOIN owners o ON o.owner = h.owner"
        " WHERE h.handle = ? AND h.state = 'held' AND o.tenant = ?"
        " AND o.state IN ('live', 'leaving')",
        (handle, tenant),
    ).fetchone()
    if row is None:
        return None
    return Resident(tenant=row[0], account=row[1], epoch=row[2], first_ms=row[3])


def keep_received(db: sqlite3.Connection, owner: int, message: bytes, content: bytes) -> bool:
    """A mail as it came, once; whether it had not come before."""
    kept = db.execute(
        "INSERT INTO received_mails (owner, message, content) VALUES (?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (owner, message, content),
    )
    return kept.rowcount == 1


def forget_received(db: sqlite3.Connection, owner: int, message: bytes) -> None:
    """The mail that a message was made of, which is kept no more."""
    db.execute("DELETE FROM received_mails WHERE owner = ? AND message = ?", (owner, message))


def forget_reply_addresses(db: sqlite3.Connection, owner: int, conversation: bytes) -> None:
    """Those of a conversation that is over. Looks through all of the account's."""
    db.execute(
        "DELETE FROM reply_addresses WHERE owner = ? AND conversation = ?", (owner, conversation)
    )


def received(db: sqlite3.Connection, owner: int, message: bytes) -> bytes | None:
    """The mail that a message was made of; None: it was made of none."""
    row = db.execute(
        "SELECT content FROM received_mails WHERE owner = ? AND message = ?", (owner, message)
    ).fetchone()
    return row[0] if row else None


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()[:_DIGEST_BYTES]
