"""Watching: all that follows moves on one server, built and run as one thing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Self

from control_plane.fleet.registry import UnitRegistry
from control_plane.store.port import Store
from control_plane.supervision import Supervisor
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
    """`tasks` are the owner's; `close` ends every watch, so that a server can stop."""

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
        supervisor: Supervisor,
        clusters: Mapping[str, Store] | None = None,
        shard_map_cache: ShardMapCache | None = None,
    ) -> Self:
        """limit: watchers of assignments at once. clusters and shard_map_cache: where assignments
        are spread over several. supervisor: of what it runs. clock: monotonic seconds; jitter: 0
        to 1, new at each call."""
        reader = FleetReader(store, registry)
        fleet = FleetWatches(
            store,
            read=reader.read,
            fingerprint=reader.fingerprint,
            limit=FLEET_WATCHERS,
            jitter=jitter,
            supervisor=supervisor,
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

    def tasks(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What works for ever, by name."""
        own = {"move feed": self.feed.run} if self.feed is not None else {}
        return {**own, **self.clients.tasks(), "fleet watches": self.fleet.run}

    def close(self) -> None:
        """Ends every watch; watchers come back to another server."""
        self.clients.close()
        self.fleet.close()
