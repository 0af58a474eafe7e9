"""Replica: a database replica, by a gate: its transactions go to a changelog before they are
committed here.

Each transaction is one commit of the changelog, and the file is a copy: lost, it is built anew.
Fencing is the changelog's: it takes a commit only directly behind the last one that this worker
knows. Where it refuses one, another worker has the partition, and this one has ended: nothing of
the transaction is anywhere, and nothing more is written. While the changelog is away a transaction
waits for it, however long, and those behind it wait in the engine's queue: a write whose outcome
is not known is repeated behind the same commit, so that it is there once.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence

from control_plane import faultpoints
from control_plane.errors import Conflict, OutcomeUnknown, ServiceError, StoreUnavailable
from data_sharing.replication import change_capture, replica_tables
from data_sharing.replication.change_capture import CapturedTable
from data_sharing.replication.commit import Commit, encode
from data_sharing.replication.port import ChangeLog, NotLast

log = logging.getLogger(__name__)

PAUSE_S = 0.1  # between two tries to reach the changelog
OLD_ANSWERS = 100  # in turn, of a changelog that does not have this worker's commits: it lost them


class Replica:
    """A CommitGate. owner: this run of this worker, never used again; new_id: of a commit."""

    def __init__(
        self,
        changelog: ChangeLog,
        *,
        owner: str,
        new_id: Callable[[], str],
        pause_s: float = PAUSE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._changelog = changelog
        self._owner = owner
        self._new_id = new_id
        self._pause_s = pause_s
        self._monotonic = monotonic
        self._tables: Sequence[CapturedTable] = ()
        self._layout = 0
        self._ended = asyncio.Event()
        self._why = ""
        self.sequence = 0  # of the last commit that is known
        self.snapshot = ""  # the newest one, which every commit names
        self.waiting_since: float | None = None  # a transaction waits for the changelog; s
        self.commits = 0
        self.bytes = 0  # of commits that this worker has written
        self.retries = 0  # of writes that were not answered

    def prepare(self, db: sqlite3.Connection) -> None:
        """Of the connection that writes, once: its changes are captured, and need not be on this
        machine's disk to be committed."""
        self._tables = change_capture.tables_of(db)
        self._layout = change_capture.layout_of(self._tables)
        change_capture.install(db, self._tables)
        db.execute("PRAGMA synchronous = NORMAL")
        state = replica_tables.state_of(db)
        self.sequence = 0 if state is None else max(0, state.sequence)

    @property
    def layout(self) -> int:
        """Of the tables, once prepared."""
        return self._layout

    @property
    def has_ended(self) -> bool:
        """Whether it writes nothing any more."""
        return self._ended.is_set()

    @property
    def waiting(self) -> bool:
        """Whether a transaction waits for a changelog that is away."""
        return self.waiting_since is not None

    def waited_s(self) -> float:
        """How long one has; 0: none does."""
        since = self.waiting_since
        return 0.0 if since is None else max(0.0, self._monotonic() - since)

    # -- the gate ----------------------------------------------------------------------

    async def ready(self, db: sqlite3.Connection) -> None:
        state = replica_tables.state_of(db)
        if state is None or state.sequence != self.sequence:
            # The changelog has a commit that this file could not take: what others remember of
            # the file in memory is not so any more.
            self.end("its file could not take what it had decided; it is read anew at the start")
        if self._ended.is_set():
            raise StoreUnavailable(f"this worker does not write any more: {self._why}")

    async def commit(self, db: sqlite3.Connection) -> None:
        faultpoints.passing("changelog.capture.before")
        changes = change_capture.changes_of(db, self._tables)
        if not changes:
            return
        name = self._new_id()
        messages = encode(
            changes, owner=self._owner, id=name, layout=self._layout,
            piece_bytes=self._changelog.piece_bytes, snapshot=self.snapshot,
        )  # fmt: skip
        faultpoints.passing("changelog.append.before")
        sequence = await self._append(messages, name)
        faultpoints.passing("changelog.append.after")
        change_capture.forget(db, self._tables)
        replica_tables.set_sequence(db, sequence)
        self.sequence = sequence
        self.commits += 1
        self.bytes += sum(map(len, messages))

    def end(self, why: str) -> None:
        """This worker writes nothing any more."""
        if not self._ended.is_set():
            self._why = why
            self._ended.set()

    async def run(self) -> None:
        """Until another worker has the partition, or this one cannot go on: raises Conflict."""
        await self._ended.wait()
        raise Conflict(f"this worker ends: {self._why}")

    async def _append(self, messages: Sequence[bytes], name: str) -> int:
        """The commit's sequence, however long it takes. Raises StoreUnavailable: it is not there;
        OutcomeUnknown: it may be; both mean that this worker has ended."""
        unknown, old_answers = False, 0
        try:
            while not self._ended.is_set():
                try:
                    return await self._changelog.append(messages, after=self.sequence)
                except NotLast as error:
                    found = await self._own(name)
                    if found is not None:
                        return found
                    if self._ended.is_set():
                        break
                    self._wait_on(error)
                    old_answers += 1
                    if old_answers >= OLD_ANSWERS:
                        self.end("the changelog does not have commits that it had")
                except OutcomeUnknown as error:
                    unknown = True
                    self._wait_on(error)
                except StoreUnavailable as error:
                    self._wait_on(error)
                await self._pause()
        finally:
            self.waiting_since = None
        if unknown:
            raise OutcomeUnknown(f"whether this was written is not known: {self._why}")
        raise StoreUnavailable(f"nothing was written: {self._why}; call again")

    async def _own(self, name: str) -> int | None:
        """After a refusal: where the commit is, if it was written before. None where it was not:
        ended, if somebody else has written; otherwise what was read was too old to say."""
        try:
            last = await self._changelog.last()
            if last is None or last.sequence <= self.sequence:
                if (await self._changelog.extent()).first > self.sequence > 0:
                    self.end("its last commit was purged from the changelog")
                return None
        except StoreUnavailable as error:
            self._wait_on(error)
            return None
        if last.head.id == name:
            return last.sequence
        self.end(f"worker {last.head.owner} has taken the partition over")
        return None

    def _wait_on(self, error: ServiceError) -> None:
        if not self.waiting:
            log.warning("transactions wait for the changelog: %s", error.message)
            self.waiting_since = self._monotonic()
        self.retries += 1

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._pause_s):
                await self._ended.wait()
        except TimeoutError:
            return

    # -- before the term ---------------------------------------------------------------

    async def catch_up(self, db: sqlite3.Connection) -> int:
        """Makes the commits that the file does not have yet; how many. Raises Conflict where they
        are of other tables, HistoryGone, DataLoss, StoreUnavailable."""
        count = 0
        async for one in self._changelog.read(self.sequence):
            self._apply(db, one)
            count += 1
            faultpoints.passing("takeover.applied")
        return count

    def _apply(self, db: sqlite3.Connection, one: Commit) -> None:
        if one.head.layout != self._layout and not replica_tables.is_note(one.changes):
            raise Conflict(
                f"the commit at {one.sequence} was made by another version of Homeport; run that "
                "one until it has stopped by itself, then this one"
            )
        db.execute("BEGIN IMMEDIATE")
        try:
            change_capture.apply(db, one.changes)
            change_capture.forget(db, self._tables)
            replica_tables.set_sequence(db, one.sequence)
            db.execute("COMMIT")
        except BaseException:  # whatever it was goes on upwards
            db.execute("ROLLBACK")
            raise
        self.sequence = one.sequence
        self.snapshot = one.head.snapshot

    async def begin_term(self, db: sqlite3.Connection, now_ms: int) -> int:
        """Catches up and writes that this worker has the partition, so that no other one that had
        it writes any more; the number of its term. Raises as catch_up."""
        while True:
            await self.catch_up(db)
            if not self.snapshot and (last := await self._changelog.last()) is not None:
                self.snapshot = last.head.snapshot
            db.execute("BEGIN IMMEDIATE")
            try:
                number = replica_tables.begin_term(db, self._owner, now_ms)
                await self.commit(db)
                db.execute("COMMIT")
                return number
            except StoreUnavailable:
                # Whoever had the partition has written once more.
                db.execute("ROLLBACK")
                self._ended.clear()
            except BaseException:  # whatever it was goes on upwards
                db.execute("ROLLBACK")
                raise
