"""Reader: lookups in groups. One read-only transaction carries up to 120 of them.

The same rule as for writing: no timer; while a few reads are under way, whatever gathers
goes out with the next. Nobody is read for who does not wait any more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from control_plane.errors import ServiceError, Unavailable
from control_plane.store.port import Get, Store, Txn
from provisioner.ledger.operations import Lookup

BATCH = 120


class Reader:
    """`look_up` from the event loop; `run` is `parallel` tasks of the owner's. clock:
    monotonic seconds."""

    def __init__(self, store: Store, *, clock: Callable[[], float], parallel: int = 2) -> None:
        self._store = store
        self._clock = clock
        self._waiting: deque[Lookup] = deque()
        self._wake = asyncio.Event()
        self.parallel = parallel

    def look_up(self, lookup: Lookup) -> None:
        """Its `found` or `failed` will be called, once."""
        self._waiting.append(lookup)
        self._wake.set()

    def __len__(self) -> int:
        return len(self._waiting)

    async def run(self) -> None:
        """Reads for ever."""
        waiting, wake = self._waiting, self._wake
        while True:
            if not waiting:
                wake.clear()
                await wake.wait()
                continue
            batch = self._gather()
            if batch:
                await self._read(batch)

    async def _read(self, batch: Sequence[Lookup]) -> None:
        try:
            result = await self._store.commit(Txn(then=[Get(one.key) for one in batch]))
        except ServiceError as error:
            for one in batch:
                one.failed(error)
            return
        for one, found in zip(batch, result.results, strict=True):
            one.found(found[0] if found else None)

    def _gather(self) -> list[Lookup]:
        batch: list[Lookup] = []
        waiting, now = self._waiting, self._clock()
        while waiting and len(batch) < BATCH:
            one = waiting.popleft()
            if one.expires_at < now:
                one.failed(Unavailable("the store was too slow; try again"))
            else:
                batch.append(one)
        return batch
