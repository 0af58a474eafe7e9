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
from control_plane.identity.orders import OrderDesk
from control_plane.identity.tickets import TicketIssuer
from control_plane.identity.tokens import Tokens
from control_plane.serving.peers import Proxies, parse_networks
from control_plane.serving.server import Server, Tls
from control_plane.store.opening import open_store
from control_plane.store.port import JointHealth, Store
from control_plane.telemetry.endpoint import MetricsEndpoint
from deployment_units.fleet.lifecycle import Patience
from deployment_units.fleet.registry import UnitRegistry
from deployment_units.fleet.transitions import Transitions
from provisioner.api.callers import Callers
from provisioner.api.desk import Desk
from provisioner.api.fleet_service import FleetService
from provisioner.api.metrics import ProvisionerMetrics
from provisioner.api.onward import Onward
from provisioner.api.provisioning_service import ProvisioningService
from provisioner.api.stale import StaleAnswers
from provisioner.api.tenant_service import TenantService
from provisioner.api.tickets import TicketOffice
from provisioner.api.unit_operations import UnitOperations
from provisioner.api.watching import Watching
from provisioner.api.world import World
from provisioner.geo.locator import Locator
from provisioner.geo.overrides import Overrides
from provisioner.geo.reloading import GeoReloader
from provisioner.ledger.elsewhere import AssignmentClusters
from provisioner.ledger.hold_expiry import HoldExpiry
from provisioner.ledger.holds import HoldBook
from provisioner.ledger.ledger import Ledger
from provisioner.ledger.reading import ClientKeys
from provisioner.ledger.shard_holds import ShardHoldBook
from provisioner.ledger.sharded import ShardedLedger
from provisioner.moves.board import Board
from provisioner.moves.dialing import unit_dialer
from provisioner.moves.executor import Executor
from provisioner.moves.handoff import Handoff
from provisioner.moves.lookout import Lookout
from provisioner.moves.mover import Mover
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.settings import Settings
from provisioner.spreading import (
    Departures,
    Spread,
    client_keys,
    hold_book,
    new_ledger,
    spread_over,
    store_access,
    when_there,
)

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
            holds = hold_book(store, ledger)
            assignments = spread.clusters if spread else {"": store}
            health = JointHealth(store.health, *(one.health for one in assignments.values()))
            clients = client_keys(store, spread, ledger)
            departures = Departures(store, spread, ledger, longest_ticket_s=world.longest_ticket_s)
            expiries = [
                HoldExpiry(
                    one,
                    hold_s=world.hold_s,
                    shortest_hold_s=world.shortest_hold_s,
                    account=ledger.account,
                    release=ledger.release,
                    lease=departures.leases[name].current,
                    clock=time.monotonic,
                    wall=time.time,
                    spread=rng.random,
                )
                for name, one in assignments.items()
            ]
            stale = StaleAnswers(
                desk, tickets, health, grace_s=settings.stale_grace_s, wall=time.time
            )
            registry = UnitRegistry(
                store,
                clock=time.monotonic,
                wall=time.time,
                elsewhere=AssignmentClusters(store, spread.clusters) if spread else None,
            )
            moving = await _moving(
                settings, store, spread, clients, world, registry, policy, departures, issuer, rng
            )
            desk.onward = Onward(world, moving.mover, policy, clock=time.monotonic)
            desk.follow(world.fleet)

            def follow(fleet: PlacementFleet) -> None:
                desk.follow(fleet)
                moving.mover.follow(fleet)

            world.on_fleet = follow
            operations = UnitOperations(
                store,
                clients,
                registry=registry,
                transitions=moving.transitions,
                board=moving.board,
                world=world,
                desk=desk,
                wall=time.time,
            )
            watching = Watching.of(
                store,
                registry,
                limit=settings.max_watchers,
                clock=time.monotonic,
                spread=rng.random,
                clusters=spread.clusters if spread else None,
                charts=ledger.charts if isinstance(ledger, ShardedLedger) else None,
            )
            server = Server(
                [
                    ProvisioningService(desk, tickets, callers, stale, watching.clients).service(),
                    FleetService(
                        store,
                        registry,
                        issuer,
                        callers,
                        holds,
                        operations,
                        watching.board,
                        watching.fleet,
                        endpoint_of=world.endpoint_of,
                        wall=time.time,
                    ).service(),
                    TenantService(store, world, issuer, callers).service(),
                ],
                transport=settings.transport,
                tls=_tls(settings),
                share_port=share_port,
            )
            metrics = ProvisionerMetrics(desk, health, stale, moving.mover, watching)
            await _run(
                settings, stop, on_ready, server, ledger, world, geo, metrics, holds, expiries,
                moving, watching,
            )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """Everything that moves clients, and notices when they have to."""

    transitions: Transitions
    mover: Mover
    board: Board
    executor: Executor
    lookout: Lookout


async def _moving(
    settings: Settings,
    store: Store,
    spread: Spread | None,
    clients: ClientKeys,
    world: World,
    registry: UnitRegistry,
    policy: PlacementPolicy,
    departures: Departures,
    issuer: TicketIssuer,
    rng: random.Random,
) -> Moving:
    def endpoint(unit_id: str) -> str:
        unit = world.seen(unit_id)
        return unit.endpoint if unit is not None else ""

    patience = Patience(lost_after_s=settings.lost_after_s, back_after_s=settings.back_after_s)
    transitions = Transitions(
        store, registry, wall=time.time, patience=patience, rate_per_s=settings.move_rate_per_s
    )
    mover = Mover(
        clients,
        new_ledger=lambda: new_ledger(settings, store, spread, rng, kind="m", lanes=1),
        policy=policy,
        fleet=world.fleet,
        endpoint=endpoint,
        lease=departures.lease_for,
        handoff=Handoff(OrderDesk(issuer), connect=unit_dialer(settings), wall=time.time),
        clock=time.monotonic,
        wall=time.time,
    )
    board = Board(store, wall=time.time)
    await board.start()
    executor = Executor(
        store,
        clients,
        board=board,
        mover=mover,
        world=world,
        registry=registry,
        transitions=transitions,
        clock=time.monotonic,
        wall=time.time,
        spread=rng.random,
    )
    lookout = Lookout(
        world, transitions, store.health, clock=time.monotonic, wall=time.time, spread=rng.random
    )
    return Moving(
        transitions=transitions, mover=mover, board=board, executor=executor, lookout=lookout
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
    moving: Moving,
    watching: Watching,
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
                group.create_task(moving.mover.run(), name="mover"),
                group.create_task(moving.board.run(), name="board of jobs"),
                group.create_task(moving.executor.run(), name="executor of jobs"),
                group.create_task(moving.lookout.run(), name="lookout"),
                group.create_task(watching.run(), name="watching"),
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
            watching.close()
            await server.stop(settings.drain_s)
            await ledger.settle_all(timeout_s=SETTLE_S)
            await moving.mover.settle_all(timeout_s=SETTLE_S)
            for task in tasks:
                task.cancel()
    await ledger.close()
    await moving.mover.close()


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
