"""EmbeddedStore: the store port over SQLite, in one process.

Tables and what a transaction does to them are in `tables`, group commit and the file in
control_plane.sqlite.engine, watches in `watching`, leases in `leases`; here they are one store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from control_plane.sqlite.engine import Engine
from control_plane.store.embedded.leases import LeaseTable
from control_plane.store.embedded.tables import StoreReader, StoreWriter, check, prepare, writes
from control_plane.store.embedded.watching import StoreWatches
from control_plane.store.port import (
    Compacted,
    Get,
    Health,
    KeyValue,
    OutcomeUnknown,
    Page,
    StoreUnavailable,
    Txn,
    TxnResult,
    WatchBatch,
)
from control_plane.supervision import log_failure

log = logging.getLogger(__name__)

T = TypeVar("T")
KEEP_REVISIONS = 20_000  # history kept before compaction does its round
COMPACT_EVERY = 5_000
PAGE_BYTES = 4096  # of a new file


class EmbeddedStore:
    """See the module; `open` makes one. clock: monotonic seconds, for leases."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float],
        keep_revisions: int,
    ) -> None:
        self._clock = clock
        self._keep_revisions = keep_revisions
        self._engine = Engine(
            path,
            prepare=prepare,
            page_bytes=PAGE_BYTES,
            called="store",
            before_commit=lambda: self._writer.save_revision(),
        )
        self._engine.on_commit.append(self._committed)
        self._engine.on_rollback.append(self._rolled_back)
        self._reader = StoreReader(self._engine.reader)
        self._writer = StoreWriter(self._engine.writer)
        self._compacted = self._writer.number("compacted")  # 0: never
        self._compact_at = self._writer.revision + COMPACT_EVERY
        self._watches = StoreWatches(self._reader, lambda: self._compacted)
        self._watches.revision = self._writer.revision
        self._leases = LeaseTable(self._engine.reader, clock=clock)
        self.health = Health(connected=True, last_revision=self._writer.revision)
        self._expiry = asyncio.create_task(self._expire_leases(), name="embedded store leases")
        self._expiry.add_done_callback(log_failure)

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
        return cls(path, clock=clock, keep_revisions=keep_revisions)

    # -- reads -------------------------------------------------------------------------

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        self._engine.check_open()
        return self._reader.one(key)

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
        with self._engine.snapshot():
            now = self._reader.number("revision")
            revision = at_revision or now
            if at_revision and at_revision < self._reader.number("compacted"):
                raise Compacted(self._compacted)
            if revision > now:
                raise ValueError(f"revision {revision} is in the future; now is {now}")
            wanted = limit + 1 if limit else 0
            items = self._reader.page(prefix, start_after, wanted, revision, keys_only)
        more = bool(limit) and len(items) > limit
        return Page(items=items[:limit] if limit else items, revision=revision, more=more)

    # -- writes ------------------------------------------------------------------------

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        check(txn)
        if not writes(txn) and not txn.compares:
            with self._engine.snapshot():
                read = self._reader
                results = [read.get(one) for one in txn.then if isinstance(one, Get)]
                revision = read.number("revision")
            return TxnResult(succeeded=True, revision=revision, results=results)
        return await self._submit(lambda writer: writer.apply(txn))

    async def lease_grant(self, ttl_s: int, *, timeout_s: float | None = None) -> int:
        lease: int = await self._submit(lambda writer: writer.grant(ttl_s))
        self._leases.add(lease, ttl_s)
        return lease

    async def lease_keep_alive(self, lease: int, *, timeout_s: float | None = None) -> float:
        self._engine.check_open()
        return self._leases.keep_alive(lease)

    async def lease_revoke(self, lease: int, *, timeout_s: float | None = None) -> None:
        self._leases.drop(lease)
        await self._submit(lambda writer: writer.end_lease(lease))

    async def compact(self, revision: int, *, timeout_s: float | None = None) -> None:
        await self._submit(lambda writer: writer.compact(revision))
        self._compacted = max(self._compacted, revision)
        self._watches.compacted()

    def watch(self, prefix: bytes, *, from_revision: int) -> AsyncIterator[WatchBatch]:
        self._engine.check_open()
        return self._watches.watch(prefix, from_revision)

    async def close(self) -> None:
        self.health.connected = False
        self._expiry.cancel()
        await asyncio.wait([self._expiry])
        await self._engine.close()
        self.health.connected = False
        self._watches.close()

    # -- inside ------------------------------------------------------------------------

    async def _submit(self, work: Callable[[StoreWriter], T]) -> T:
        """Runs `work` in the next group; returns when that is on disk."""
        return await self._engine.transact(partial(self._writer.attempt, work))

    def _committed(self) -> None:
        revision = self._writer.revision
        self.health.connected = True
        self.health.last_revision = revision
        self._watches.committed(revision, self._writer.touched)
        self._writer.touched.clear()
        if revision >= self._compact_at:
            self._compact_at = revision + COMPACT_EVERY
            self._compact_some(revision - self._keep_revisions)

    def _rolled_back(self) -> None:
        self.health.connected = False
        self._writer.touched.clear()
        self._writer.revision = self._reader.number("revision")

    def _compact_some(self, revision: int) -> None:
        """Queues a compaction where there is anything to forget."""
        if revision > self._compacted:
            work = partial(self._writer.attempt, lambda writer: writer.compact(revision))
            done = self._engine.submit(work)
            done.add_done_callback(lambda done: self._compaction_done(done, revision))

    def _compaction_done(self, done: asyncio.Future[None], revision: int) -> None:
        if not done.cancelled() and done.exception() is None:
            self._compacted = max(self._compacted, revision)
            self._watches.compacted()

    async def _expire_leases(self) -> None:
        while True:
            await asyncio.sleep(self._leases.pause_s())
            for lease in self._leases.expired():
                try:
                    await self._submit(partial(StoreWriter.end_lease, lease=lease))
                    self._leases.drop(lease)
                except (StoreUnavailable, OutcomeUnknown):
                    continue  # still expired in the next round
                except Exception:  # a defect must not keep the leases of others alive
                    log.exception("lease %x cannot be ended", lease)
