"""Whether assignments are in the store or spread over clusters, and what is built for either.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from control_plane.errors import Unavailable
from control_plane.store.measured import MeasuredStore, StoreStatistics
from control_plane.store.port import Store
from control_plane.supervision import Supervisor
from provisioner.ledger.client_keys import ClientKeys
from provisioner.ledger.client_use import check_no_bounds
from provisioner.ledger.departure_lease import DepartureLease
from provisioner.ledger.fences import Fences
from provisioner.ledger.holds import HoldConfirmer, StoreHoldConfirmer
from provisioner.ledger.port import Ledger
from provisioner.ledger.sharded.client_keys import ShardedReader
from provisioner.ledger.sharded.holds import ShardedHoldConfirmer
from provisioner.ledger.sharded.ledger import ShardedLedger
from provisioner.ledger.sharded.shard_routes import ShardMapCache
from provisioner.ledger.single_store import single_store_ledger
from provisioner.ledger.store_ledger import COMMIT_QUEUES
from provisioner.provisioning.key_binding import FindStore, RecordStore
from provisioner.settings import Settings
from provisioner.shards.clusters import (
    check_control,
    cluster_tagged,
    join,
    open_clusters,
    parse_clusters,
)
from provisioner.wiring.startup import when_there

log = logging.getLogger("homeport")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSet:
    """The assignment clusters, revisions told apart. shard_map_cache: the map that was found
    at the start, kept up to date by the ledger of provisioning."""

    clusters: Mapping[str, Store]
    shard_map_cache: ShardMapCache


async def open_cluster_set(
    settings: Settings,
    store: Store,
    statistics: StoreStatistics,
    stop: asyncio.Event,
    stack: AsyncExitStack,
) -> ClusterSet | None:
    """Opens the assignment clusters and joins them; None: everything is in the store. They
    are closed with `stack`. Raises InvalidInput and Refused where they do not fit the store."""
    if not settings.assignment_stores:
        return None
    urls = parse_clusters(settings.assignment_stores)
    check_control(settings.store)
    access = settings.store_access()
    opened = await when_there(lambda: open_clusters(urls, access), "the assignment stores", stop)
    if opened is None:
        raise Unavailable("told to stop while the assignment stores were away")
    for one in opened.values():
        stack.push_async_callback(one.close)
    measured = {name: MeasuredStore(one, statistics, name) for name, one in opened.items()}
    await when_there(lambda: check_no_bounds(store), "the store", stop)
    shard_map = await when_there(lambda: join(store, measured), "the assignment stores", stop)
    if shard_map is None:
        raise Unavailable("told to stop while the assignment stores were away")
    return ClusterSet(
        clusters=cluster_tagged(shard_map, measured),
        shard_map_cache=ShardMapCache(store, shard_map),
    )


def provisioning_ledger(
    settings: Settings,
    store: Store,
    cluster_set: ClusterSet | None,
    rng: random.Random,
    supervisor: Supervisor,
    new_fences: Callable[[], Fences],
    counted: Mapping[bytes, str],
) -> Ledger:
    """The ledger of provisioning, over whichever it is. new_fences: those of each store with
    assignments. counted: quotas of clients, as QueueQuotas; several clusters have none."""
    cache = cluster_set.shard_map_cache if cluster_set is not None else None
    return _ledger(
        settings,
        store,
        cluster_set,
        cache,
        rng,
        supervisor,
        kind="p",
        queues=COMMIT_QUEUES,
        new_fences=new_fences,
        counted=counted,
    )


def moves_ledger(
    settings: Settings,
    store: Store,
    cluster_set: ClusterSet | None,
    rng: random.Random,
    supervisor: Supervisor,
    new_fences: Callable[[], Fences],
) -> Ledger:
    """A ledger of moves, with one commit queue, for a move writes the usage of two units.
    new_fences: as `provisioning_ledger`."""
    cache = None
    if cluster_set is not None:
        cache = ShardMapCache(store, cluster_set.shard_map_cache.map)
    return _ledger(
        settings,
        store,
        cluster_set,
        cache,
        rng,
        supervisor,
        kind="m",
        queues=1,
        new_fences=new_fences,
    )


def _ledger(
    settings: Settings,
    store: Store,
    cluster_set: ClusterSet | None,
    shard_map_cache: ShardMapCache | None,
    rng: random.Random,
    supervisor: Supervisor,
    *,
    kind: str,
    queues: int,
    new_fences: Callable[[], Fences],
    counted: Mapping[bytes, str] | None = None,
) -> Ledger:
    """kind: what its sessions' names begin with."""

    def jitter() -> float:
        return rng.uniform(0.05, 0.5)

    if cluster_set is None or shard_map_cache is None:
        return single_store_ledger(
            store,
            clock=time.monotonic,
            jitter=jitter,
            new_id=lambda: f"{kind}-{secrets.token_hex(6)}",
            supervisor=supervisor,
            session_ttl_s=settings.session_ttl_s,
            queues=queues,
            fences=new_fences(),
            counted=counted,
        )
    # Before the dot: the server, the same in every cluster; see ShardMover.begin.
    server = f"{kind}-{secrets.token_hex(6)}"
    return ShardedLedger(
        store,
        cluster_set.clusters,
        shard_map_cache,
        clock=time.monotonic,
        jitter=jitter,
        new_id=lambda: f"{server}.{secrets.token_hex(3)}",
        supervisor=supervisor,
        session_ttl_s=settings.session_ttl_s,
        queues=queues,
        new_fences=new_fences,
    )


def hold_confirmer(store: Store, cluster_set: ClusterSet | None) -> HoldConfirmer:
    """Confirms admissions where the holds are."""
    if cluster_set is None:
        return StoreHoldConfirmer(store)
    return ShardedHoldConfirmer(
        cluster_set.clusters, cluster_set.shard_map_cache, clock=time.monotonic
    )


class Departures:
    """Leases for departures, in the cluster where each client is."""

    def __init__(
        self,
        store: Store,
        cluster_set: ClusterSet | None,
        *,
        longest_ticket_s: Callable[[], float],
    ) -> None:
        clusters = cluster_set.clusters if cluster_set is not None else {"": store}
        self._shard_map_cache = cluster_set.shard_map_cache if cluster_set is not None else None
        self.leases = {
            name: DepartureLease(one, longest_ticket_s=longest_ticket_s, clock=time.monotonic)
            for name, one in clusters.items()
        }

    async def lease_for(self, assignment_key: bytes) -> int:
        """For a departure of this client. Raises Unavailable."""
        cache = self._shard_map_cache
        name = "" if cache is None else cache.reading_cluster(assignment_key)
        lease = self.leases.get(name)
        if lease is None:
            raise Unavailable("this server does not know the client's assignment cluster")
        return await lease.current()


def client_keys(store: Store, cluster_set: ClusterSet | None) -> ClientKeys:
    """Reads clients' keys wherever they are."""
    if cluster_set is None:
        return store
    return ShardedReader(cluster_set.clusters, cluster_set.shard_map_cache)


def record_store_finder(store: Store, cluster_set: ClusterSet | None) -> FindStore:
    """Where a client's record is written."""
    if cluster_set is None:
        return lambda key: RecordStore(store)
    clusters, shard_maps = cluster_set.clusters, cluster_set.shard_map_cache

    def find(key: bytes) -> RecordStore | None:
        cluster = shard_maps.writing_cluster(key)
        route, found = shard_maps.route(cluster), clusters.get(cluster)
        if found is None or not route.writes(key):
            return None
        return RecordStore(found, (route.epoch,))

    return find
