"""Policies: the service through which tenants' policies are applied, tried and simulated.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client.registry import Collector

from control_plane.offloading.pool import ProcessPool
from control_plane.serving.server import Service
from provisioner.api import latency_service, pin_service, policy_service
from provisioner.api.callers import Callers
from provisioner.api.client_proofs import ClientProofs
from provisioner.api.latency_metrics import LatencyMetrics
from provisioner.api.latency_service import LatencyService
from provisioner.api.pin_service import PinService
from provisioner.api.policy_metrics import PolicyMetrics
from provisioner.api.policy_moves import PolicyMoves
from provisioner.api.policy_service import PolicyService
from provisioner.api.policy_simulations import LIMITS, TASKS, WAITING_OF_TENANT, PolicySimulations
from provisioner.applied_policies.pin_registry import PinRegistry
from provisioner.applied_policies.registry import PolicyRegistry
from provisioner.latencies.keeper import LatencyKeeper
from provisioner.latencies.sharing import LatencySharing
from provisioner.settings import Settings
from provisioner.wiring.moving import Moving
from provisioner.wiring.state import ServerState
from provisioner.wiring.tasks import Task
from provisioner.wiring.use_case import UseCase

SERVICES = (policy_service.NAME, pin_service.NAME, latency_service.NAME)
QUOTAS = latency_service.QUOTAS


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyParts:
    """processes: in which policies are tried and simulated; there is none while nobody asks."""

    service: PolicyService
    pins: PinService
    latencies: LatencyService
    latency_keeper: LatencyKeeper
    latency_sharing: LatencySharing
    processes: ProcessPool
    collectors: tuple[Collector, ...]

    def served(self) -> tuple[Service, ...]:
        """What a server serves of it."""
        return self.service.service(), self.pins.service(), self.latencies.service()

    def tasks(self) -> dict[str, Task]:
        """What works beside the calls, by name."""
        return {
            "policy simulations": self.processes.run,
            "latencies": self.latency_keeper.run,
            "shared latencies": self.latency_sharing.run,
        }


def policy_registry(state: ServerState) -> PolicyRegistry:
    """Writes policies, and says which are in force."""
    cluster_set = state.cluster_set
    return PolicyRegistry(
        state.store,
        wall=time.time,
        assignment_clusters=tuple(cluster_set.clusters.values()) if cluster_set else (),
    )


def build_policies(
    settings: Settings,
    state: ServerState,
    moving: Moving,
    use_case: UseCase,
    registry: PolicyRegistry,
    proofs: ClientProofs,
    callers: Callers,
    jitter: Callable[[], float],
) -> PolicyParts:
    """Over what the server knows and places by. jitter: 0 to 1, new at each call."""
    cluster_set = state.cluster_set
    clusters = tuple(cluster_set.clusters.values()) if cluster_set else ()
    processes = ProcessPool(
        TASKS, workers=1, limits=LIMITS, on_demand=True, of_tenant=WAITING_OF_TENANT
    )
    service = PolicyService(
        registry,
        state.policies,
        state.fleet_view,
        state.client_keys,
        PolicySimulations(
            processes,
            state.fleet_view,
            state.registry,
            state.client_keys,
            state.policies.pins,
            nowhere=settings.nowhere,
            geo=str(settings.geo or ""),
            one_revision=state.cluster_set is None,
        ),
        PolicyMoves(
            state.client_keys,
            registry=registry,
            followed=state.policies,
            job_store=moving.job_store,
            fleet_view=state.fleet_view,
            placer=use_case.provisioner.placer,
            rate_per_s=settings.move_rate_per_s,
            wall=time.time,
        ),
        hooks=state.hooked.hooks,
    )
    pins = PinService(
        PinRegistry(state.store, wall=time.time, assignment_clusters=clusters, jitter=jitter),
        state.policies,
        state.fleet_view,
        state.client_keys,
    )
    keeper, sharing = state.latencies, state.latency_sharing
    latencies = LatencyService(
        keeper,
        use_case.provisioner,
        use_case.assignments,
        state.fleet_view,
        callers,
        proofs,
    )
    return PolicyParts(
        service=service,
        pins=pins,
        latencies=latencies,
        latency_keeper=keeper,
        latency_sharing=sharing,
        processes=processes,
        collectors=(
            PolicyMetrics(state.policies, use_case.updates, processes, state.hooked.hooks),
            LatencyMetrics(keeper, sharing),
        ),
    )
