"""Tenants of one server: their records, their removal, the bounds on their clients, their service.

Part of the wiring: `provisioner.wiring.server` builds the rest.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client.registry import Collector

from control_plane.fleet.tenant_registry import TenantRegistry
from control_plane.fleet.tenant_removal import TenantRemover
from control_plane.identity.bootstrap_tokens import BootstrapTokens
from control_plane.identity.key_rotation import KeyRotation
from control_plane.quotas.quotas import Quotas
from provisioner.api.callers import Callers
from provisioner.api.client_use_metrics import ClientUseMetrics
from provisioner.api.tenant_bounds import TenantBounds
from provisioner.api.tenant_service import TenantService
from provisioner.ledger.client_bounds import ClientBounds
from provisioner.ledger.client_counting import ClientCounting
from provisioner.provisioning.abandoned_removals import AbandonedRemovals
from provisioner.provisioning.assignments import Assignments
from provisioner.provisioning.tenant_clients import TenantClients
from provisioner.wiring.state import ServerState
from provisioner.wiring.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantParts:
    """use: how many clients tenants have, for metrics."""

    service: TenantService
    removals: AbandonedRemovals
    counting: ClientCounting
    use: ClientUseMetrics

    @property
    def collectors(self) -> tuple[Collector, ...]:
        return (self.use,)

    def tasks(self) -> dict[str, Task]:
        """What works beside the calls, by name."""
        return {
            "removals of tenants": self.removals.run,
            "clients of tenants": self.counting.run,
            "use of quotas of clients": self.use.run,
        }


def build_tenants(
    state: ServerState,
    assignments: Assignments,
    quotas: Quotas,
    callers: Callers,
    jitter: Callable[[], float],
) -> TenantParts:
    """Over what the server knows."""
    store, fleet_view, cluster_set = state.store, state.fleet_view, state.cluster_set

    def session() -> str:
        return state.ledger.session.id

    remover = TenantRemover(
        store,
        TenantClients(
            state.client_keys,
            tuple(state.assignments.values()),
            store,
            release=assignments.release,
        ),
        session=session,
        clock=time.monotonic,
        assignment_clusters=tuple(cluster_set.clusters.values()) if cluster_set else (),
    )
    counting = ClientCounting(
        store, tenants=lambda: fleet_view.tenants, session=session, jitter=jitter
    )
    bounds = ClientBounds(store, session=session, new_id=lambda: secrets.token_hex(6))
    tenant_bounds = TenantBounds(store, None if cluster_set else bounds, counting, fleet_view)
    service = TenantService(
        TenantRegistry(store),
        remover,
        fleet_view,
        state.issuer,
        KeyRotation(
            store,
            state.ring,
            longest_ticket_s=fleet_view.longest_ticket_s,
            wall=time.time,
            random=secrets.token_bytes,
        ),
        state.enrolment_groups,
        None if cluster_set else BootstrapTokens(store, random=secrets.token_bytes, wall=time.time),
        quotas,
        tenant_bounds,
        callers,
    )
    return TenantParts(
        service=service,
        removals=AbandonedRemovals(fleet_view, remover, jitter=jitter),
        counting=counting,
        use=ClientUseMetrics(tenant_bounds.uses, jitter=jitter),
    )
