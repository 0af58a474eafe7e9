"""ShardRoute: which clients one assignment cluster answers for, as far as this server knows.

`ShardMapCache` holds the newest shard map seen, for all clusters. A `ShardRoute` is one cluster's
part of it, with the epoch that the cluster's transactions compare: the epoch says which map
is the oldest that may be used there, and is adopted only together with a map that new.
"""

from __future__ import annotations

from collections.abc import Callable

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.store.port import Compare, KeyValue, Store, unchanged
from control_plane.store.replica import Replica
from provisioner.shards.shard_map import ShardMap, decode_map, shard_of


class ShardMapCache:
    """The newest map. `on_change` is called after each change of it; `replica` is followed by
    a task of the owner's."""

    def __init__(self, control: Store, shard_map: ShardMap) -> None:
        self._control = control
        self.on_change: Callable[[], None] = lambda: None
        self.replica = Replica(control, keys.SHARD_MAP, decode_map, self._heard)
        self._draw(shard_map)

    def see(self, shard_map: ShardMap) -> None:
        """Takes over a map unless a newer one was seen."""
        if shard_map.version > self.map.version:
            self._draw(shard_map)
            self.on_change()

    async def read(self) -> None:
        """Sees the map as it is now. Raises Unavailable."""
        pair = await self._control.get(keys.SHARD_MAP)
        if pair is None:
            raise Unavailable("the shard map is gone from the store")
        self.see(decode_map(pair))

    def reader(self, assignment_key: bytes) -> str:
        """The cluster where this client is read."""
        return self._readers[shard_of(assignment_key)]

    def writer(self, assignment_key: bytes) -> str:
        """The cluster where this client is written; empty: nowhere for a moment."""
        return self._writers[shard_of(assignment_key)]

    def _draw(self, shard_map: ShardMap) -> None:
        self.map = shard_map
        self._readers, self._writers = shard_map.readers(), shard_map.writers()

    def _heard(self, name: str, shard_map: ShardMap | None) -> None:
        if shard_map is not None:
            self.see(shard_map)


class ShardRoute:
    """One cluster's."""

    def __init__(self, cluster: str, charts: ShardMapCache) -> None:
        self.cluster = cluster
        self._charts = charts
        self.epoch = unchanged(keys.SHARD_EPOCH, 0)  # what every transaction compares

    async def adopt(self, epoch: KeyValue | None) -> None:
        """The epoch was read as this. Raises Unavailable where no map goes with it."""
        if epoch is None:
            return
        oldest = int(epoch.value)
        if oldest > self._charts.map.version:
            await self._charts.read()
            if oldest > self._charts.map.version:
                raise Unavailable("the shard map is older than a cluster's epoch; try again")
        self.epoch = Compare(keys.SHARD_EPOCH, self.epoch.target, epoch.mod_revision)

    def reads(self, assignment_key: bytes) -> bool:
        """Whether this client is read here."""
        return self._charts.reader(assignment_key) == self.cluster

    def writes(self, assignment_key: bytes) -> bool:
        """Whether this client is written here."""
        return self._charts.writer(assignment_key) == self.cluster
