"""DelayedStore: the model of the store behind a network whose every message takes its time.

Reads, and what watches deliver, are under way for a number of turns of the event loop that a
seeded random source picks, so answers overtake each other as they do between processes.
Watches can be told that their history is gone, and reads that the store is away.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import groupby

from control_plane.store.port import (
    Compacted,
    Event,
    Get,
    Health,
    KeyValue,
    Page,
    StoreUnavailable,
    Txn,
    TxnResult,
    WatchBatch,
)
from tests.support.fakes.model_store import ModelStore

TURNS = (0, 0, 0, 1, 2, 5, 15, 40)  # how long a message is under way


class DelayedStore:
    """As much of the store port as those who only read it use, and `model` for the others."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self.model = ModelStore()
        self.health = Health(connected=True)
        self.away = False
        self.watches = 0  # begun
        self.reads = 0
        self._rng = rng
        self._breaks = 0
        self._leases = 0
        self._written = asyncio.Event()

    def write(self, txn: Txn) -> TxnResult:
        """Applies a transaction at once: somebody else's."""
        result = self.model.commit(txn)
        self._wake()
        return result

    def lose_history(self) -> None:
        """Compacts everything up to now, and watches find that they are too late."""
        self.model.compacted = self.model.revision
        self._breaks += 1
        self._wake()

    def _wake(self) -> None:
        self._written.set()
        self._written = asyncio.Event()

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        self.reads += 1
        await self._travel()
        before = self.model.revision
        result = self.model.commit(txn)
        if self.model.revision != before:
            self._wake()
        await self._travel()
        return result

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        found = (await self.commit(Txn(then=[Get(key)]))).results[0]
        return found[0] if found else None

    async def lease_grant(self, ttl_s: int, *, timeout_s: float | None = None) -> int:
        await self._travel()
        self._leases += 1
        self.model.grant(self._leases, ttl_s)
        return self._leases

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
        await self._travel()
        revision = at_revision or self.model.revision
        found = [
            pair
            for pair in self.model.at(prefix, revision)
            if start_after is None or pair.key > start_after
        ]
        page = Page(
            items=found[:limit] if limit else found,
            revision=revision,
            more=bool(limit) and len(found) > limit,
        )
        await self._travel()
        return page

    async def watch(self, prefix: bytes, *, from_revision: int) -> AsyncIterator[WatchBatch]:
        self.watches += 1
        position, breaks = from_revision - 1, self._breaks
        while True:
            if breaks != self._breaks or position < self.model.compacted - 1:
                raise Compacted(self.model.compacted)
            upto, written = self.model.revision, self._written
            if position == upto:
                await written.wait()
                continue
            events: list[Event] = [
                event
                for event in self.model.happened(prefix, position + 1)
                if event.kv.mod_revision <= upto
            ]
            for revision, of_one in groupby(events, lambda event: event.kv.mod_revision):
                await self._travel()
                yield WatchBatch(events=list(of_one), revision=revision)
            position = upto
            yield WatchBatch(events=(), revision=upto)

    async def _travel(self) -> None:
        if self._rng is not None:
            for _ in range(self._rng.choice(TURNS)):
                await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailable("the store is away")
