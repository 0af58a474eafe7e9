"""Settlement of the dead: what a provisioner without session held becomes free again.

Anyone alive may do it, in one transaction per unit that compares the session's absence; if
several try, one wins and the others find nothing left. Looked for when a session goes, at
start, and now and then in case a notice was missed. The clients are not touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from control_plane import faultpoints, keys
from control_plane.errors import ServiceError
from control_plane.fleet.capacity import decode_capacity
from control_plane.store.port import KeyValue, Store, range_all
from provisioner.ledger import transactions

log = logging.getLogger(__name__)

SWEEP_S = 15.0


async def reclaim_expired_sessions(store: Store) -> int:
    """Looks at every unit once; returns how many stripes of dead provisioners it settled.

    Raises StoreUnavailable. A stripe that changes meanwhile is left to the next look.
    """
    living = {
        pair.key[len(keys.SESSIONS) :].decode()
        for pair in (await range_all(store, keys.SESSIONS, keys_only=True)).items
    }
    usages: dict[tuple[str, str], KeyValue] = {}
    for pair in (await range_all(store, keys.USAGE)).items:
        unit, _, provisioner = pair.key[len(keys.USAGE) :].decode().rpartition("/")
        usages[unit, provisioner] = pair
    settled = 0
    for pair in (await range_all(store, keys.CAPACITY)).items:
        unit = pair.key[len(keys.CAPACITY) :].decode()
        record, revision = decode_capacity(pair.value), pair.mod_revision
        holders = set(record.grants) | {who for at, who in usages if at == unit}
        holders = {who for who in holders if not keys.cluster_of(who)}  # those: see burial
        for dead in sorted(holders - living):
            usage = usages.get((unit, dead))
            count = int(usage.value) if usage else 0
            txn = transactions.settle_dead(
                dead, unit, record, revision, count, usage.mod_revision if usage else 0
            )
            faultpoints.passing("ledger.funeral.before")
            result = await store.commit(txn)
            faultpoints.passing("ledger.funeral.after")
            if not result.succeeded:
                break  # somebody alive was quicker, or it is not dead
            settled += 1
            record, revision = record.settle(dead, usage=count, keep=0), result.revision
            log.info("settled %s at %s: %d clients stay, its grant is free", dead, unit, count)
    return settled


class Reclaimer:
    """Settles the dead soon after `notice`, and every SWEEP_S. `jitter` gives seconds to
    wait, so that of many provisioners one does the work."""

    def __init__(self, store: Store, *, jitter: Callable[[], float]) -> None:
        self._store = store
        self._jitter = jitter
        self._noticed = asyncio.Event()
        self.settled = 0

    def notice(self) -> None:
        """A session has gone."""
        self._noticed.set()

    async def run(self) -> None:
        """Works for ever."""
        while True:
            try:
                self.settled += await self._look()
            except ServiceError as error:
                log.info("cannot settle the dead now: %s", error)
            try:
                async with asyncio.timeout(SWEEP_S):
                    await self._noticed.wait()
            except TimeoutError:
                continue
            self._noticed.clear()
            await asyncio.sleep(self._jitter())

    async def _look(self) -> int:
        return await reclaim_expired_sessions(self._store)
