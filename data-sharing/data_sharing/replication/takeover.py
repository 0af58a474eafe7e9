"""Takeover: the file of a partition, made a whole copy of its changelog before a worker begins.

A file that is there is brought up to date; one that is missing, or older than what the changelog
keeps, is built anew of the newest snapshot and the commits behind it. A database that was never a
copy begins the changelog, if that is empty: that is how a service moves to it, with all it has.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from control_plane.errors import HistoryGone, NotFound, Refused
from control_plane.sqlite.connection import FileLock, connect
from control_plane.sqlite.schema import Schema, migrate
from data_sharing.database import PAGE_BYTES
from data_sharing.replication import replica_tables
from data_sharing.replication.port import ChangeLog, LastCommit
from data_sharing.replication.replica import Replica
from data_sharing.replication.replica_tables import MOVING_IN, ReplicaState
from data_sharing.replication.snapshots import copy_file

log = logging.getLogger(__name__)

TRIES = 5  # to get a snapshot; an older one may have been removed meanwhile


class Takeover:
    """Of one file. schemas: those of the database; new_id: of a snapshot; wall_ms: Unix ms."""

    def __init__(
        self,
        path: Path,
        schemas: Sequence[Schema],
        changelog: ChangeLog,
        *,
        new_id: Callable[[], str],
        wall_ms: Callable[[], int],
    ) -> None:
        self._path = path
        self._schemas = schemas
        self._changelog = changelog
        self._new_id = new_id
        self._wall_ms = wall_ms

    async def begin(self, replica: Replica) -> int:
        """Makes the file whole and begins the worker's term; the number of the term. Raises
        Refused where the file is another database, and as Replica.begin_term."""
        lock = FileLock(self._path, "database")
        try:
            for _ in range(TRIES):
                if await self._changelog.last() is not None and self._is_missing():
                    await self._restore()
                try:
                    return await self._begin(replica)
                except HistoryGone:
                    log.warning("the file is older than the changelog: it is built anew")
                    self._set_aside("old")
            raise HistoryGone("the changelog went on faster than a copy could be built; try again")
        finally:
            lock.release()

    async def _begin(self, replica: Replica) -> int:
        db = connect(self._path, page_bytes=PAGE_BYTES)
        try:
            migrate(db, self._schemas)
            state = replica_tables.state_of(db)
            last = await self._changelog.last()
            if state is None or (state.sequence == MOVING_IN and last is None):
                if last is not None:
                    raise Refused(
                        f"{self._path} is a database of its own, and the changelog has another "
                        "one's commits; move the file away, or use another --feeds-partition"
                    )
                replica.prepare(db)
                replica.snapshot = await self._move_in(db)
                return await replica.begin_term(db, self._wall_ms())
            self._check(state, last)
            replica.prepare(db)
            in_step = last is not None and state.sequence == last.sequence
            if in_step and last is not None and last.head.layout != replica.layout:
                # Commits do not tell what a new version made of the tables.
                name = f"layout-{self._new_id()}"
                replica.snapshot = await self._put(name, sequence=state.sequence)
            return await replica.begin_term(db, self._wall_ms())
        finally:
            db.close()

    def _check(self, state: ReplicaState, last: LastCommit | None) -> None:
        """Whether the file is a copy of this changelog. Raises Refused; HistoryGone where it has
        to be built anew."""
        if state.changelog != self._changelog.identity:
            raise Refused(
                f"{self._path} is a copy of another changelog; move it away, or give the NATS "
                "servers and --feeds-prefix that it belongs to"
            )
        end = 0 if last is None else last.sequence
        if state.sequence == MOVING_IN and last is not None:
            if last.head.snapshot and state.snapshot in (last.head.snapshot, ""):
                raise HistoryGone("the changelog began with this file")
            raise Refused(
                f"another worker has begun the changelog that {self._path} was to begin; move the "
                "file away if what it holds is not wanted"
            )
        if state.sequence > end:
            raise Refused(
                f"{self._path} has commits that the changelog does not have: NATS has lost some. "
                "To go on with the file, start once with --feeds-detach, then with another "
                "--feeds-prefix"
            )

    async def _move_in(self, db: sqlite3.Connection) -> str:
        """The file as it is goes to the changelog, which begins with it; the snapshot's name."""
        name = f"begin-{self._new_id()}"
        replica_tables.set_state(db, ReplicaState(self._changelog.identity, MOVING_IN, name))
        return await self._put(name, sequence=0)

    async def _put(self, name: str, *, sequence: int) -> str:
        copy = self._path.with_name(self._path.name + ".snapshot")
        try:
            await asyncio.to_thread(copy_file, self._path, copy, sequence=sequence)
            await self._changelog.put_snapshot(name, copy)
        finally:
            copy.unlink(missing_ok=True)
        return name

    # -- building anew -----------------------------------------------------------------

    def _is_missing(self) -> bool:
        return not self._path.exists()

    async def _restore(self) -> None:
        """The newest snapshot becomes the file. Raises HistoryGone, NotFound."""
        for left in reversed(range(TRIES)):
            last = await self._changelog.last()
            if last is None or not last.head.snapshot:
                raise HistoryGone("the changelog has no snapshot to begin with")
            part = self._path.with_name(self._path.name + ".part")
            try:
                await self._changelog.get_snapshot(last.head.snapshot, part)
            except NotFound:
                if not left:
                    raise
                continue  # a newer one has taken its place
            os.chmod(part, 0o600)
            self._set_aside("old")
            os.replace(part, self._path)
            log.info("the database was built of snapshot %s", last.head.snapshot)
            return

    def _set_aside(self, ending: str) -> None:
        """A file that is there is kept beside, until the next one is."""
        for beside in ("", "-wal", "-shm"):
            file = self._path.with_name(self._path.name + beside)
            if file.exists():
                os.replace(file, self._path.with_name(f"{self._path.name}.{ending}{beside}"))
