"""AttributeUpdates: known clients of whom other attributes are told than their records keep.

The record is written anew, where it is still what it was, with the hold that stands beside it,
before the client is answered: whoever was answered knows that it is kept. Where the record changed
meanwhile, what is told is put to the newer one. A client of whom nothing new is told never comes
here. Tenants take turns, each has its share of the room, and all of it while it is alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol

from control_plane import keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.store.port import Get, KeyValue, Put, Txn, unchanged
from control_plane.turns import Turns
from provisioner.ledger.assignment import AssignmentRecord, with_attributes_written
from provisioner.ledger.hold_expiry import belongs
from provisioner.placement.attributes import NO_ATTRIBUTES
from provisioner.policy.told_attributes import told_anew
from provisioner.provisioning.key_binding import FindStore
from provisioner.provisioning.pending import AnyPending
from provisioner.provisioning.tenant_shares import TenantShares

AT_ONCE = 64  # records that are written side by side; the store puts them together
MOST_WAITING = 10_000  # of all tenants; each has its share of that, see TenantShares


class UpdatingFlow(Protocol):
    """The use case, as far as it goes on from here."""

    def existing(self, pending: AnyPending, found: KeyValue, /) -> None:
        """The client's record is this one now."""
        ...

    def claim(self, pending: AnyPending, /) -> None:
        """The client has no assignment any more."""
        ...

    def failed(self, pending: AnyPending, error: ServiceError, /) -> None:
        """What was told could not be kept."""
        ...


class _Update(NamedTuple):
    flow: UpdatingFlow
    pending: AnyPending
    found: KeyValue
    record: AssignmentRecord


def _interrupted() -> Unavailable:
    """For whoever waits where the work ends."""
    return Unavailable("the server was interrupted; try again")


class AttributeUpdates:
    """One per server; `run` is a task of the owner's. clock: monotonic seconds; at_once: records
    that are written side by side; most: that wait. written: how many were, since the start;
    refused: how many found no room."""

    def __init__(
        self,
        find_store: FindStore,
        *,
        clock: Callable[[], float],
        at_once: int = AT_ONCE,
        most: int = MOST_WAITING,
    ) -> None:
        self._find_store = find_store
        self._clock = clock
        self._at_once = at_once
        self._most = most
        self._waiting: Turns[_Update] = Turns(lambda update: update.pending.tenant.id)
        self._ready = asyncio.Semaphore(0)  # one for each that waits
        self._shares = TenantShares()
        self._running = False
        self.written = 0
        self.refused = 0

    @property
    def waiting(self) -> int:
        """Records that are not being written yet."""
        return len(self._waiting)

    def begin(
        self, flow: UpdatingFlow, pending: AnyPending, found: KeyValue, record: AssignmentRecord
    ) -> bool:
        """Whether the record has to be written; then one of the flow's methods is called, once."""
        kept = record.attributes or NO_ATTRIBUTES
        if all(kept.get(name, "") == value for name, value in pending.attributes.items()):
            return False
        tenant = pending.tenant.id
        if not self._running or self._shares.is_full(tenant, len(self._waiting), self._most):
            self.refused += 1
            flow.failed(pending, Unavailable("what is told of clients cannot be kept now"))
        else:
            self._shares.enter(tenant)
            self._waiting.append(_Update(flow, pending, found, record))
            self._ready.release()
        return True

    async def run(self) -> None:
        """Works for ever."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._at_once):
                    group.create_task(self._work(), name=f"attributes of known clients {number}")
        finally:
            self._running = False
            while self._waiting:
                update = self._take()
                update.flow.failed(update.pending, _interrupted())
            self._ready = asyncio.Semaphore(0)

    def _take(self) -> _Update:
        update = self._waiting.popleft()
        self._shares.leave(update.pending.tenant.id)
        return update

    async def _work(self) -> None:
        while True:
            await self._ready.acquire()
            update = self._take()
            flow, pending = update.flow, update.pending
            try:
                async with asyncio.timeout(max(0.0, pending.expires_at - self._clock())):
                    now = await self._write(update)
            except TimeoutError:
                flow.failed(pending, Unavailable("the store did not answer in time; try again"))
            except ServiceError as error:
                flow.failed(pending, error)
            except BaseException:  # nobody foresaw it, or the server stops: the client is answered
                flow.failed(pending, _interrupted())
                raise
            else:
                if now is None:
                    flow.claim(pending)  # released meanwhile
                else:
                    flow.existing(pending, now)

    async def _write(self, update: _Update) -> KeyValue | None:
        """The client's record as it is now; None: it has none any more. Raises ServiceError."""
        pending, found, record = update.pending, update.found, update.record
        value = with_attributes_written(
            found.value, told_anew(record.attributes, pending.attributes)
        )
        where = self._find_store(found.key)
        if where is None:
            raise Unavailable("the client's record is being moved; try again", retry_after_s=0.5)
        compares = [*where.compares, unchanged(found.key, found.mod_revision)]
        writes = [Put(found.key, value)]
        if pending.tenant.hold_s > 0:
            held = await where.store.get(keys.hold(pending.tenant.id, pending.client_id))
            if held is not None and belongs(held, found):  # nobody has seen the client yet
                compares.append(unchanged(held.key, held.mod_revision))
                writes.append(Put(held.key, held.value))
        result = await where.store.commit(
            Txn(compares=compares, then=writes, otherwise=[Get(found.key)])
        )
        if result.succeeded:
            self.written += 1
            return KeyValue(
                found.key, value, found.create_revision, result.revision, found.version + 1
            )
        now = result.results[0]
        if now and now[0].mod_revision == found.mod_revision:
            # Something else that has to hold does not: the hold, or where its shard is.
            raise Unavailable("the client is being changed; try again", retry_after_s=0.5)
        return now[0] if now else None
