"""FleetView: the fleet and its tenants as this server sees them, followed through watches.

Requests read plain attributes of it; nothing here waits for the store. A change of a unit's
record or of whether it serves makes a new placement snapshot; a mere change of load does not.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from control_plane import keys, quota_keys
from control_plane.errors import NotFound
from control_plane.fleet.lifecycle import LEAVING, TAKING, LifecycleRecord, State, unwritten
from control_plane.fleet.records import (
    decode_agent,
    decode_lifecycle,
    decode_status,
    decode_tenant,
    decode_unit,
)
from control_plane.fleet.unit import (
    DEFAULT_TENANT,
    Reprovision,
    ReturnHome,
    TenantSpec,
    UnitHealth,
    UnitSpec,
    UnitStatus,
    serving_endpoint,
)
from control_plane.printable import quoted
from control_plane.store.port import KeyValue, Store
from control_plane.store.replica import Replica
from provisioner.geo.countries import continent_of
from provisioner.placement.fleet import PlacementFleet, PlacementUnit
from provisioner.placement.latency import NOTHING_MEASURED, Latencies


class FleetView:
    """`start` reads everything once, or `restore` takes over an earlier view of it; `run`
    follows. `subscribe` for each new snapshot. longest_ticket_s: the bound of every tenant's
    ticket TTL."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        longest_ticket_s: float = math.inf,
    ) -> None:
        self.ticket_limit_s = longest_ticket_s

        def decode_bounded(pair: KeyValue) -> TenantSpec:
            tenant = decode_tenant(pair)
            return replace(tenant, ticket_ttl_s=min(tenant.ticket_ttl_s, longest_ticket_s))

        self.default_tenant = replace(
            DEFAULT_TENANT, ticket_ttl_s=min(DEFAULT_TENANT.ticket_ttl_s, longest_ticket_s)
        )
        # Quotas of clients that stand, by tenant: one mapping, as of the tenants' revision.
        self.counted_clients: dict[bytes, str] = {}
        # Tenants that take clients, neither removed nor being removed, as of the same revision.
        self.taking_clients: set[bytes] = {DEFAULT_TENANT.id.encode()}
        self._subscribers: list[Callable[[PlacementFleet], None]] = []
        self._dirty = False
        kept: Any = {"clock": clock, "keeps_pairs": True}
        self._units = Replica(store, keys.UNITS, decode_unit, self._changed, **kept)
        self._live = Replica(store, keys.LIVE, decode_status, self._live_changed, **kept)
        self._agents = Replica(store, keys.AGENTS, decode_agent, self._changed, **kept)
        self._tenants = Replica(store, keys.TENANTS, decode_bounded, self._tenant_changed, **kept)
        self._lifecycle = Replica(store, keys.LIFECYCLE, decode_lifecycle, self._changed, **kept)
        self.replicas: tuple[Replica[Any], ...] = (
            self._units, self._live, self._agents, self._tenants, self._lifecycle,
        )  # fmt: skip
        self.leaving: Mapping[str, State] = {}  # units whose clients are moved away
        self.restless = False  # whether a known client may have to move when it asks
        self._serving: dict[str, bool] = {}
        self._latencies: Latencies = NOTHING_MEASURED
        self.fleet = PlacementFleet(units=(), revision=0)

    def subscribe(self, notify: Callable[[PlacementFleet], None]) -> None:
        """From now on calls `notify` with each new snapshot, before any request can see it,
        and in the order of subscription."""
        self._subscribers.append(notify)

    @property
    def units(self) -> Mapping[str, UnitSpec]:
        """Desired records by unit id."""
        return self._units.items

    @property
    def live(self) -> Mapping[str, UnitStatus]:
        """What agents reported, by unit id; only units whose lease stands."""
        return self._live.items

    @property
    def tenants(self) -> Mapping[str, TenantSpec]:
        """Tenants that were applied; `tenant` knows the default as well."""
        return self._tenants.items

    def tenant(self, tenant_id: str) -> TenantSpec | None:
        """A tenant's spec; "default" always exists."""
        found = self._tenants.items.get(tenant_id)
        if found is None and tenant_id == DEFAULT_TENANT.id:
            return self.default_tenant
        return found

    def tenant_or_raise(self, tenant_id: str) -> TenantSpec:
        """The same for a request; empty: the default tenant. Raises NotFound."""
        found = self.tenant(tenant_id or DEFAULT_TENANT.id)
        if found is None:
            raise NotFound(
                f"there is no tenant {quoted(tenant_id)}; apply it with `homeport tenants apply`"
            )
        return found

    def hold_s(self, tenant_id: str) -> float:
        """How long places of a tenant's clients are held; 0: they are not, or there is no such
        tenant."""
        found = self.tenant(tenant_id)
        return found.hold_s if found is not None else 0.0

    def shortest_hold_s(self) -> float:
        """Of any tenant; infinity where none holds places."""
        holds = [tenant.hold_s for tenant in self.tenants.values() if tenant.hold_s > 0]
        return min(holds, default=math.inf)

    def longest_ticket_s(self) -> float:
        """The longest ticket TTL of any tenant."""
        ttls = [tenant.ticket_ttl_s for tenant in self.tenants.values()]
        return max([*ttls, self.default_tenant.ticket_ttl_s])

    async def heard_of_tenants(self, revision: int) -> bool:
        """Whether tenants are known as of `revision`, within a second."""
        return await self._tenants.wait_for_revision(revision, timeout_s=1.0)

    async def wait_for_tenants(self, revision: int) -> None:
        """Returns when tenants are known as of `revision`, or after a second."""
        await self._tenants.wait_for_revision(revision, timeout_s=1.0)

    async def wait_for_units(self, state_revision: int, spec_revision: int = 0) -> None:
        """Returns when the units' states and records are known as of these revisions, at which
        some of each were written; or after a second."""
        await self._lifecycle.wait_for_revision(state_revision, timeout_s=1.0)
        await self._units.wait_for_revision(spec_revision, timeout_s=1.0)
        await asyncio.sleep(0)  # the snapshot is made in the loop's next turn

    def agents(self) -> Mapping[str, bool]:
        """Units that have, or had, an agent, and whether it is heard now."""
        live = self._live.items
        return {unit: unit in live for unit in self._agents.items if unit in self._units.items}

    def lifecycle(self, unit_id: str) -> LifecycleRecord:
        """The state of a unit."""
        found = self._lifecycle.items.get(unit_id)
        return found or unwritten(had_agent=unit_id in self._agents.items)

    def brings_home(self) -> bool:
        """Whether clients of any tenant are brought back to a unit they had to leave."""
        return any(one.return_home is ReturnHome.GRADUAL for one in self.tenants.values())

    async def start(self) -> None:
        """Reads everything. Raises StoreUnavailable."""
        for replica in self.replicas:
            await replica.start()
        self._rebuild()

    def restore(self, pairs: Iterable[KeyValue]) -> None:
        """Takes over what a snapshot holds, where the store itself was not read."""
        known = tuple(pairs)
        for replica in self.replicas:
            replica.restore(known)
        self._rebuild()

    @property
    def pairs(self) -> list[KeyValue]:
        """All records, as they are stored."""
        return [pair for replica in self.replicas for pair in replica.pairs]

    async def run(self) -> None:
        """Follows the store for ever."""
        async with asyncio.TaskGroup() as group:
            for replica in self.replicas:
                group.create_task(replica.run(), name="fleet replica")

    def seen(self, unit_id: str) -> UnitSpec | None:
        """A unit's spec, if this server has heard of it."""
        return self._units.items.get(unit_id)

    def endpoint_of(self, unit_id: str) -> str:
        """Where a unit's clients are sent; empty where this server has not heard of it."""
        unit = self._units.items.get(unit_id)
        return serving_endpoint(unit, self._agents.items.get(unit_id)) if unit is not None else ""

    def capacity_of(self, unit_id: str) -> int:
        """How many clients a unit takes; 0 where this server has not heard of it."""
        unit = self._units.items.get(unit_id)
        return unit.capacity if unit is not None else 0

    def measured(self, latencies: Latencies) -> None:
        """Has placement go by these latencies from the next snapshot on."""
        self._latencies = latencies
        self._changed("", None)

    def _tenant_changed(self, tenant_id: str, tenant: TenantSpec | None) -> None:
        name = tenant_id.encode()
        quota = tenant.clients if tenant is not None else None
        if quota is not None:
            self.counted_clients[name] = quota_keys.client_quota(tenant_id, quota.id)
        elif tenant is not None or keys.tenant(tenant_id) not in self._tenants.damaged:
            # Of a record that cannot be read now the quota stands all the same.
            self.counted_clients.pop(name, None)
        stands = tenant if tenant is not None else self.tenant(tenant_id)
        if stands is not None and stands.removal is None:
            self.taking_clients.add(name)
        else:
            self.taking_clients.discard(name)
        self._changed(tenant_id, tenant)

    def _live_changed(self, unit_id: str, status: UnitStatus | None) -> None:
        serving = status is not None and status.health is UnitHealth.SERVING
        if self._serving.get(unit_id) is not serving:
            self._serving[unit_id] = serving
            self._changed(unit_id, status)

    def _changed(self, name: str, record: object) -> None:
        """Collects the changes of one batch into one rebuild."""
        if not self._dirty:
            self._dirty = True
            asyncio.get_running_loop().call_soon(self._rebuild)

    def _rebuild(self) -> None:
        self._dirty = False
        units = []
        leaving = {}
        for index, (unit_id, spec) in enumerate(sorted(self._units.items.items())):
            state = self.lifecycle(unit_id).state
            if state in LEAVING:
                leaving[unit_id] = state
            reason = why_not_serving(
                live=self._live.items.get(unit_id),
                had_agent=unit_id in self._agents.items,
                state=state,
            )
            units.append(
                PlacementUnit(
                    id=spec.id,
                    index=index,
                    latitude=spec.position.latitude,
                    longitude=spec.position.longitude,
                    country=spec.country,
                    continent=continent_of(spec.country),
                    weight=spec.weight,
                    serves=spec.serves,
                    tenants=spec.tenants,
                    labels=spec.labels,
                    accepting=not reason,
                    not_accepting_reason=reason,
                )
            )
        self.leaving = leaving
        self.restless = bool(leaving) or any(
            one.reprovision is not Reprovision.KEEP or one.return_home is ReturnHome.NEXT_CONTACT
            for one in self.tenants.values()
        )
        revision = max(self.fleet.revision, *(one.revision for one in self.replicas))
        self.fleet = PlacementFleet(
            units=tuple(units), revision=revision, latencies=self._latencies
        )
        for notify in self._subscribers:
            notify(self.fleet)


_WHY_NOT = {
    State.CORDONED: "an operator cordoned it",
    State.DRAINING: "it is being drained",
    State.DRAINED: "it was drained",
    State.LOST: "it was lost, and is not trusted again yet",
    State.REMOVED: "it was removed",
}


def why_not_serving(
    *, live: UnitStatus | None, had_agent: bool, state: State = State.ACTIVE
) -> str:
    """Why a unit takes no new clients; empty when it does.

    A unit that never had an agent is taken at its operator's word. One whose agent was
    heard and is not any more is lost.
    """
    if state not in TAKING and not (state is State.LOST and live is None):
        return _WHY_NOT[state]
    if live is None:
        return "its agent is not heard any more" if had_agent else ""
    if live.health is not UnitHealth.SERVING:
        return "its agent says that it is not serving"
    return ""
