"""Builds one provisioning server's object graph by hand, top to bottom, and runs it.

The only module that knows every part. Reading it shows what talks to what.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

from control_plane.auth.tokens import Tokens
from control_plane.errors import Refused
from control_plane.fleet.lifecycle import LossPolicy
from control_plane.fleet.registry import UnitRegistry
from control_plane.fleet.transitions import Transitions
from control_plane.handoff.orders import OrderIssuer
from control_plane.identity.kept_ring import KeptRing
from control_plane.identity.tickets import TicketIssuer
from control_plane.process import serving_tls
from control_plane.serving.peers import Proxies, parse_networks
from control_plane.serving.server import Server
from control_plane.store.port import JointHealth, Store
from control_plane.store.snapshot_keeper import SnapshotKeeper
from control_plane.store.status import StoreStatus
from control_plane.telemetry.endpoint import MetricsEndpoint
from provisioner.api.callers import Callers
from provisioner.api.fleet_service import FleetService
from provisioner.api.metrics import ProvisionerMetrics
from provisioner.api.provisioning_service import ProvisioningService
from provisioner.api.tenant_service import TenantService
from provisioner.api.unit_operations import UnitOperations
from provisioner.api.watching import Watching
from provisioner.fleet_view import FleetView
from provisioner.geo.locator import Locator
from provisioner.geo.overrides import Overrides
from provisioner.geo.reloading import GeoReloader
from provisioner.ledger.client_keys import ClientKeys
from provisioner.ledger.hold_expiry import HoldExpiry
from provisioner.ledger.port import Ledger
from provisioner.ledger.sharded.cluster_counts import ClusterCounts
from provisioner.moves.dialing import unit_dialer
from provisioner.moves.executor import Executor
from provisioner.moves.failure_detector import FailureDetector
from provisioner.moves.handoff import Handoff
from provisioner.moves.job_store import JobStore
from provisioner.moves.mover import Mover
from provisioner.placement.filters import PlacementPolicy
from provisioner.provisioning.admission_control import AdmissionController
from provisioner.provisioning.answers import Answers
from provisioner.provisioning.assignments import Assignments
from provisioner.provisioning.move_on_contact import MoveOnContact
from provisioner.provisioning.placer import Placer
from provisioner.provisioning.provisioner import Provisioner
from provisioner.provisioning.ticket_fallback import TicketFallback
from provisioner.provisioning.ticket_signer import TicketSigner
from provisioner.settings import Settings
from provisioner.wiring.clusters import (
    ClusterSet,
    Departures,
    client_keys,
    hold_confirmer,
    moves_ledger,
    open_cluster_set,
    provisioning_ledger,
)
from provisioner.wiring.startup import begin, endpoints_of, open_when_there, usable_snapshot

log = logging.getLogger("homeport")

SETTLE_S = 3.0

Task: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


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
    """Serves until `stop` is set, then drains. Raises ServiceError where it cannot start, and
    Refused where the store came back as another one."""
    rng = random.Random(secrets.randbits(64))
    # Which cluster a client is in only the store can say: without it, several serve nobody.
    snapshot = None if settings.assignment_stores else usable_snapshot(settings)
    store = await open_when_there(settings, stop, required=snapshot is None)
    if store is None:
        return
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.close)
        ring = KeptRing(store, settings.master_key_file, wall=time.time, random=secrets.token_bytes)
        cluster_set = await open_cluster_set(settings, store, stop, stack)
        ledger = provisioning_ledger(settings, store, cluster_set, rng)
        fleet_view = FleetView(store, clock=time.monotonic)
        used = await begin(store, snapshot, ring, ledger, fleet_view)
        issuer = TicketIssuer(ring.ring)
        ring.on_change = issuer.use
        replicas = (*fleet_view.replicas, ledger.capacity, *ring.replicas)
        store_status = StoreStatus(
            store.health,
            wall=time.time,
            confirmed=lambda: all(replica.listed for replica in replicas),
            on_foreign=stop.set,
            as_of=used.confirmed_at if used else 0.0,
            cluster=used.cluster if used else "",
        )
        policy = PlacementPolicy(nowhere=settings.nowhere)
        geo = GeoReloader.open(settings.geo)
        overrides = Overrides.read(settings.geo_overrides) if settings.geo_overrides else None
        locator = Locator(geo, overrides)
        callers = Callers(
            Proxies(parse_networks(settings.trusted_proxies)),
            Tokens.read(settings.tokens) if settings.tokens else None,
        )
        with ThreadPoolExecutor(2, thread_name_prefix="signer") as signers:
            tickets = TicketSigner(issuer, wall=time.time, signers=signers)
            holds = hold_confirmer(store, cluster_set)
            assignments = cluster_set.clusters if cluster_set else {"": store}
            health = JointHealth(store.health, *(one.health for one in assignments.values()))
            clients = client_keys(store, cluster_set)
            departures = Departures(
                store, cluster_set, longest_ticket_s=fleet_view.longest_ticket_s
            )
            expiries = {
                name: HoldExpiry(
                    one,
                    hold_s=fleet_view.hold_s,
                    shortest_hold_s=fleet_view.shortest_hold_s,
                    account=ledger.account,
                    release=ledger.release,
                    lease=departures.leases[name].current,
                    clock=time.monotonic,
                    wall=time.time,
                    jitter=rng.random,
                )
                for name, one in assignments.items()
            }
            registry = UnitRegistry(
                store,
                clock=time.monotonic,
                wall=time.time,
                clusters=ClusterCounts(store, cluster_set.clusters) if cluster_set else None,
            )
            moving = _moving(
                settings,
                store,
                cluster_set,
                clients,
                fleet_view,
                registry,
                policy,
                departures,
                issuer,
                rng,
            )
            placer = Placer(fleet_view, ledger, policy, jitter=rng.random)
            answers = Answers(fleet_view, tickets)
            provisioner = Provisioner(
                fleet_view=fleet_view,
                locator=locator,
                ledger=ledger,
                placer=placer,
                answers=answers,
                admission=AdmissionController(jitter=rng.random),
                move_on_contact=MoveOnContact(
                    fleet_view, placer, moving.mover, policy, clock=time.monotonic
                ),
                clock=time.monotonic,
                wall=time.time,
            )
            fleet_view.subscribe(moving.mover.follow)
            fallback = TicketFallback(
                fleet_view, issuer, answers, health, grace_s=settings.stale_grace_s, wall=time.time
            )
            operations = UnitOperations(
                store,
                clients,
                registry=registry,
                transitions=moving.transitions,
                job_store=moving.job_store,
                fleet_view=fleet_view,
                placer=placer,
                wall=time.time,
            )
            watching = Watching.of(
                store,
                registry,
                limit=settings.max_watchers,
                clock=time.monotonic,
                jitter=rng.random,
                clusters=cluster_set.clusters if cluster_set else None,
                shard_map_cache=cluster_set.shard_map_cache if cluster_set else None,
            )
            tasks: dict[str, Task] = {
                "ledger": ledger.run,
                "fleet view": fleet_view.run,
                "ticket keys": ring.run,
                "contact": store_status.run,
                "admission control": provisioner.run,
                "geo": geo.run,
                "holds": holds.run,
                **{f"hold expiry {name}": one.run for name, one in expiries.items()},
                "mover": moving.mover.run,
                "job store": moving.job_store.run,
                "job executor": moving.executor.run,
                "failure detector": moving.failure_detector.run,
                "watching": watching.run,
            }
            keeper = None
            if settings.snapshot is not None and (endpoints := endpoints_of(settings)):
                keeper = SnapshotKeeper(
                    settings.snapshot,
                    replicas,
                    store_status,
                    store.health,
                    endpoints=endpoints,
                    clock=time.monotonic,
                )
                tasks["snapshot"] = keeper.run
            server = Server(
                [
                    ProvisioningService(
                        provisioner=provisioner,
                        assignments=Assignments(ledger, clock=time.monotonic),
                        answers=answers,
                        fallback=fallback,
                        fleet_view=fleet_view,
                        callers=callers,
                        watches=watching.clients,
                        store_status=store_status,
                    ).service(),
                    FleetService(
                        store,
                        registry,
                        issuer,
                        callers,
                        holds,
                        operations,
                        watching.departures,
                        watching.fleet,
                        store_status,
                        lambda: [*fleet_view.pairs, *ledger.capacity.pairs],
                        endpoint_of=fleet_view.endpoint_of,
                        wall=time.time,
                    ).service(),
                    TenantService(store, fleet_view, issuer, callers).service(),
                ],
                transport=settings.transport,
                tls=serving_tls(settings.tls_certificate, settings.tls_key, settings.tls_client_ca),
                share_port=share_port,
            )
            metrics = ProvisionerMetrics(
                provisioner, ledger, health, fallback, moving.mover, watching, store_status, keeper
            )
            await _run(
                settings, stop, on_ready, server, ledger, moving.mover, watching, metrics, tasks
            )
            if store_status.foreign:
                raise Refused(
                    "the store is another one than before (an empty cluster, or a restored "
                    "backup); start again, so that nothing of the old one is taken for true"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """Everything that moves clients, and notices when they have to."""

    transitions: Transitions
    mover: Mover
    job_store: JobStore
    executor: Executor
    failure_detector: FailureDetector


def _moving(
    settings: Settings,
    store: Store,
    cluster_set: ClusterSet | None,
    clients: ClientKeys,
    fleet_view: FleetView,
    registry: UnitRegistry,
    policy: PlacementPolicy,
    departures: Departures,
    issuer: TicketIssuer,
    rng: random.Random,
) -> Moving:
    def endpoint(unit_id: str) -> str:
        unit = fleet_view.seen(unit_id)
        return unit.endpoint if unit is not None else ""

    loss_policy = LossPolicy(lost_after_s=settings.lost_after_s, back_after_s=settings.back_after_s)
    transitions = Transitions(
        store,
        registry,
        wall=time.time,
        loss_policy=loss_policy,
        rate_per_s=settings.move_rate_per_s,
    )
    mover = Mover(
        clients,
        new_ledger=lambda: moves_ledger(settings, store, cluster_set, rng),
        policy=policy,
        fleet=fleet_view.fleet,
        endpoint=endpoint,
        lease=departures.lease_for,
        handoff=Handoff(OrderIssuer(issuer), connect=unit_dialer(settings), wall=time.time),
        clock=time.monotonic,
        wall=time.time,
    )
    job_store = JobStore(store, wall=time.time)
    executor = Executor(
        store,
        clients,
        job_store=job_store,
        mover=mover,
        fleet_view=fleet_view,
        registry=registry,
        transitions=transitions,
        clock=time.monotonic,
        wall=time.time,
        jitter=rng.random,
    )
    failure_detector = FailureDetector(
        fleet_view,
        transitions,
        store.health,
        clock=time.monotonic,
        wall=time.time,
        jitter=rng.random,
    )
    return Moving(
        transitions=transitions,
        mover=mover,
        job_store=job_store,
        executor=executor,
        failure_detector=failure_detector,
    )


async def _run(
    settings: Settings,
    stop: asyncio.Event,
    on_ready: Callable[[Serving], None],
    server: Server,
    ledger: Ledger,
    mover: Mover,
    watching: Watching,
    metrics: ProvisionerMetrics,
    works: Mapping[str, Task],
) -> None:
    host = settings.listen.rpartition(":")[0]
    port = server.bind(settings.listen)
    with MetricsEndpoint(settings.metrics_listen, metrics, ready=metrics.readiness) as endpoint:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(), name=name) for name, work in works.items()]
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
            await ledger.return_idle_slots(timeout_s=SETTLE_S)
            await mover.return_idle_slots(timeout_s=SETTLE_S)
            for task in tasks:
                task.cancel()
    await ledger.close()
    await mover.close()
