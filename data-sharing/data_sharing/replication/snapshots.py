"""Snapshots: the file as of one commit, put beside the changelog, so that this can be cut short.

One is made whenever the commits since the last one are more than the file, so building a copy
reads about twice the file at most, and making snapshots costs about as much as writing did.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from control_plane import faultpoints
from control_plane.errors import Unavailable
from control_plane.private_files import make_private
from data_sharing.database import Database
from data_sharing.replication import replica_tables
from data_sharing.replication.port import ChangeLog
from data_sharing.replication.replica import Replica

log = logging.getLogger(__name__)

EVERY_S = 5.0
LEAST_BYTES = 64 << 20  # of commits; fewer are no reason for a snapshot


def copy_file(path: Path, copy: Path, *, sequence: int | None = None) -> int:
    """Copies a database as of now, by a connection of its own; the commit that it is of. sequence:
    of which it is said to be. Blocks, and nobody else."""
    copy.unlink(missing_ok=True)
    make_private(copy)
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy, isolation_level=None)) as target,
    ):
        source.backup(target)
        if sequence is not None:
            replica_tables.set_sequence(target, sequence)
        state = replica_tables.state_of(target)
        target.execute("PRAGMA journal_mode = DELETE")
        return 0 if state is None else state.sequence


def name_of(sequence: int, id: str) -> str:
    """Of a snapshot that holds everything up to a commit."""
    return f"{sequence}-{id}"


async def is_covered(changelog: ChangeLog, snapshot: str) -> bool:
    """Whether a snapshot and what the changelog keeps are all there is to know. Not, where somebody
    else has made it forget commits. Raises StoreUnavailable."""
    number, _, _ = snapshot.partition("-")
    held = int(number) if number.isdigit() else 0
    return (await changelog.extent()).first <= held + 1


class Snapshots:
    """Of the file of one worker in its term. `run` is a task of the owner's. new_id: of one."""

    def __init__(
        self,
        path: Path,
        database: Database,
        replica: Replica,
        changelog: ChangeLog,
        *,
        new_id: Callable[[], str],
        least_bytes: int = LEAST_BYTES,
        every_s: float = EVERY_S,
    ) -> None:
        self._path = path
        self._database = database
        self._replica = replica
        self._changelog = changelog
        self._new_id = new_id
        self._least_bytes = least_bytes
        self._every_s = every_s
        self._told_bytes = 0  # of commits, when the last one was made
        self.made = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                if self._is_due() or not await is_covered(self._changelog, self._replica.snapshot):
                    await self.make()
            except (Unavailable, OSError, sqlite3.Error) as error:
                log.warning("no snapshot was made: %s", error)

    def _is_due(self) -> bool:
        since = self._replica.bytes - self._told_bytes
        return since > max(self._least_bytes, self._path.stat().st_size)

    async def make(self) -> None:
        """One now; what the changelog has before it is forgotten. Raises Unavailable, OSError,
        sqlite3.Error."""
        told = self._replica.bytes
        copy = self._path.with_name(self._path.name + ".snapshot")
        try:
            sequence = await asyncio.to_thread(copy_file, self._path, copy)
            faultpoints.passing("snapshot.copied")
            name = name_of(sequence, self._new_id())
            await self._changelog.put_snapshot(name, copy)
        finally:
            copy.unlink(missing_ok=True)
        faultpoints.passing("snapshot.put")
        self._replica.snapshot = name
        # Whoever builds a copy reads the name in the last commit: one has to say it first.
        await self._database.transact(lambda db: replica_tables.note_snapshot(db, name))
        faultpoints.passing("snapshot.named")
        await self._changelog.trim(sequence + 1)
        faultpoints.passing("snapshot.trimmed")
        await self._changelog.remove_snapshots(name)
        self._told_bytes = told
        self.made += 1
