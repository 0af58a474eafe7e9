"""What a unit keeps of an application's account besides its conversations: how far its messages are
published and outcomes followed, and the replies that were refused until that is published.

Goes with the account. Functions of a connection, for works of the engine.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from control_plane.sqlite.schema import Schema
from deployment_units.services.cards.card import CardFlaw, CardFlawReason
from deployment_units.services.state.parts import Part, Table


class Place(StrEnum):
    """MESSAGES: the account's position up to which messages are published. OUTCOMES: the position
    in the tenant's log up to which outcomes are followed."""

    MESSAGES = "messages"
    OUTCOMES = "outcomes"


class FollowedRow(msgspec.Struct, array_like=True, frozen=True):
    place: str
    position: int


class RefusalRow(msgspec.Struct, array_like=True, frozen=True):
    """flaws: JSON."""

    instruction: str
    flaws: str


PART = Part(
    schema=Schema(
        part="applications",
        steps=(
            (
                "CREATE TABLE followed (owner INTEGER NOT NULL, place TEXT NOT NULL,"
                " position INTEGER NOT NULL, PRIMARY KEY (owner, place)) WITHOUT ROWID",
                "CREATE TABLE refusals (owner INTEGER NOT NULL, instruction TEXT NOT NULL,"
                " flaws TEXT NOT NULL, PRIMARY KEY (owner, instruction)) WITHOUT ROWID",
            ),
        ),
    ),
    tables=(
        Table(name="followed", row=FollowedRow, key=1),
        Table(name="refusals", row=RefusalRow, key=1),
    ),
)


def position(db: sqlite3.Connection, owner: int, place: Place) -> int | None:
    """None: nothing was yet."""
    row = db.execute(
        "SELECT position FROM followed WHERE owner = ? AND place = ?", (owner, place.value)
    ).fetchone()
    return row[0] if row else None


def advance(db: sqlite3.Connection, owner: int, place: Place, to: int) -> None:
    """Never back."""
    db.execute(
        "INSERT INTO followed (owner, place, position) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET position = excluded.position"
        " WHERE position < excluded.position",
        (owner, place.value, to),
    )


def refuse(db: sqlite3.Connection, owner: int, instruction: str, flaws: Sequence[CardFlaw]) -> None:
    """Nothing of this reply is sent."""
    told = [{"pointer": one.pointer, "reason": one.reason, "message": one.message} for one in flaws]
    db.execute(
        "INSERT INTO refusals (owner, instruction, flaws) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (owner, instruction, json.dumps(told, ensure_ascii=False)),
    )


def refusals(db: sqlite3.Connection, owner: int, *, most: int) -> list[tuple[str, list[CardFlaw]]]:
    """Some that were not published yet, by instruction."""
    rows = db.execute(
        "SELECT instruction, flaws FROM refusals WHERE owner = ? ORDER BY instruction LIMIT ?",
        (owner, most),
    )
    return [(instruction, [_flaw(one) for one in json.loads(text)]) for instruction, text in rows]


def published(db: sqlite3.Connection, owner: int, instructions: Iterable[str]) -> None:
    """Their refusals are in the feed."""
    db.executemany(
        "DELETE FROM refusals WHERE owner = ? AND instruction = ?",
        [(owner, one) for one in instructions],
    )


def _flaw(said: dict[str, str]) -> CardFlaw:
    return CardFlaw(
        pointer=said["pointer"], reason=CardFlawReason(said["reason"]), message=said["message"]
    )
