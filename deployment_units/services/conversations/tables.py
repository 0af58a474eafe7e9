"""The tables of conversations: rows, and how they became what they are.

Positions count over the whole account (see `kept`). A conversation is known by its id and its
members: to others by the id that whoever began it chose, to the account, where that was taken, by
another (see `places`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from control_plane.sqlite.schema import Schema
from deployment_units.services.state.parts import Part, Table

BRINGER = "(CASE WHEN via = '' THEN sender ELSE via END)"  # KeptMessage.bringer


class ConversationRow(msgspec.Struct, array_like=True, frozen=True):
    """members: JSON, in order, without the account itself; last: position of its newest message;
    known_as: its id before others."""

    id: bytes
    members: str
    last: int
    known_as: bytes


class CounterRow(msgspec.Struct, array_like=True, frozen=True):
    name: str
    value: int


class MessageRow(msgspec.Struct, array_like=True, frozen=True):
    """kept_ms: Unix ms, when this account's first unit kept it; via, handling: as in NewMessage."""

    position: int
    id: bytes
    conversation: bytes
    sender: str
    content: bytes
    kept_ms: int
    replaces: bytes
    revision: int
    via: str
    handling: str


class SeenRow(msgspec.Struct, array_like=True, frozen=True):
    conversation: bytes
    device: str
    position: int


def _with_revisions(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    """Messages of version 1 replaced nothing."""
    return [(table, [*values, b"", 1] if table == "messages" else values)]


def _with_via(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    """Messages of version 2 were accounts' own."""
    return [(table, [*values, "", ""] if table == "messages" else values)]


def _as_before(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    """In version 3 an id was one message's, whoever brought it: that holds of its rows still."""
    return [(table, values)]


def _known_as_it_is(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    """Conversations of version 4 have one id before everybody."""
    return [(table, [*values, values[0]] if table == "conversations" else values)]


def _by_members(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    """Rows of version 5 are as they were; an index has one column more."""
    return [(table, values)]


PART = Part(
    schema=Schema(
        part="conversations",
        steps=(
            (
                "CREATE TABLE conversations (owner INTEGER NOT NULL, id BLOB NOT NULL,"
                " members TEXT NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (owner, id))"
                " WITHOUT ROWID",
                "CREATE INDEX conversations_last ON conversations (owner, last)",
                "CREATE TABLE counters (owner INTEGER NOT NULL, name TEXT NOT NULL,"
                " value INTEGER NOT NULL, PRIMARY KEY (owner, name)) WITHOUT ROWID",
                # With rowids: clustered by position, inserts took twice as long.
                "CREATE TABLE messages (owner INTEGER NOT NULL, position INTEGER NOT NULL,"
                " id BLOB NOT NULL, conversation BLOB NOT NULL, sender TEXT NOT NULL,"
                " content BLOB NOT NULL, kept_ms INTEGER NOT NULL, PRIMARY KEY (owner, position))",
                "CREATE UNIQUE INDEX messages_id ON messages (owner, id)",
                "CREATE INDEX messages_conversation ON messages (owner, conversation, position)",
                "CREATE TABLE seen (owner INTEGER NOT NULL, conversation BLOB NOT NULL,"
                " device TEXT NOT NULL, position INTEGER NOT NULL,"
                " PRIMARY KEY (owner, conversation, device)) WITHOUT ROWID",
            ),
            (
                "ALTER TABLE messages ADD COLUMN replaces BLOB NOT NULL DEFAULT x''",
                "ALTER TABLE messages ADD COLUMN revision INTEGER NOT NULL DEFAULT 1",
                "CREATE INDEX messages_revisions ON messages (owner, replaces, revision)"
                " WHERE replaces <> x''",
            ),
            (
                "ALTER TABLE messages ADD COLUMN via TEXT NOT NULL DEFAULT ''",
                "ALTER TABLE messages ADD COLUMN handling TEXT NOT NULL DEFAULT ''",
            ),
            (
                "DROP INDEX messages_id",
                f"CREATE UNIQUE INDEX messages_id ON messages (owner, id, {BRINGER})",
            ),
            (
                "ALTER TABLE conversations ADD COLUMN known_as BLOB NOT NULL DEFAULT x''",
                "UPDATE conversations SET known_as = id",
                "CREATE INDEX conversations_known_as ON conversations (owner, known_as)"
                " WHERE known_as <> id",
            ),
            (
                # Whoever likes begins many conversations of one id: each is found at once.
                "DROP INDEX conversations_known_as",
                "CREATE INDEX conversations_known_as ON conversations (owner, known_as, members)"
                " WHERE known_as <> id",
            ),
        ),
    ),
    tables=(
        Table(name="conversations", row=ConversationRow, key=1),
        Table(name="counters", row=CounterRow, key=1),
        Table(name="messages", row=MessageRow, key=1),
        Table(name="seen", row=SeenRow, key=2),
    ),
    upgrades=(_with_revisions, _with_via, _as_before, _known_as_it_is, _by_members),
)
