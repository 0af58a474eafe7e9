"""ServerState: what one server knows and writes with, read from the stores once and followed.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from control_plane.audit.marked_store import MarkedStore
from control_plane.fleet.registry import UnitRegistry
from control_plane.identity.enrolment_groups import EnrolmentGroups
from control_plane.identity.key_ring_follower import KeyRingFollower
from control_plane.identity.tickets import TicketIssuer
from control_plane.store.measured import MeasuredStore, StoreStatistics
from control_plane.store.port import Health, JointHealth, KeyValue, Store
from control_plane.store.snapshot_keeper import SnapshotKeeper
from control_plane.store.status import StoreStatus
from control_plane.supervision import Supervisor
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.fleet_view import FleetView
from provisioner.latencies.keeper import LatencyKeeper
from provisioner.latencies.sharing import LatencySharing
from provisioner.ledger.client_keys import ClientKeys
from provisioner.ledger.fences import Fences
from provisioner.ledger.policy_fence import PolicyFence
from provisioner.ledger.port import Ledger
from provisioner.ledger.recent_assignments import RecentAssignments
from provisioner.ledger.sharded.cluster_counts import ClusterCounts
from provisioner.ledger.tenant_fence import TenantFence
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement_hooks.hooked_policies import HookedPolicies
from provisioner.settings import Settings
from provisioner.wiring.clusters import (
    ClusterSet,
    client_keys,
    open_cluster_set,
    provisioning_ledger,
)
from provisioner.wiring.hooks import build_hooks
from provisioner.wiring.startup import begin, endpoints_of, open_when_there, usable_snapshot
from provisioner.wiring.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """assignments: the stores with clients' assignments by name, "" where it is `store`;
    health: of all stores together; recent None: with several clusters, where nobody asks; keeper
    None: no snapshot is kept."""

    store: Store
    store_statistics: StoreStatistics
    cluster_set: ClusterSet | None
    assignments: Mapping[str, Store]
    health: Health
    ring: KeyRingFollower
    issuer: TicketIssuer
    enrolment_groups: EnrolmentGroups
    ledger: Ledger
    recent: RecentAssignments | None
    client_keys: ClientKeys
    fleet_view: FleetView
    policies: FollowedPolicies
    hooked: HookedPolicies  # the same, with what their hooks say
    latencies: LatencyKeeper
    latency_sharing: LatencySharing
    registry: UnitRegistry
    store_status: StoreStatus
    keeper: SnapshotKeeper | None

    def fleet_pairs(self) -> list[KeyValue]:
        """The records of units as last seen, for while the store is away."""
        return [*self.fleet_view.pairs, *self.ledger.capacity.pairs]

    def tasks(self) -> dict[str, Task]:
        """What follows the stores, by name."""
        tasks: dict[str, Task] = {
            "ledger": self.ledger.run,
            **{f"fleet view of {one.prefix}": one.run for one in self.fleet_view.replicas},
            "policies": self.policies.run,
            "hooks of policies": self.hooked.run,
            "ticket keys": self.ring.run,
            "enrolment groups": self.enrolment_groups.run,
            "store status": self.store_status.run,
        }
        if self.keeper is not None:
            tasks["snapshot"] = self.keeper.run
        return tasks


async def read_state(
    settings: Settings,
    rng: random.Random,
    supervisor: Supervisor,
    stop: asyncio.Event,
    stack: AsyncExitStack,
) -> ServerState | None:
    """Opens the stores, to be closed with `stack`, and reads them; from the snapshot where
    they do not answer and there is one. None: told to stop meanwhile. Raises ServiceError."""
    wrapping = settings.wrapping(secrets.token_bytes)
    # Which cluster a client is in only the store can say: without it, several serve nobody.
    snapshot = None if settings.assignment_stores else usable_snapshot(settings, wrapping)
    opened = await open_when_there(settings, stop, required=snapshot is None)
    if opened is None:
        return None
    statistics = StoreStatistics(clock=time.monotonic)
    store = MarkedStore(MeasuredStore(opened, statistics))
    stack.push_async_callback(store.close)
    ring = KeyRingFollower(
        store,
        settings.master_key_file,
        wall=time.time,
        random=secrets.token_bytes,
        wrapping=wrapping,
    )
    cluster_set = await open_cluster_set(settings, store, statistics, stop, stack)
    fleet_view = FleetView(store, clock=time.monotonic, longest_ticket_s=settings.longest_ticket_s)
    policies = FollowedPolicies(store, PlacementPolicy(nowhere=settings.nowhere), wall=time.time)
    ledger = provisioning_ledger(
        settings,
        store,
        cluster_set,
        rng,
        supervisor,
        lambda: Fences(
            TenantFence(heard=fleet_view.heard_of_tenants, taking=fleet_view.taking_clients),
            policy_fence(policies),
        ),
        fleet_view.counted_clients,
    )
    used = await begin(store, snapshot, ring, ledger, fleet_view, policies)
    latencies = LatencyKeeper(fleet_view.measured, clock=time.monotonic)
    sharing = LatencySharing(
        store,
        latencies,
        source=secrets.token_hex(8),
        every_s=settings.latencies_every_s,
        clock=time.monotonic,
        wall=time.time,
        jitter=rng.random,
    )
    if used is not None:
        await sharing.restore(used.pairs)
    groups = EnrolmentGroups(store, wrapping, random=secrets.token_bytes, wall=time.time)
    if used is None:
        await groups.start()
    issuer = TicketIssuer(ring.ring)
    ring.subscribe(issuer.use)
    replicas = (*fleet_view.replicas, policies.replica, ledger.capacity, *ring.replicas)
    store_status = StoreStatus(
        store.health,
        wall=time.time,
        confirmed=lambda: all(replica.listed for replica in replicas),
        on_foreign=stop.set,
        as_of=used.confirmed_at if used else 0.0,
        cluster=used.cluster if used else "",
    )
    keeper = None
    if settings.snapshot is not None and (endpoints := endpoints_of(settings)):
        keeper = SnapshotKeeper(
            settings.snapshot,
            replicas,
            store_status,
            store.health,
            endpoints=endpoints,
            clock=time.monotonic,
            also=sharing.kept,
        )
    assignments = cluster_set.clusters if cluster_set else {"": store}
    return ServerState(
        store=store,
        store_statistics=statistics,
        cluster_set=cluster_set,
        assignments=assignments,
        health=JointHealth(store.health, *(one.health for one in assignments.values())),
        ring=ring,
        issuer=issuer,
        enrolment_groups=groups,
        ledger=ledger,
        recent=None if cluster_set else RecentAssignments(),
        client_keys=client_keys(store, cluster_set),
        fleet_view=fleet_view,
        policies=policies,
        hooked=build_hooks(settings, policies, supervisor, stack),
        latencies=latencies,
        latency_sharing=sharing,
        registry=UnitRegistry(
            store,
            clock=time.monotonic,
            wall=time.time,
            clusters=ClusterCounts(store, cluster_set.clusters) if cluster_set else None,
        ),
        store_status=store_status,
        keeper=keeper,
    )


def policy_fence(policies: FollowedPolicies) -> PolicyFence:
    """One for a store with assignments."""
    return PolicyFence(heard=policies.heard, overdue=policies.overdue)
