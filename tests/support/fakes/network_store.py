"""NetworkStore: the model of the store behind a network that delays, loses and repeats.

Every message is under way for a number of turns of the event loop that a seeded random source
picks. A commit may be lost, or its answer be, or it may arrive long after whoever sent it has given
up, or twice: all of that is OutcomeUnknown to its sender, or nothing at all. `judge` is called
after each transaction that was applied.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from control_plane.store.port import (
    Get,
    Health,
    KeyValue,
    OutcomeUnknown,
    Page,
    StoreUnavailable,
    Txn,
    TxnResult,
)
from tests.support.fakes.model_store import ModelStore

TURNS = (0, 0, 0, 1, 2, 5, 15)
LATE_TURNS = 60


class NetworkStore:
    """As much of the store port as those use that read and write keys. rng None: a network without
    faults, and without delay. faults: the share of commits that one strikes."""

    def __init__(
        self,
        rng: random.Random | None = None,
        *,
        faults: float = 0.0,
        judge: Callable[[], None] = lambda: None,
    ) -> None:
        self.model = ModelStore()
        self.health = Health(connected=True)
        self.commits = 0
        self.late: set[asyncio.Task[None]] = set()
        self.away = False
        self.judge = judge
        self._rng = rng
        self._faults = faults
        self._leases = 0

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        found = (await self.commit(Txn(then=[Get(key)]))).results[0]
        return found[0] if found else None

    async def range(
        self, prefix: bytes, *, start_after: bytes | None = None, limit: int = 0
    ) -> Page:
        """As of now."""
        await self._travel()
        if self.away:
            raise StoreUnavailable("the store is away")
        found = [pair for pair in self.model.under(prefix) if pair.key > (start_after or b"")]
        items = found[: limit or None]
        return Page(items=items, revision=self.model.revision, more=len(items) < len(found))

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        await self._travel()
        if self.away:
            raise StoreUnavailable("the store is away")
        self.commits += 1
        writes = any(not isinstance(one, Get) for one in txn.expanded().then)
        if writes and self._rng is not None and self._rng.random() < self._faults:
            return await self._struck(txn, self._rng)
        result = self._apply(txn)
        await self._travel()
        return result

    async def lease_grant(self, ttl_s: int, *, timeout_s: float | None = None) -> int:
        await self._travel()
        self._leases += 1
        self.model.grant(self._leases, ttl_s)
        return self._leases

    async def arrived(self) -> None:
        """Returns once nothing is under way any more."""
        while self.late:
            await asyncio.gather(*self.late)

    def _apply(self, txn: Txn) -> TxnResult:
        result = self.model.commit(txn)
        self.judge()
        return result

    async def _struck(self, txn: Txn, rng: random.Random) -> TxnResult:
        fault = rng.choice(("lost", "answer lost", "late", "twice"))
        if fault == "twice":
            result = self._apply(txn)
            self._apply(txn)
            return result
        if fault == "answer lost":
            self._apply(txn)
        elif fault == "late":
            task = asyncio.get_running_loop().create_task(self._arrive_late(txn, rng))
            self.late.add(task)
            task.add_done_callback(self.late.discard)
        raise OutcomeUnknown("no answer in time")

    async def _arrive_late(self, txn: Txn, rng: random.Random) -> None:
        for _ in range(rng.randrange(LATE_TURNS)):
            await asyncio.sleep(0)
        self._apply(txn)

    async def _travel(self) -> None:
        if self._rng is not None:
            for _ in range(self._rng.choice(TURNS)):
                await asyncio.sleep(0)
