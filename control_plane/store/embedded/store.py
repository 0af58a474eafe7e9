"""EmbeddedStore: the port over SQLite, with group commit.

Transactions that gather while one sync is under way go into the next one together. They are
applied on the event loop's own thread, where no other thread competes for the GIL row by
row, and only the sync, which needs no GIL, waits elsewhere. Reads go over a second
connection and see what is committed.

One process owns the file; a lock beside it says so.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from control_plane.errors import Refused
from control_plane.store.embedded.leases import LeaseTable
from control_plane.store.embedded.tables import Reading, Writing, check, connect, writes
from control_plane.store.embedded.watching import Watching
from control_plane.store.port import (
    Compacted,
    Get,
    Health,
    KeyValue,
    LeaseLost,
    OutcomeUnknown,
    Page,
    StoreUnavailable,
    Txn,
    TxnResult,
    WatchBatch,
)

T = TypeVar("T")
KEEP_REVISIONS = 20_000  # history kept before compaction does its round
COMPACT_EVERY = 5_000
GROUP_LIMIT = 64  # transactions in one sync

Work = Callable[[Writing], Any]


class EmbeddedStore:
    """See the module; `open` makes one. clock: monotonic seconds, for leases."""

    def __init__(
        self,
        path: Path,
        lock: int,
        *,
        clock: Callable[[], float],
        keep_revisions: int,
    ) -> None:
        self._path = path
        self._lock = lock
        self._clock = clock
        self._keep_revisions = keep_revisions
        self._writer = connect(path)
        self._reader = connect(path, read_only=True)
        self._reading = Reading(self._reader)
        self._writing = Writing(self._writer)
        self._compacted = self._writing.number("compacted")  # 0: never
        self._queue: deque[tuple[Work, asyncio.Future[Any]]] = deque()
        self._wake = asyncio.Event()
        self._syncing = ThreadPoolExecutor(1, thread_name_prefix="store sync")
        self._watching = Watching(self._reading, lambda: self._compacted)
        self._watching.revision = self._writing.revision
        self._leases = LeaseTable(self._reader, clock=clock)
        self._closed = False
        self.health = Health(connected=True, last_revision=self._writing.revision)
        self._tasks = [
            asyncio.create_task(self._commit_groups(), name="embedded store commits"),
            asyncio.create_task(self._expire_leases(), name="embedded store leases"),
        ]

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        keep_revisions: int = KEEP_REVISIONS,
    ) -> EmbeddedStore:
        """Opens or creates the file. Raises Refused when another process has it, or when it
        is not a store."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            raise Refused(
                f"the store {path} is in use by another process; stop that one, "
                "or use another --data-dir"
            ) from error
        try:
            return cls(path, lock, clock=clock, keep_revisions=keep_revisions)
        except sqlite3.DatabaseError as error:
            os.close(lock)
            raise Refused(f"{path} is not a Homeport store ({error}); move it away") from error

    # -- reads -------------------------------------------------------------------------

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        self._check_open()
        return self._reading.one(key)

    async def range(
        self,
        prefix: bytes,
        *,
        start_after: bytes | None = None,
        limit: int = 0,
        at_revision: int = 0,
        keys_only: bool = False,
        timeout_s: float | None = None,
    ) -> Page:
        self._check_open()
        with self._snapshot():
            now = self._reading.number("revision")
            revision = at_revision or now
            if at_revision and at_revision < self._reading.number("compacted"):
                raise Compacted(self._compacted)
            if revision > now:
                raise ValueError(f"revision {revision} is in the future; now is {now}")
            wanted = limit + 1 if limit else 0
            items = self._reading.page(prefix, start_after, wanted, revision, keys_only)
        more = bool(limit) and len(items) > limit
        return Page(items=items[:limit] if limit else items, revision=revision, more=more)

    # -- writes ------------------------------------------------------------------------

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        check(txn)
        if not writes(txn) and not txn.compares:
            self._check_open()
            with self._snapshot():
                read = self._reading
                results = [read.get(one) for one in txn.then if isinstance(one, Get)]
                revision = read.number("revision")
            return TxnResult(succeeded=True, revision=revision, results=results)
        return await self._submit(lambda writing: writing.apply(txn))

    async def lease_grant(self, ttl_s: int, *, timeout_s: float | None = None) -> int:
        lease: int = await self._submit(lambda writing: writing.grant(ttl_s))
        self._leases.add(lease, ttl_s)
        return lease

    async def lease_keep_alive(self, lease: int, *, timeout_s: float | None = None) -> float:
        self._check_open()
        return self._leases.keep_alive(lease)

    async def lease_revoke(self, lease: int, *, timeout_s: float | None = None) -> None:
        self._leases.drop(lease)
        await self._submit(lambda writing: writing.end_lease(lease))

    async def compact(self, revision: int, *, timeout_s: float | None = None) -> None:
        await self._submit(lambda writing: writing.compact(revision))
        self._compacted = max(self._compacted, revision)
        self._watching.compacted()

    def watch(self, prefix: bytes, *, from_revision: int) -> AsyncIterator[WatchBatch]:
        self._check_open()
        return self._watching.watch(prefix, from_revision)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self.health.connected = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._watching.close()
        self._syncing.shutdown()
        gone = StoreUnavailable("the store is closed")
        while self._queue:
            _, answer = self._queue.popleft()
            if not answer.done():
                answer.set_exception(gone)
        self._reader.close()
        self._writer.close()
        os.close(self._lock)

    # -- inside ------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")

    def _snapshot(self) -> _Snapshot:
        return _Snapshot(self._reader)

    async def _submit(self, work: Callable[[Writing], T]) -> T:
        """Runs `work` in the next group; returns when that is on disk."""
        self._check_open()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append((work, answer))
        self._wake.set()
        return await asyncio.shield(answer)

    async def _commit_groups(self) -> None:
        loop = asyncio.get_running_loop()
        compact_at = self._writing.revision + COMPACT_EVERY
        while True:
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            group = [self._queue.popleft() for _ in range(min(GROUP_LIMIT, len(self._queue)))]
            before, answers = self._writing.revision, []
            if before >= compact_at:
                compact_at = before + COMPACT_EVERY
                self._compact_some(before - self._keep_revisions)
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                for work, answer in group:
                    answers.append((answer, *self._attempt(work)))
                self._writing.remember_revision()
            except sqlite3.Error as error:
                self._undo(before)
                self._refuse(group, StoreUnavailable(f"the store cannot write: {error}"))
                continue
            try:
                await loop.run_in_executor(self._syncing, self._writer.execute, "COMMIT")
            except sqlite3.Error as error:
                # Whether the sync reached the disk is not known.
                self._undo(before)
                self._refuse(group, OutcomeUnknown(f"the store could not sync: {error}"))
                continue
            self.health.connected = True
            self.health.last_revision = self._writing.revision
            self._watching.committed(self._writing.revision, self._writing.touched)
            self._writing.touched.clear()
            for answer, result, failure in answers:
                if answer.done():
                    continue
                if failure is not None:
                    answer.set_exception(failure)
                else:
                    answer.set_result(result)

    def _attempt(self, work: Work) -> tuple[Any, Exception | None]:
        """What the work gives, or how it is refused; its neighbours are not concerned."""
        try:
            return work(self._writing), None
        except (ValueError, LeaseLost, Compacted) as refusal:
            return None, refusal

    def _undo(self, revision: int) -> None:
        self.health.connected = False
        self._writing.revision = revision
        self._writing.touched.clear()
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")
        self._writing.revision = self._reading.number("revision")

    def _refuse(
        self,
        group: list[tuple[Work, asyncio.Future[Any]]],
        error: StoreUnavailable | OutcomeUnknown,
    ) -> None:
        for _, answer in group:
            if not answer.done():
                answer.set_exception(type(error)(error.message))

    def _compact_some(self, revision: int) -> None:
        """Queues a compaction where there is anything to forget."""
        if revision > self._compacted:
            answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.append((lambda writing: writing.compact(revision), answer))
            answer.add_done_callback(lambda done: self._compaction_done(done, revision))

    def _compaction_done(self, done: asyncio.Future[None], revision: int) -> None:
        if not done.cancelled() and done.exception() is None:
            self._compacted = max(self._compacted, revision)
            self._watching.compacted()

    async def _expire_leases(self) -> None:
        while True:
            await asyncio.sleep(self._leases.pause_s())
            for lease in self._leases.expired():
                try:
                    await self._submit(partial(Writing.end_lease, lease=lease))
                    self._leases.drop(lease)
                except (StoreUnavailable, OutcomeUnknown):
                    continue  # still expired at the next look


class _Snapshot:
    """All reads inside see one commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def __enter__(self) -> None:
        self._db.execute("BEGIN")

    def __exit__(self, *exc: object) -> None:
        self._db.execute("COMMIT")
