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
from contextlib import closing
from pathlib import Path

from control_plane import faultpoints
from control_plane.errors import HistoryGone, NotFound, Refused
from control_plane.sqlite.connection import FileLock, connect
from control_plane.sqlite.schema import Schema, migrate
from data_sharing.database import PAGE_BYTES
from data_sharing.replication import replica_tables
from data_sharing.replication.port import ChangeLog, LastCommit
from data_sharing.replication.replica import Replica
from data_sharing.replication.replica_tables import MOVING_IN, ReplicaState
from data_sharing.replication.snapshots import copy_file, is_covered, name_of

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
        restored = ""
        try:
            for _ in range(TRIES):
                if await self._changelog.last() is not None and self._is_missing():
                    restored = await self._restore()
                try:
                    number = await self._begin(replica)
                    faultpoints.passing("takeover.begun")
                    return number
                except HistoryGone:
                    if not restored:
                        log.warning("the file is older than the changelog: it is built anew")
                        self._set_aside("old")
                        continue
                    last = await self._changelog.last()
                    if last is None or last.head.snapshot == restored:
                        raise _lost(f"commits behind snapshot {restored} are gone") from None
                    self._remove()  # a copy of what another worker has replaced meanwhile
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
                if last is None and (await self._changelog.extent()).next > 1:
                    raise _lost("all commits are gone")
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
                await self._keep_all(replica)
            else:
                await replica.catch_up(db)
                if last is not None and not await is_covered(
                    self._changelog, replica.snapshot or last.head.snapshot
                ):
                    log.warning("the changelog has forgotten commits that the file has")
                    await self._keep_all(replica)
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

    async def _keep_all(self, replica: Replica) -> None:
        """A snapshot of the file, which the term's first commit names."""
        name = name_of(replica.sequence, self._new_id())
        replica.snapshot = await self._put(name, sequence=replica.sequence)

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

    async def _restore(self) -> str:
        """The newest snapshot becomes the file; its name. Raises Refused."""
        gone = ""
        for _ in range(TRIES):
            last = await self._changelog.last()
            if last is None or not last.head.snapshot:
                raise _lost("no commit names a snapshot")
            part = self._path.with_name(self._path.name + ".part")
            try:
                await self._changelog.get_snapshot(last.head.snapshot, part)
            except NotFound:
                gone = last.head.snapshot
                continue  # a newer one has taken its place
            faultpoints.passing("takeover.restored")
            os.chmod(part, 0o600)
            self._set_aside("old")
            os.replace(part, self._path)
            log.info("the database was built of snapshot %s", last.head.snapshot)
            return last.head.snapshot
        raise _lost(f"snapshot {gone} is gone")

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def _set_aside(self, ending: str) -> None:
        """A file that is there is kept beside, until the next one is; of two the one with more."""
        if _sequence_of(self._path.with_name(f"{self._path.name}.{ending}")) > _sequence_of(
            self._path
        ):
            self._remove()
            return
        for beside in ("", "-wal", "-shm"):
            file = self._path.with_name(self._path.name + beside)
            if file.exists():
                os.replace(file, self._path.with_name(f"{self._path.name}.{ending}{beside}"))


def _sequence_of(file: Path) -> int:
    """Up to which commit a file has them; below all where it is none."""
    if not file.exists():
        return MOVING_IN - 1
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            state = replica_tables.state_of(db)
    except sqlite3.Error:
        return MOVING_IN - 1
    return MOVING_IN - 1 if state is None else state.sequence


def _lost(what: str) -> Refused:
    """Where the changelog is less than was written, and this file cannot make up for it."""
    return Refused(
        f"the changelog is not whole: {what}. Start a server whose file is whole: one that ran "
        'last, or a file kept as sharing.db.old; where there is none, see "When something is '
        'wrong" in docs/reference/feeds-on-nats.md'
    )
