"""Reader: lookups in groups. One read-only transaction carries up to 120 of them.

The same rule as for writing: no timer; while a few reads are under way, whatever gathers
goes out with the next, tenants in turn. Nobody is read for who does not wait any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from control_plane.errors import ServiceError, Unavailable
from control_plane.store.port import Compare, Get, Store, Txn, TxnResult
from control_plane.turns import Turns
from provisioner.ledger.operations import Lookup, tell, tenant_of

BATCH = 120


class LookupRules(Protocol):
    """What reads rest on where clients are in several clusters; one store needs none.
    Asked once for each batch, but for `reads`."""

    def reads(self, assignment_key: bytes) -> bool:
        """Whether this client is read here."""
        ...

    def forward(self, lookup: Lookup) -> None:
        """Passes on a lookup that belongs elsewhere."""
        ...

    def compares(self) -> Sequence[Compare]:
        """What every read compares."""
        ...

    async def refused(self, result: TxnResult) -> None:
        """A read made these compares in vain; the results are those of their keys. Raises
        ServiceError where nothing can be read for now."""
        ...


class Reader:
    """`look_up` from the event loop; `run` is `parallel` tasks of the owner's. clock:
    monotonic seconds."""

    def __init__(
        self,
        store: Store,
        rules: LookupRules | None = None,
        *,
        clock: Callable[[], float],
        parallel: int = 2,
    ) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock
        self._waiting: Turns[Lookup] = Turns(tenant_of)
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
        waiting, wake, rules = self._waiting, self._wake, self._rules
        while True:
            if not waiting:
                wake.clear()
                await wake.wait()
                continue
            batch = self._gather()
            if not batch:
                continue
            if rules is None:
                await self._read(batch)
            else:
                await self._read_by_rules(batch, rules)

    async def _read(self, batch: Sequence[Lookup]) -> None:
        try:
            result = await self._store.commit(Txn(then=[Get(one.key) for one in batch]))
        except ServiceError as error:
            _fail(batch, error)
            return
        except BaseException:  # nobody foresaw it; whoever waits hears of it all the same
            _fail(batch, Unavailable("the client could not be looked up; try again"))
            raise
        _deliver(batch, result)

    async def _read_by_rules(self, batch: Sequence[Lookup], rules: LookupRules) -> None:
        """Reads what belongs here, and makes sure of it in the reading transaction."""
        ours = [one for one in batch if rules.reads(one.key)]
        for one in batch:
            if not rules.reads(one.key):
                rules.forward(one)
        if not ours:
            return
        compares = rules.compares()
        read = Txn(
            compares=compares,
            then=[Get(one.key) for one in ours],
            otherwise=[Get(compare.key) for compare in compares],
        )
        try:
            result = await self._store.commit(read)
            if not result.succeeded:
                await rules.refused(result)
        except ServiceError as error:
            _fail(ours, error)
            return
        except BaseException:  # the same
            _fail(ours, Unavailable("the client could not be looked up; try again"))
            raise
        if result.succeeded:
            _deliver(ours, result)
            return
        for one in ours:
            rules.forward(one)

    def _gather(self) -> list[Lookup]:
        batch: list[Lookup] = []
        waiting, now = self._waiting, self._clock()
        while waiting and len(batch) < BATCH:
            one = waiting.popleft()
            if one.expires_at < now:
                tell(one.failed, Unavailable("the store was too slow; try again"))
            else:
                batch.append(one)
        return batch


def _deliver(batch: Sequence[Lookup], result: TxnResult) -> None:
    for one, found in zip(batch, result.results, strict=True):
        tell(one.found, found[0] if found else None)


def _fail(batch: Sequence[Lookup], error: ServiceError) -> None:
    for one in batch:
        tell(one.failed, error)
