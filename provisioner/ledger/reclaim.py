"""Reclaimer: what a provisioner whose session expired held becomes free again.

Anyone alive may reclaim it, in one transaction per unit that compares the session's absence;
if several try, one wins and the others find nothing left. Tried when a session goes, at
start, and now and then in case that was missed. The clients are not touched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from control_plane import faultpoints, keys, quota_keys
from control_plane.errors import ServiceError
from control_plane.fleet.capacity import decode_capacity
from control_plane.store.damaged import UNREADABLE, DamagedKeys
from control_plane.store.port import Compacted, KeyValue, Store, range_all
from provisioner.ledger import transactions

log = logging.getLogger(__name__)

SWEEP_S = 15.0


async def reclaim_expired_sessions(store: Store, damaged: DamagedKeys) -> int:
    """Looks at every unit once; returns how many grants of expired sessions it reclaimed.
    damaged: told of what cannot be read.

    Everything is read at one revision: what others reclaim between two reads would look like
    usage without a grant. Raises StoreUnavailable, and Compacted where that revision is gone
    before all is read. A grant that changes meanwhile is left to the next time, and so is a unit
    whose records are damaged or cannot be true together: it keeps nobody else's grants.
    """
    sessions = await range_all(store, keys.SESSIONS, keys_only=True)
    living = {name for _, name in damaged.names((one.key for one in sessions.items), keys.SESSIONS)}
    usages: dict[str, dict[str, KeyValue]] = {}
    for pair in (await range_all(store, keys.USAGE, at_revision=sessions.revision)).items:
        for _, name in damaged.names([pair.key], keys.USAGE):
            unit, _, provisioner = name.rpartition("/")
            usages.setdefault(unit, {})[provisioner] = pair
    reclaimed = 0
    for pair in (await range_all(store, keys.CAPACITY, at_revision=sessions.revision)).items:
        for _, unit in damaged.names([pair.key], keys.CAPACITY):
            try:
                reclaimed += await _reclaim_unit(store, unit, pair, usages.get(unit, {}), living)
            except UNREADABLE as error:
                damaged.pass_over(pair.key, f"it does not fit, or usage of its unit: {error}")
    damaged.end_look()
    return reclaimed


async def _reclaim_unit(
    store: Store,
    unit: str,
    capacity: KeyValue,
    usages: Mapping[str, KeyValue],
    living: Collection[str],
) -> int:
    """One unit; usages: by provisioner. Raises what the records raise that cannot be."""
    record, revision = decode_capacity(capacity.value), capacity.mod_revision
    # Those of a cluster have their sessions there; see ledger.sharded.reclaim.
    holders = {who for who in {*record.grants, *usages} if not keys.cluster_of(who)}
    reclaimed = 0
    for expired in sorted(who for who in holders if quota_keys.session_of(who) not in living):
        usage = usages.get(expired)
        count = int(usage.value) if usage else 0
        txn = transactions.reclaim_expired(
            expired, unit, record, revision, count, usage.mod_revision if usage else 0
        )
        faultpoints.passing("ledger.reclaim.before")
        result = await store.commit(txn)
        faultpoints.passing("ledger.reclaim.after")
        if not result.succeeded:
            break  # somebody was quicker, or its session stands
        reclaimed += 1
        record, revision = record.settle(expired, usage=count, keep=0), result.revision
        log.info(
            "reclaimed the grant of %s at %s: %d clients stay, the rest is free",
            expired, unit, count,
        )  # fmt: skip
    return reclaimed


class Reclaimer:
    """Reclaims soon after `wake`, and every SWEEP_S. reclaim(damaged): does it once, tells
    `damaged` of what cannot be read, and returns how many grants it reclaimed. jitter: seconds to
    wait, so that of many provisioners one does the work."""

    def __init__(
        self, reclaim: Callable[[DamagedKeys], Awaitable[int]], *, jitter: Callable[[], float]
    ) -> None:
        self._reclaim = reclaim
        self._jitter = jitter
        self._woken = asyncio.Event()
        self.reclaimed = 0
        self.damaged = DamagedKeys(log)

    def wake(self) -> None:
        """A session has gone."""
        self._woken.set()

    async def run(self) -> None:
        """Works for ever."""
        while True:
            try:
                self.reclaimed += await self._reclaim(self.damaged)
            except (ServiceError, Compacted) as error:
                log.info("cannot reclaim expired sessions now: %s", error)
            try:
                async with asyncio.timeout(SWEEP_S):
                    await self._woken.wait()
            except TimeoutError:
                continue
            self._woken.clear()
            await asyncio.sleep(self._jitter())
