"""TenantBounds: bounds on clients of tenants, as callers of TenantService see them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from functools import partial

from control_plane import quota_keys
from control_plane.errors import InvalidInput, Refused, ServiceError
from control_plane.fleet.tenant_registry import ChangeTenant, TenantChange
from control_plane.fleet.unit import TenantSpec
from control_plane.store.port import Compacted, Store
from homeport.api.tenancy.v1 import tenancy_pb2 as pb
from provisioner.fleet_view import FleetView
from provisioner.ledger.client_bounds import MOST_CLIENTS, ClientBounds, above
from provisioner.ledger.client_counting import ClientCounting
from provisioner.ledger.client_use import ClientUse, read_use, read_uses

log = logging.getLogger(__name__)

WAIT_S = 5.0  # for clients to be counted
READ_S = 1.0  # for how many there are


class TenantBounds:
    """bounds None: assignments are spread over several clusters, and there are none."""

    def __init__(
        self,
        store: Store,
        bounds: ClientBounds | None,
        counting: ClientCounting,
        fleet_view: FleetView,
    ) -> None:
        self._store = store
        self._bounds = bounds
        self._counting = counting
        self._fleet_view = fleet_view

    def change(self, request: pb.ApplyTenantRequest, *, may_raise: bool) -> ChangeTenant | None:
        """What changes a tenant's bound as is asked; None: it is not asked for. Raises
        InvalidInput; Refused where there are no bounds."""
        paths = request.update_mask.paths
        if paths and "max_clients" not in paths:
            return None
        most = request.tenant.max_clients
        if not 0 <= most <= MOST_CLIENTS:
            raise InvalidInput(
                "tenant.max_clients", f"tenant.max_clients is 1 to {MOST_CLIENTS:,}; 0 is no bound"
            )
        if self._bounds is None:
            return partial(_without_bounds, most)
        change = self._bounds.change
        return lambda before, after: change(
            before, after, most, excess=request.accept_excess, may_raise=may_raise
        )

    async def in_force(self, tenant: TenantSpec) -> TenantSpec:
        """The tenant once its clients are counted, or as it is after a while. Raises Refused where
        there turned out to be more than its bound."""
        asked = tenant.clients
        if asked is None or asked.counted:
            return tenant
        await self._counting.counted(tenant.id, timeout_s=WAIT_S)
        stands, revision = await self._counting.stands(tenant.id)
        await self._fleet_view.wait_for_tenants(revision)
        now = stands.clients if stands is not None else None
        if stands is None or now is None or now.id != asked.id:
            return tenant  # somebody took it off meanwhile
        if now.counted and not now.most:
            use = await read_use(self._store, quota_keys.client_quota(tenant.id, now.id))
            raise above(tenant.id, use.clients, asked.most)
        return stands

    async def use(
        self, tenant: TenantSpec, uses: Mapping[str, ClientUse] | None = None
    ) -> pb.ClientUse | None:
        """How many clients it has; None: they are not counted, or that cannot be read now. uses: as
        they were read, None: not yet."""
        quota = tenant.clients
        if quota is None:
            return None
        if not quota.counted:
            return pb.ClientUse(
                state=pb.CLIENT_BOUND_STATE_COUNTING,
                counted_clients=self._counting.so_far.get(tenant.id, 0),
            )
        name = quota_keys.client_quota(tenant.id, quota.id)
        if uses is None:
            uses = await self._read(_one(self._store, name))
        found = uses.get(name)
        if found is None:
            return None
        bounded = pb.CLIENT_BOUND_STATE_IN_FORCE if quota.most else pb.CLIENT_BOUND_STATE_UNBOUNDED
        return pb.ClientUse(clients=found.clients, state=bounded)

    async def uses(self) -> Mapping[str, ClientUse]:
        """Of all tenants whose clients are counted, by the names of their quotas; none where that
        cannot be read now."""
        if not self._fleet_view.counted_clients:
            return {}
        return await self._read(read_uses(self._store))

    async def _read(self, reading: Awaitable[Mapping[str, ClientUse]]) -> Mapping[str, ClientUse]:
        try:
            async with asyncio.timeout(READ_S):
                return await reading
        except (ServiceError, Compacted, TimeoutError) as error:
            log.info("how many clients tenants have cannot be read now: %s", error)
            return {}


async def _one(store: Store, name: str) -> Mapping[str, ClientUse]:
    return {name: await read_use(store, name)}


async def _without_bounds(most: int, before: TenantSpec | None, after: TenantSpec) -> TenantChange:
    if most:
        raise Refused(
            "assignments are spread over several clusters, and no transaction counts the clients "
            "of a tenant over all of them; bound the units that take its clients instead"
        )
    return TenantChange(tenant=after)
