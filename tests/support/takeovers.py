"""Workers that take a partition over, with a database of notes."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from control_plane.sqlite.schema import Schema
from data_sharing.database import Database
from data_sharing.replication import replica_tables
from data_sharing.replication.port import ChangeLog
from data_sharing.replication.replica import Replica
from data_sharing.replication.snapshots import Snapshots
from data_sharing.replication.takeover import Takeover
from tests.support.replicas import replica_of

NOTES = Schema(part="notes", steps=(("CREATE TABLE notes (text TEXT)",),))
SCHEMAS = (NOTES, replica_tables.SCHEMA)
_IDS = itertools.count()


def new_id() -> str:
    """Never used twice."""
    return str(next(_IDS))


@asynccontextmanager
async def worker(
    path: Path, changelog: ChangeLog, schemas: Sequence[Schema] = SCHEMAS
) -> AsyncIterator[tuple[Database, Snapshots]]:
    """(database, snapshots) of a worker in its term."""
    replica: Replica = replica_of(changelog, f"w{new_id()}")
    takeover = Takeover(path, schemas, changelog, new_id=new_id, wall_ms=lambda: 1)
    await takeover.begin(replica)
    database = await Database.open(path, schemas, prepare=replica.prepare, gate=replica)
    try:
        yield database, Snapshots(path, database, replica, changelog, new_id=new_id)
    finally:
        await database.close()


async def add(database: Database, *texts: str) -> None:
    """Each in a transaction."""
    for text in texts:
        await database.transact(lambda db, one=text: _add(db, one))


def _add(db: sqlite3.Connection, text: str) -> None:
    db.execute("INSERT INTO notes (text) VALUES (?)", (text,))


def notes(database: Database) -> list[str]:
    """In order."""
    return [
        text
        for (text,) in database.read(
            lambda db: db.execute("SELECT text FROM notes ORDER BY rowid").fetchall()
        )
    ]
