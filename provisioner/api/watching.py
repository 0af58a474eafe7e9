"""Watching: all that follows moves on one server, built and run as one thing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from control_plane.fleet.registry import UnitRegistry
from control_plane.store.port import Store
from homeport.api.fleet.v1 import fleet_pb2 as pb
from provisioner.api.fleet_reader import FleetReader
from provisioner.ledger.sharded.client_keys import ShardedReader
from provisioner.ledger.sharded.shard_routes import ShardMapCache
from provisioner.watching.clients import ClientWatches
from provisioner.watching.departures import DepartureFeed
from provisioner.watching.feed import MoveFeed
from provisioner.watching.fleet import FleetWatches
from provisioner.watching.sharded import ShardedWatches

FLEET_WATCHERS = 1_000  # operators and their tools, not clients


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """`run` is a task of the owner's; `close` ends every watch, so that a server can stop."""

    feed: MoveFeed | None  # None: the watches of clients have their own
    clients: ClientWatches | ShardedWatches
    departures: DepartureFeed
    fleet: FleetWatches[pb.Unit]

    @classmethod
    def of(
        cls,
        store: Store,
        registry: UnitRegistry,
        *,
        limit: int,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        clusters: Mapping[str, Store] | None = None,
        shard_map_cache: ShardMapCache | None = None,
    ) -> Self:
        """limit: watchers of assignments at once. clusters and shard_map_cache: where assignments
        are spread over several. clock: monotonic seconds; jitter: 0 to 1, new at each call."""
        reader = FleetReader(store, registry)
        fleet = FleetWatches(
            store,
            read=reader.read,
            fingerprint=reader.fingerprint,
            limit=FLEET_WATCHERS,
            jitter=jitter,
        )
        if clusters is not None and shard_map_cache is not None:
            departures = DepartureFeed(ShardedReader(clusters, shard_map_cache))
            watches = ShardedWatches(
                clusters, shard_map_cache, departures, limit=limit, clock=clock, jitter=jitter
            )
            return cls(feed=None, clients=watches, departures=departures, fleet=fleet)
        following = asyncio.Event()
        clients = ClientWatches(store, following=following, limit=limit, clock=clock, jitter=jitter)
        departures = DepartureFeed(store)
        return cls(
            feed=MoveFeed(store, clients, departures, following=following),
            clients=clients,
            departures=departures,
            fleet=fleet,
        )

    async def run(self) -> None:
        """Works for ever."""
        async with asyncio.TaskGroup() as group:
            if self.feed is not None:
                group.create_task(self.feed.run(), name="move feed")
            group.create_task(self.clients.run(), name="client watches")
            group.create_task(self.fleet.run(), name="fleet watches")

    def close(self) -> None:
        """Ends every watch; watchers come back to another server."""
        self.clients.close()
        self.fleet.close()
