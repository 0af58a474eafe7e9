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
from control_plane.store.port import Store
from provisioner.ledger.client_keys import ShardedReader
from provisioner.ledger.departure_lease import DepartureLease
from provisioner.ledger.holds import HoldBook
from provisioner.ledger.ledger import LANES, Ledger
from provisioner.ledger.sharded.holds import ShardedHoldBook
from provisioner.ledger.sharded.ledger import ShardedLedger
from provisioner.settings import Settings
from provisioner.shards.clusters import (
    check_control,
    join,
    numbered,
    open_clusters,
    parse_clusters,
)
from provisioner.shards.shard_map import ShardMap
from provisioner.wiring.startup import store_access, when_there

log = logging.getLogger("homeport")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSet:
    """The assignment clusters, revisions told apart, and the map that was found at the start."""

    clusters: Mapping[str, Store]
    shard_map: ShardMap


async def open_cluster_set(
    settings: Settings, store: Store, stop: asyncio.Event, stack: AsyncExitStack
) -> ClusterSet | None:
    """Opens the assignment clusters and joins them; None: everything is in the store. They
    are closed with `stack`. Raises InvalidInput and Refused where they do not fit the store."""
    if not settings.assignment_stores:
        return None
    urls = parse_clusters(settings.assignment_stores)
    check_control(settings.store)
    access = store_access(settings)
    opened = await when_there(lambda: open_clusters(urls, access), "the assignment stores", stop)
    if opened is None:
        raise Unavailable("told to stop while the assignment stores were away")
    for one in opened.values():
        stack.push_async_callback(one.close)
    shard_map = await when_there(lambda: join(store, opened), "the assignment stores", stop)
    if shard_map is None:
        raise Unavailable("told to stop while the assignment stores were away")
    return ClusterSet(clusters=numbered(shard_map, opened), shard_map=shard_map)


def new_ledger(
    settings: Settings,
    store: Store,
    cluster_set: ClusterSet | None,
    rng: random.Random,
    *,
    kind: str = "p",
    lanes: int = LANES,
) -> Ledger | ShardedLedger:
    """The ledger over whichever it is. kind: what its sessions' names begin with."""

    def jitter() -> float:
        return rng.uniform(0.05, 0.5)

    if cluster_set is None:
        return Ledger(
            store,
            clock=time.monotonic,
            jitter=jitter,
            new_id=lambda: f"{kind}-{secrets.token_hex(6)}",
            session_ttl_s=settings.session_ttl_s,
            lanes=lanes,
        )
    # Before the dot: the server, the same in every cluster; see ShardMover.begin.
    server = f"{kind}-{secrets.token_hex(6)}"
    return ShardedLedger(
        store,
        cluster_set.clusters,
        cluster_set.shard_map,
        clock=time.monotonic,
        jitter=jitter,
        new_id=lambda: f"{server}.{secrets.token_hex(3)}",
        session_ttl_s=settings.session_ttl_s,
        lanes=lanes,
    )


def hold_book(store: Store, ledger: Ledger | ShardedLedger) -> HoldBook | ShardedHoldBook:
    """Confirms admissions where the holds are."""
    if isinstance(ledger, ShardedLedger):
        return ShardedHoldBook(ledger, clock=time.monotonic)
    return HoldBook(store)


class Departures:
    """Leases for departures, in the cluster where each client is."""

    def __init__(
        self,
        store: Store,
        cluster_set: ClusterSet | None,
        ledger: Ledger | ShardedLedger,
        *,
        longest_ticket_s: Callable[[], float],
    ) -> None:
        clusters = cluster_set.clusters if cluster_set is not None else {"": store}
        self._charts = ledger.charts if isinstance(ledger, ShardedLedger) else None
        self.leases = {
            name: DepartureLease(one, longest_ticket_s=longest_ticket_s, clock=time.monotonic)
            for name, one in clusters.items()
        }

    async def lease_for(self, assignment_key: bytes) -> int:
        """For a departure of this client. Raises Unavailable."""
        name = "" if self._charts is None else self._charts.reader(assignment_key)
        lease = self.leases.get(name)
        if lease is None:
            raise Unavailable("this server does not know the client's assignment cluster")
        return await lease.current()


def client_keys(
    store: Store, cluster_set: ClusterSet | None, ledger: Ledger | ShardedLedger
) -> Store | ShardedReader:
    """Reads clients' keys wherever they are."""
    if cluster_set is None or not isinstance(ledger, ShardedLedger):
        return store
    return ShardedReader(cluster_set.clusters, ledger.charts)
