"""ShardRoute: which clients one assignment cluster answers for, as far as this server knows.

`ShardMapCache` holds the newest shard map seen, for all clusters. A `ShardRoute` is one cluster's
part of it, with the epoch that the cluster's transactions compare: the epoch says which map
is the oldest that may be used there, and is accepted only together with a map that new.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.store.port import Compare, KeyValue, Store, TxnResult, unchanged
from control_plane.store.replica import Replica
from provisioner.ledger.operations import Lookup, Operation
from provisioner.shards.shard_map import ShardMap, decode_map, shard_of


class ShardMapCache:
    """The newest map. `on_change` is called after each change of it; `replica` is followed by
    a task of the owner's."""

    def __init__(self, control: Store, shard_map: ShardMap) -> None:
        self._control = control
        self.on_change: Callable[[], None] = lambda: None
        self.replica = Replica(control, keys.SHARD_MAP, decode_map, self._map_changed)
        self._routes: dict[str, ShardRoute] = {}
        self._use(shard_map)

    def accept(self, shard_map: ShardMap) -> None:
        """Takes over a map unless a newer one was seen."""
        if shard_map.version > self.map.version:
            self._use(shard_map)
            self.on_change()

    async def refresh(self) -> None:
        """Accepts the map as it is now. Raises Unavailable."""
        pair = await self._control.get(keys.SHARD_MAP)
        if pair is None:
            raise Unavailable("the shard map is gone from the store")
        self.accept(decode_map(pair))

    def reading_cluster(self, assignment_key: bytes) -> str:
        """The cluster where this client is read."""
        return self._readers[shard_of(assignment_key)]

    def writing_cluster(self, assignment_key: bytes) -> str:
        """The cluster where this client is written; empty: nowhere for a moment."""
        return self._writers[shard_of(assignment_key)]

    def route(self, cluster: str) -> ShardRoute:
        """The cluster's route; one for all who ask."""
        found = self._routes.get(cluster)
        if found is None:
            found = self._routes[cluster] = ShardRoute(cluster, self)
        return found

    def _use(self, shard_map: ShardMap) -> None:
        self.map = shard_map
        self._readers, self._writers = shard_map.readers(), shard_map.writers()

    def _map_changed(self, name: str, shard_map: ShardMap | None) -> None:
        if shard_map is not None:
            self.accept(shard_map)


class ShardRoute:
    """One cluster's; made by ShardMapCache.route."""

    def __init__(self, cluster: str, shard_map_cache: ShardMapCache) -> None:
        self.cluster = cluster
        self._shard_map_cache = shard_map_cache
        self.epoch = unchanged(keys.SHARD_EPOCH, 0)  # what every transaction compares

    async def accept_epoch(self, epoch: KeyValue | None) -> None:
        """The epoch was read as this. Raises Unavailable where no map goes with it."""
        if epoch is None:
            return
        oldest, cache = int(epoch.value), self._shard_map_cache
        if oldest > cache.map.version:
            await cache.refresh()
            if oldest > cache.map.version:
                raise Unavailable("the shard map is older than a cluster's epoch; try again")
        self.epoch = Compare(keys.SHARD_EPOCH, self.epoch.target, epoch.mod_revision)

    def reads(self, assignment_key: bytes) -> bool:
        """Whether this client is read here."""
        return self._shard_map_cache.reading_cluster(assignment_key) == self.cluster

    def writes(self, assignment_key: bytes) -> bool:
        """Whether this client is written here."""
        return self._shard_map_cache.writing_cluster(assignment_key) == self.cluster


class ClusterWriteRoute:
    """The WriteRoute of a cluster's commit queues. forward: takes what belongs elsewhere, or
    nowhere for a moment."""

    def __init__(self, route: ShardRoute, forward: Callable[[Operation], None]) -> None:
        self.writes = route.writes
        self.forward = forward


class ClusterLookupRules:
    """The LookupRules of a cluster's reader: it reads only where the map says, and compares
    the epoch in the reading transaction. forward: takes lookups that belong elsewhere."""

    def __init__(self, route: ShardRoute, forward: Callable[[Lookup], None]) -> None:
        self._route = route
        self.reads = route.reads
        self.forward = forward

    def compares(self) -> Sequence[Compare]:
        return (self._route.epoch,)

    async def refused(self, result: TxnResult) -> None:
        found = result.results[0]
        await self._route.accept_epoch(found[0] if found else None)
