"""Policies: the service through which tenants' policies are applied, tried and simulated.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from control_plane.offloading.pool import ProcessPool
from provisioner.api.pin_service import PinService
from provisioner.api.policy_service import PolicyService
from provisioner.api.policy_simulations import LIMITS, TASKS, WAITING_OF_TENANT, PolicySimulations
from provisioner.applied_policies.pin_registry import PinRegistry
from provisioner.applied_policies.registry import PolicyRegistry
from provisioner.settings import Settings
from provisioner.wiring.state import ServerState
from provisioner.wiring.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyParts:
    """processes: in which policies are tried and simulated; there is none while nobody asks."""

    service: PolicyService
    pins: PinService
    processes: ProcessPool

    def tasks(self) -> dict[str, Task]:
        """What works beside the calls, by name."""
        return {"policy simulations": self.processes.run}


def build_policies(settings: Settings, state: ServerState) -> PolicyParts:
    """Over what the server knows."""
    cluster_set = state.cluster_set
    clusters = tuple(cluster_set.clusters.values()) if cluster_set else ()
    processes = ProcessPool(
        TASKS, workers=1, limits=LIMITS, on_demand=True, of_tenant=WAITING_OF_TENANT
    )
    service = PolicyService(
        PolicyRegistry(
            state.store,
            wall=time.time,
            assignment_clusters=clusters,
        ),
        state.policies,
        state.fleet_view,
        state.client_keys,
        PolicySimulations(
            processes,
            state.fleet_view,
            state.registry,
            state.client_keys,
            nowhere=settings.nowhere,
            geo=str(settings.geo or ""),
            one_revision=cluster_set is None,
        ),
        hooks=state.hooked.hooks,
    )
    pins = PinService(
        PinRegistry(state.store, wall=time.time, assignment_clusters=clusters),
        state.policies,
        state.fleet_view,
        state.client_keys,
    )
    return PolicyParts(service=service, pins=pins, processes=processes)
