"""Parts of an account as tests need them: rows of every kind, whose older version had fewer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from control_plane.sqlite.schema import Schema
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.parts import Part, Table
from deployment_units.services.state.stream import StreamWriter

PIECE_BYTES = 100_000


class Blob(msgspec.Struct, array_like=True, frozen=True):
    place: int
    data: bytes


class Note(msgspec.Struct, array_like=True, frozen=True):
    topic: str
    number: int
    text: str | None
    mark: int | None


BLOBS = Table(name="blobs", row=Blob, key=1)
NOTES = Table(name="notes", row=Note, key=2)
_MAKE_BLOBS = (
    "CREATE TABLE blobs (owner INTEGER NOT NULL, place INTEGER NOT NULL, data BLOB NOT NULL,"
    " PRIMARY KEY (owner, place))"
)
_MAKE_NOTES = (
    "CREATE TABLE notes (owner INTEGER NOT NULL, topic TEXT NOT NULL, number INTEGER NOT NULL,"
    " text TEXT, mark INTEGER, PRIMARY KEY (owner, topic, number)) WITHOUT ROWID",
    "CREATE UNIQUE INDEX notes_marks ON notes (owner, mark) WHERE mark IS NOT NULL",
)


def _marked(table: str, values: list[Any]) -> list[tuple[str, list[Any]]]:
    """Version 1 had no marks."""
    return [(table, [*values, None] if table == "notes" else values)]


BLOB_PART = Part(schema=Schema(part="a-blobs", steps=((_MAKE_BLOBS,),)), tables=(BLOBS,))
NOTE_PART = Part(
    schema=Schema(part="notes", steps=(_MAKE_NOTES, ())), tables=(NOTES,), upgrades=(_marked,)
)
PARTS = (NOTE_PART, BLOB_PART)  # not in order


def state_of(data: bytes) -> bytes:
    """An account that keeps `data`, as a stream."""
    writer = StreamWriter(0)
    stream = b""
    for place, start in enumerate(range(0, len(data), PIECE_BYTES)):
        piece = data[start : start + PIECE_BYTES]
        stream += writer.row(BLOB_PART, BLOBS, (place, piece))
    return stream + writer.finish()


class Ticking:
    """A clock that goes on by as much at each look; by nothing, unless set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def database(folder: Path, clock: Ticking | None = None) -> UnitDatabase:
    return UnitDatabase(folder, PARTS, monotonic=clock or Ticking())
