"""ShardedWatches: watches of clients where assignments are in several clusters.

One set of watches and one feed for each cluster, because revisions mean something in one
cluster only. A stream whose client's shard went elsewhere is ended, and when it comes back is
served from there; it knows the epoch it saw, so it misses no move.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.store.port import Store
from provisioner.ledger.sharded.shard_routes import ShardMapCache
from provisioner.watching.clients import ClientWatches
from provisioner.watching.departures import DepartureFeed
from provisioner.watching.feed import MoveFeed
from provisioner.watching.watch import Watch

CHECK_S = 0.5


class ShardedWatches:
    """In place of ClientWatches, with the feeds inside. clusters: stores by name; the rest as
    in ClientWatches."""

    def __init__(
        self,
        clusters: Mapping[str, Store],
        shard_maps: ShardMapCache,
        departures: DepartureFeed,
        *,
        limit: int,
        clock: Callable[[], float],
        jitter: Callable[[], float],
    ) -> None:
        self._shard_maps = shard_maps
        self._jitter = jitter
        self._watches: dict[str, ClientWatches] = {}
        self._feeds: list[MoveFeed] = []
        for name, store in clusters.items():
            following = asyncio.Event()
            watches = ClientWatches(
                store, following=following, limit=limit, clock=clock, jitter=jitter
            )
            self._watches[name] = watches
            self._feeds.append(MoveFeed(store, watches, departures, following=following))

    def __len__(self) -> int:
        """Streams now."""
        return sum(len(watches) for watches in self._watches.values())

    @property
    def sent(self) -> int:
        """Messages so far."""
        return sum(watches.sent for watches in self._watches.values())

    def watch(self, tenant: str, client_id: str, *, known_epoch: int, revision: int) -> Watch:
        """A stream to enter; see ClientWatches. Raises InvalidInput, Unavailable."""
        cluster = self._shard_maps.reading_cluster(keys.assignment(tenant, client_id))
        watches = self._watches.get(cluster)
        if watches is None:
            raise Unavailable("this server does not know the client's assignment cluster")
        return watches.watch(tenant, client_id, known_epoch=known_epoch, revision=revision)

    def close(self) -> None:
        """Ends every stream."""
        for watches in self._watches.values():
            watches.close()

    def tasks(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What works for ever, by name."""
        tasks: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "watches of moved shards": self._follow_map
        }
        for (cluster, watches), feed in zip(self._watches.items(), self._feeds, strict=True):
            tasks |= {f"{name} of cluster {cluster}": t for name, t in watches.tasks().items()}
            tasks[f"move feed of cluster {cluster}"] = feed.run
        return tasks

    async def _follow_map(self) -> None:
        version = self._shard_maps.map.version
        while True:
            await asyncio.sleep(CHECK_S)
            if self._shard_maps.map.version == version:
                continue
            version = self._shard_maps.map.version
            for name, watches in self._watches.items():
                watches.end_matching(partial(self._is_elsewhere, name), self._moved)

    def _is_elsewhere(self, cluster: str, client: str) -> bool:
        """Whether the client (tenant/client) is read from another cluster now."""
        return self._shard_maps.reading_cluster(keys.ASSIGNMENTS + client.encode()) != cluster

    def _moved(self) -> Unavailable:
        return Unavailable(
            "the client's records moved to another cluster; watch again",
            retry_after_s=0.5 * self._jitter(),
        )
