"""Databases that are copies of a changelog, taken over as a worker does."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from control_plane.sqlite.connection import connect
from control_plane.sqlite.schema import Schema, migrate
from data_sharing.database import PAGE_BYTES, Database
from data_sharing.replication import replica_tables
from data_sharing.replication.port import ChangeLog
from data_sharing.replication.replica import Replica

_IDS = itertools.count(1)
PAUSE_S = 0.001


def replica_of(changelog: ChangeLog, owner: str = "w1") -> Replica:
    """A new one; ids of commits are never used twice."""
    return Replica(changelog, owner=owner, new_id=lambda: f"{owner}-{next(_IDS)}", pause_s=PAUSE_S)


def new_file(path: Path, schemas: Sequence[Schema], changelog: ChangeLog) -> None:
    """An empty copy, where there is no file."""
    path.parent.mkdir(exist_ok=True)
    db = connect(path, page_bytes=PAGE_BYTES)
    migrate(db, [*schemas, replica_tables.SCHEMA])
    if replica_tables.state_of(db) is None:
        state = replica_tables.ReplicaState(changelog.identity, 0, "")
        replica_tables.set_state(db, state)
    db.close()


@asynccontextmanager
async def taken_over(
    path: Path, schemas: Sequence[Schema], replica: Replica, changelog: ChangeLog
) -> AsyncIterator[Database]:
    """The database of a worker that has begun its term; the file is built of the changelog."""
    new_file(path, schemas, changelog)
    database = await Database.open(
        path, [*schemas, replica_tables.SCHEMA], prepare=replica.prepare, gate=replica
    )
    try:
        await replica.begin_term(database.writer, 1)
        yield database
    finally:
        replica.end("the test is over")
        await database.close()
