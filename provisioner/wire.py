"""Builds one provisioning server's object graph by hand, top to bottom, and runs it.

The only module that knows every part. Reading it shows what talks to what.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from control_plane.identity.keyring import load_or_create
from control_plane.identity.tickets import TicketIssuer
from control_plane.identity.tokens import Tokens
from control_plane.serving.peers import Proxies, parse_networks
from control_plane.serving.server import Server, Tls
from control_plane.store.opening import open_store
from control_plane.store.port import JointHealth, Store
from control_plane.telemetry.endpoint import MetricsEndpoint
from deployment_units.fleet.registry import UnitRegistry
from provisioner.api.callers import Callers
from provisioner.api.desk import Desk
from provisioner.api.fleet_service import FleetService
from provisioner.api.metrics import ProvisionerMetrics
from provisioner.api.provisioning_service import ProvisioningService
from provisioner.api.stale import StaleAnswers
from provisioner.api.tenant_service import TenantService
from provisioner.api.tickets import TicketOffice
from provisioner.api.world import World
from provisioner.geo.locator import Locator
from provisioner.geo.overrides import Overrides
from provisioner.geo.reloading import GeoReloader
from provisioner.ledger.departure_lease import DepartureLease
from provisioner.ledger.elsewhere import AssignmentClusters
from provisioner.ledger.hold_expiry import HoldExpiry
from provisioner.ledger.holds import HoldBook
from provisioner.ledger.ledger import Ledger
from provisioner.ledger.shard_holds import ShardHoldBook
from provisioner.ledger.sharded import ShardedLedger
from provisioner.placement.filters import PlacementPolicy
from provisioner.settings import Settings
from provisioner.spreading import hold_book, new_ledger, spread_over, store_access, when_there

log = logging.getLogger("homeport")

SETTLE_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Where a running server can be reached."""

    grpc: str
    metrics: str
    transport: str


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event,
    on_ready: Callable[[Serving], None],
    share_port: bool = False,
) -> None:
    """Serves until `stop` is set, then drains. Raises HomeportError where it cannot start."""
    rng = random.Random(secrets.randbits(64))
    store = await _open_when_there(settings, stop)
    if store is None:
        return
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        ring = await load_or_create(
            store, path=settings.master_key_file, now=time.time(), random=secrets.token_bytes
        )
        issuer = TicketIssuer(ring)
        spread = await spread_over(settings, store, stop, stack)
        ledger = new_ledger(settings, store, spread, rng)
        await ledger.start()
        policy = PlacementPolicy(nowhere=settings.nowhere)
        world = World(store, clock=time.monotonic)
        await world.start()
        geo = GeoReloader.open(settings.geo)
        overrides = Overrides.read(settings.geo_overrides) if settings.geo_overrides else None
        locator = Locator(geo, overrides)
        callers = Callers(
            Proxies(parse_networks(settings.trusted_proxies)),
            Tokens.read(settings.tokens) if settings.tokens else None,
        )
        with ThreadPoolExecutor(2, thread_name_prefix="signer") as signers:
            tickets = TicketOffice(issuer, wall=time.time, signers=signers)
            desk = Desk(
                world=world,
                locator=locator,
                ledger=ledger,
                tickets=tickets,
                policy=policy,
                clock=time.monotonic,
                wall=time.time,
                spread=rng.random,
            )
            world.on_fleet = desk.follow
            holds = hold_book(store, ledger)
            assignments = spread.clusters if spread else {"": store}
            health = JointHealth(store.health, *(one.health for one in assignments.values()))
            expiries = []
            for one in assignments.values():
                departures = DepartureLease(
                    one, longest_ticket_s=world.longest_ticket_s, clock=time.monotonic
                )
                expiries.append(
                    HoldExpiry(
                        one,
                        hold_s=world.hold_s,
                        shortest_hold_s=world.shortest_hold_s,
                        account=ledger.account,
                        release=ledger.release,
                        lease=departures.current,
                        clock=time.monotonic,
                        wall=time.time,
                        spread=rng.random,
                    )
                )
            stale = StaleAnswers(
                desk, tickets, health, grace_s=settings.stale_grace_s, wall=time.time
            )
            registry = UnitRegistry(
                store,
                clock=time.monotonic,
                elsewhere=AssignmentClusters(store, spread.clusters) if spread else None,
            )
            server = Server(
                [
                    ProvisioningService(desk, tickets, callers, stale).service(),
                    FleetService(store, registry, issuer, callers, holds, wall=time.time).service(),
                    TenantService(store, world, issuer, callers).service(),
                ],
                transport=settings.transport,
                tls=_tls(settings),
                share_port=share_port,
            )
            metrics = ProvisionerMetrics(desk, health, stale)
            await _run(
                settings, stop, on_ready, server, ledger, world, geo, metrics, holds, expiries
            )


async def _run(
    settings: Settings,
    stop: asyncio.Event,
    on_ready: Callable[[Serving], None],
    server: Server,
    ledger: Ledger | ShardedLedger,
    world: World,
    geo: GeoReloader,
    metrics: ProvisionerMetrics,
    holds: HoldBook | ShardHoldBook,
    expiries: Sequence[HoldExpiry],
) -> None:
    host = settings.listen.rpartition(":")[0]
    port = server.bind(settings.listen)
    with MetricsEndpoint(settings.metrics_listen, metrics, ready=metrics.ready) as endpoint:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(ledger.run(), name="ledger"),
                group.create_task(world.run(), name="world"),
                group.create_task(geo.run(), name="geo"),
                group.create_task(holds.run(), name="holds"),
                *(group.create_task(one.run(), name="hold expiry") for one in expiries),
            ]
            await server.start()
            await server.ready()
            on_ready(
                Serving(
                    grpc=f"{host}:{port}",
                    metrics=endpoint.address,
                    transport=server.transport.value,
                )
            )
            await stop.wait()
            log.info("draining: refusing new calls, finishing those under way")
            await server.stop(settings.drain_s)
            await ledger.settle_all(timeout_s=SETTLE_S)
            for task in tasks:
                task.cancel()
    await ledger.close()


async def _open_when_there(settings: Settings, stop: asyncio.Event) -> Store | None:
    """The store, waiting for it for as long as it takes; None when told to stop first."""
    access = store_access(settings)
    return await when_there(
        lambda: open_store(settings.store, access=access), f"the store at {settings.store}", stop
    )


def _tls(settings: Settings) -> Tls | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Tls(
        key=settings.tls_key.read_bytes(),
        certificate=settings.tls_certificate.read_bytes(),
        client_ca=settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None,
    )


def write_ready_file(path: Path, serving: Serving) -> None:
    """Writes {"grpc", "metrics", "transport", "pid"} as JSON, whole or not at all."""
    content = {
        "grpc": serving.grpc,
        "metrics": serving.metrics,
        "transport": serving.transport,
        "pid": os.getpid(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(content) + "\n")
    scratch.replace(path)


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGTERM and SIGINT set `stop`."""
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
