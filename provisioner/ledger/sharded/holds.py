"""ShardedHoldConfirmer: confirms admissions where assignments are in several clusters.

A hold is deleted only in the cluster that the client's shard is written in, under the epoch
that says so, or the copy of it elsewhere would stand for ever and cost the client its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.store.port import Delete, Get, Store, Txn, unchanged
from provisioner.ledger.holds import CONFIRM_S, DELETES, held_at
from provisioner.ledger.sharded.shard_routes import ShardMapCache
from provisioner.shards.client_keys import client_of

RETRY_S = 0.05


class ShardedHoldConfirmer:
    """A HoldConfirmer. clusters: stores by name; clock: monotonic seconds."""

    def __init__(
        self,
        clusters: Mapping[str, Store],
        shard_map_cache: ShardMapCache,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._clusters = clusters
        self._shard_map_cache = shard_map_cache
        self._clock = clock
        self.confirmed = 0
        self.transactions = 0

    async def confirm(self, holds: Sequence[bytes], unit: str) -> None:
        end, left = self._clock() + CONFIRM_S, list(dict.fromkeys(holds))
        while left:
            left = await self._delete(left, unit)
            if not left:
                return
            if self._clock() > end:
                raise Unavailable("admissions cannot be written now; send them again")
            await asyncio.sleep(RETRY_S)

    async def run(self) -> None:
        """Nothing to do: the confirmations of one call are a group of their own."""

    async def _delete(self, holds: Sequence[bytes], unit: str) -> list[bytes]:
        """Deletes what can be deleted now; what is left."""
        left: list[bytes] = []
        by_cluster: dict[str, list[bytes]] = {}
        for key in holds:
            cluster = self._shard_map_cache.writing_cluster(client_of(key) or key)
            by_cluster.setdefault(cluster, []).append(key)
        for cluster, mine in by_cluster.items():
            store = self._clusters.get(cluster)
            if store is None:
                left += mine
                continue
            for start in range(0, len(mine), DELETES):
                part = mine[start : start + DELETES]
                left += await self._delete_in(cluster, store, part, unit)
        return left

    async def _delete_in(
        self, cluster: str, store: Store, holds: Sequence[bytes], unit: str
    ) -> list[bytes]:
        """Deletes holds in the cluster their clients are written in; what is left."""
        # The map may have changed while others were deleted.
        route = self._shard_map_cache.route(cluster)
        ours = [key for key in holds if route.writes(client_of(key) or key)]
        left = [key for key in holds if key not in ours]
        if not ours:
            return left
        read = await store.commit(Txn(then=[Get(key) for key in ours]))
        own = held_at(read.results, {key: {unit} for key in ours})
        self.transactions += 1
        result = await store.commit(
            Txn(
                compares=[route.epoch, *(unchanged(pair.key, pair.mod_revision) for pair in own)],
                then=[Delete(pair.key) for pair in own],
                otherwise=[Get(keys.SHARD_EPOCH)],
            )
        )
        if result.succeeded:
            self.confirmed += len(ours)
            return left
        found = result.results[0]
        await route.accept_epoch(found[0] if found else None)
        return left + ours
