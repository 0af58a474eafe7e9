"""ShardedReader: reads clients' keys where they are spread over several clusters.

What several clusters hold comes in key order, as from one store, and only where the shard map
says it is true: copies that a move of shards makes, or has left behind, do not show.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping

from control_plane.errors import Unavailable
from control_plane.store.port import KeyValue, Page, Store
from provisioner.ledger.sharded.shard_routes import ShardMapCache
from provisioner.shards.client_keys import client_of


class ShardedReader:
    """ClientKeys over several clusters; by name, their revisions told apart."""

    def __init__(self, clusters: Mapping[str, Store], shard_map_cache: ShardMapCache) -> None:
        self._clusters = clusters
        self._shard_map_cache = shard_map_cache

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        """One key of a client, as it stands now. Raises Unavailable."""
        store = self._clusters.get(self._shard_map_cache.reading_cluster(client_of(key) or key))
        if store is None:
            raise Unavailable("this server does not know the client's assignment cluster")
        return await store.get(key, timeout_s=timeout_s)

    async def range(
        self,
        prefix: bytes,
        *,
        start_after: bytes | None = None,
        limit: int = 0,
        at_revision: int = 0,
        keys_only: bool = False,
        timeout_s: float | None = None,
    ) -> Page:
        """As of now in each cluster; there is no revision of all of them. A page is empty
        only where there is nothing more. Raises ValueError for a revision."""
        if at_revision:
            raise ValueError("several clusters have no revision in common")
        after = start_after
        while True:
            pages = dict(
                zip(
                    self._clusters,
                    await asyncio.gather(
                        *(
                            store.range(
                                prefix,
                                start_after=after,
                                limit=limit,
                                keys_only=keys_only,
                                timeout_s=timeout_s,
                            )
                            for store in self._clusters.values()
                        )
                    ),
                    strict=True,
                )
            )
            # Past the last key of a page that was cut, that cluster may have more.
            bounds = [page.items[-1].key for page in pages.values() if page.more]
            bound = min(bounds) if bounds else None
            found = heapq.merge(
                *(
                    [
                        pair
                        for pair in page.items
                        if (bound is None or pair.key <= bound) and self._is_true(name, pair.key)
                    ]
                    for name, page in pages.items()
                ),
                key=lambda pair: pair.key,
            )
            items = list(found)
            cut = items[:limit] if limit else items
            more = bound is not None or len(cut) < len(items)
            if cut or not more:
                return Page(items=cut, revision=0, more=more)
            after = bound

    def _is_true(self, cluster: str, key: bytes) -> bool:
        client = client_of(key)
        return client is not None and self._shard_map_cache.reading_cluster(client) == cluster
