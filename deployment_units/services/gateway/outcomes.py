"""Outcomes: what became of messages that came to an account, beyond its clients, for those who
sent them: a channel's receipt, or that nothing further is tried.

Each is one row until it was told. Only what the record of the delivery says is told, and only where
that has changed. Functions of a connection, for works of the engine.
"""

from __future__ import annotations

import sqlite3

from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations.members import is_uri
from deployment_units.services.gateway import kept
from deployment_units.services.gateway.kept import OutcomeRow
from deployment_units.services.gateway.records import decoded_record
from deployment_units.services.gateway.states import DeliveryState
from deployment_units.services.gateway.told import TELLABLE, MessageTold, ToldState


def note_outcome(
    db: sqlite3.Connection, owner: int, position: int, before: str, after: str, now_ms: int
) -> bool:
    """What is known of how a message reached the account itself has changed, from one record to
    another: its writer is to be told; whether that is so."""
    state = decoded_record(after).state
    if state not in TELLABLE or state is decoded_record(before).state:
        return False
    message = conversations.at(db, owner, position)
    if message is None or is_uri(message.bringer):
        return False
    row = OutcomeRow(message.conversation, message.bringer, position, state.value, now_ms)
    db.execute(
        "INSERT INTO outcomes (owner, conversation, writer, position, state, at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET state = excluded.state, at_ms = excluded.at_ms",
        (owner, row.conversation, row.writer, row.position, row.state, row.at_ms),
    )
    kept.tell(db, owner, [(row.conversation, row.writer)], now_ms)
    return True


def waiting_outcomes(
    db: sqlite3.Connection, owner: int, conversation: bytes, writer: str, *, most: int
) -> list[OutcomeRow]:
    """Those that a writer was not told yet, in the order of its messages."""
    rows = db.execute(
        "SELECT conversation, writer, position, state, at_ms FROM outcomes"
        " WHERE owner = ? AND conversation = ? AND writer = ? ORDER BY position LIMIT ?",
        (owner, conversation, writer, most),
    )
    return [OutcomeRow(*row) for row in rows]


def told_of(db: sqlite3.Connection, owner: int, row: OutcomeRow) -> MessageTold | None:
    """As it is told; None: the message is not kept any more."""
    message = conversations.at(db, owner, row.position)
    if message is None:
        return None
    return MessageTold(message.id, ToldState(DeliveryState(row.state), row.at_ms))


def forget_outcome(db: sqlite3.Connection, owner: int, row: OutcomeRow) -> None:
    """It was told. What became of the message since stays."""
    db.execute(
        "DELETE FROM outcomes WHERE owner = ? AND conversation = ? AND writer = ?"
        " AND position = ? AND state = ?",
        (owner, row.conversation, row.writer, row.position, row.state),
    )
