"""PartitionLease: which worker has a partition, as far as others can tell.

Whoever has it writes so, again and again; who sees the same writing for as long as the lease lasts,
by its own clock and with every look answered, takes it. Where there are several partitions, whoever
waits takes the first that nobody has, and no second one, so that they are spread. Each writing is
behind the one that its writer has seen, so of several that take it one does. It only says who
should try: what a worker writes is guarded by the changelog, whatever this says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from control_plane.errors import OutcomeUnknown, StoreUnavailable
from data_sharing.replication.port import NotLast

log = logging.getLogger(__name__)

LEASE_S = 3.0
LOOKS = 6  # in the time of a lease


class Holder(msgspec.Struct, frozen=True):
    """What a worker writes of itself."""

    owner: str  # empty: it has let go
    address: str = ""  # host:port where it serves, for gRPC; empty: it does not yet


class Written(NamedTuple):
    """A writing, and where it is."""

    sequence: int
    holder: Holder


class LeaseStore(Protocol):
    """One cell per partition. Raises StoreUnavailable; `write` also OutcomeUnknown and NotLast."""

    async def read(self) -> Written | None:
        """The last writing; None: there is none."""
        ...

    async def write(self, holder: Holder, *, after: int) -> int:
        """Behind the writing at `after` (0: the first one); its sequence."""
        ...


class PartitionLease:
    """lease_s: how long nothing may be heard of whoever has it; monotonic: s."""

    def __init__(
        self,
        store: LeaseStore,
        holder: Holder,
        *,
        monotonic: Callable[[], float],
        lease_s: float = LEASE_S,
    ) -> None:
        self._store = store
        self._holder = holder
        self._monotonic = monotonic
        self._lease_s = lease_s
        self._sequence = 0
        self._written_s = monotonic()
        self._seen, self._since = -1, 0.0  # the last writing of another one, and since when

    def age_s(self) -> float:
        """How long ago this worker last wrote that it has the partition."""
        return max(0.0, self._monotonic() - self._written_s)

    @property
    def pause_s(self) -> float:
        """Between two looks, and between two writings."""
        return self._lease_s / LOOKS

    async def acquire(self, while_waiting: Callable[[], object] = lambda: None) -> None:
        """Waits until it is this worker's, however long. while_waiting: called at each look."""
        await acquire_any([self], while_waiting)

    async def try_acquire(self) -> bool:
        """One look: whether nobody has it, and it is this worker's now."""
        try:
            found = await self._store.read()
            now = self._monotonic()
            if found is None or not found.holder.owner or (
                found.sequence == self._seen and now - self._since >= self._lease_s
            ):  # fmt: skip
                after = 0 if found is None else found.sequence
                self._sequence = await self._store.write(self._holder, after=after)
                self._written_s = self._monotonic()
                return True
            if found.sequence != self._seen:
                self._seen, self._since = found.sequence, now
        except (StoreUnavailable, OutcomeUnknown, NotLast) as error:
            # Whoever has it may not have been able to write either: it has all of its time.
            log.debug("the lease of a partition: %s", error)
            self._seen = -1
        return False

    def serve_at(self, address: str) -> None:
        """What the next writing says of where it serves: host:port."""
        self._holder = Holder(self._holder.owner, address)

    async def run(self, lost: Callable[[str], None]) -> None:
        """Keeps it until cancelled, then lets go. lost(why): somebody else has it."""
        try:
            while True:
                await asyncio.sleep(self.pause_s)
                try:
                    self._sequence = await self._store.write(self._holder, after=self._sequence)
                    self._written_s = self._monotonic()
                except (StoreUnavailable, OutcomeUnknown) as error:
                    log.debug("the lease of a partition was not renewed: %s", error)
                except NotLast:
                    if not await self._is_own():
                        lost("another worker has the lease of its partition")
                        return
        finally:
            await self._release()

    async def _is_own(self) -> bool:
        """After a refusal: whether the last writing is this worker's, whose answer was lost."""
        try:
            found = await self._store.read()
        except StoreUnavailable:
            return True  # not known; the next writing will say
        if found is None or found.holder.owner != self._holder.owner:
            return found is not None and found.sequence <= self._sequence
        self._sequence = found.sequence
        return True

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(self._lease_s):
                await self._store.write(Holder(""), after=self._sequence)
        except (StoreUnavailable, OutcomeUnknown, NotLast, TimeoutError) as error:
            log.debug("the lease of a partition was not released: %s", error)


async def acquire_any(
    leases: Sequence[PartitionLease], while_waiting: Callable[[], object] = lambda: None
) -> int:
    """Waits until one of them is this worker's, however long; its place. They are looked at in this
    order, again and again. while_waiting: called behind each round."""
    while True:
        for place, lease in enumerate(leases):
            if await lease.try_acquire():
                return place
        while_waiting()
        await asyncio.sleep(leases[0].pause_s)
