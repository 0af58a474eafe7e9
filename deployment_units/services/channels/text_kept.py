"""From which conversation a number was texted last: a part of an account's rows.

A text says no more than two numbers, so an answer belongs to the conversation that was last brought
to its sender from the number that it is sent to. Moves with the account.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

import msgspec

from control_plane.sqlite.schema import Schema
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.state.parts import Part, Table


class TextPlaceRow(msgspec.Struct, array_like=True, frozen=True):
    """ours, theirs: E.164; participant: the URI, or the account; sent_ms: Unix ms, the last one."""

    ours: str
    theirs: str
    conversation: bytes
    participant: str
    sent_ms: int


PART = Part(
    schema=Schema(
        part="texts",
        steps=(
            (
                "CREATE TABLE text_places (owner INTEGER NOT NULL, ours TEXT NOT NULL,"
                " theirs TEXT NOT NULL, conversation BLOB NOT NULL, participant TEXT NOT NULL,"
                " sent_ms INTEGER NOT NULL, PRIMARY KEY (owner, ours, theirs)) WITHOUT ROWID",
                "CREATE INDEX text_places_numbers ON text_places (ours, theirs, sent_ms)",
            ),
        ),
    ),
    tables=(Table(name="text_places", row=TextPlaceRow, key=2),),
)


class TextPlace(NamedTuple):
    """Where an answer goes. sent_ms: Unix ms, of the last text from there."""

    resident: Resident
    conversation: bytes
    participant: str
    sent_ms: int


def note_text(db: sqlite3.Connection, owner: int, row: TextPlaceRow) -> None:
    """A text is about to leave."""
    db.execute(
        "INSERT INTO text_places (owner, ours, theirs, conversation, participant, sent_ms)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET conversation = excluded.conversation,"
        " participant = excluded.participant, sent_ms = excluded.sent_ms",
        (owner, row.ours, row.theirs, row.conversation, row.participant, row.sent_ms),
    )


def text_place(db: sqlite3.Connection, *, ours: str, theirs: str) -> TextPlace | None:
    """Of an account that lives here, or is leaving: the last that texted the number."""
    row = db.execute(
        "SELECT o.tenant, o.account, o.epoch, o.first_ms, t.conversation, t.participant, t.sent_ms"
        " FROM text_places t JOIN owners o ON o.owner = t.owner"
        " WHERE t.ours = ? AND t.theirs = ? AND o.state IN ('live', 'leaving')"
        " ORDER BY t.sent_ms DESC LIMIT 1",
        (ours, theirs),
    ).fetchone()
    if row is None:
        return None
    resident = Resident(tenant=row[0], account=row[1], epoch=row[2], first_ms=row[3])
    return TextPlace(resident, row[4], row[5], row[6])
