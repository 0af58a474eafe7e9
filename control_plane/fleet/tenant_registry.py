"""TenantRegistry: writes and removes the records of tenants in the store.

Every write compares the record it was decided on, so that two operators who change different
fields at once both get their way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from control_plane import keys
from control_plane.errors import Conflict, NotFound, Refused
from control_plane.fleet.records import decode_tenant, encode_tenant
from control_plane.fleet.unit import DEFAULT_TENANT, TenantSpec
from control_plane.store.port import Delete, KeyValue, Put, Store, Txn, absent, unchanged

ATTEMPTS = 10


class TenantRegistry:
    """Over one store. Raises StoreUnavailable and OutcomeUnknown besides what is said.
    has_clients(tenant): whether any client of it has an assignment, wherever those are kept."""

    def __init__(self, store: Store, *, has_clients: Callable[[str], Awaitable[bool]]) -> None:
        self._store = store
        self._has_clients = has_clients

    async def apply(
        self, tenant: TenantSpec, fields: frozenset[str] = frozenset()
    ) -> tuple[TenantSpec, int]:
        """Writes a checked tenant, or those fields of it where there is one; none: all of them.
        What stands then, and the revision at which it was written. Raises Conflict."""
        key = keys.tenant(tenant.id)
        for _ in range(ATTEMPTS):
            pair = await self._store.get(key)
            wanted = tenant
            if fields and (stands := _standing(tenant.id, pair)) is not None:
                wanted = replace(stands, **{name: getattr(tenant, name) for name in fields})
            result = await self._store.commit(
                Txn(
                    compares=[unchanged(key, pair.mod_revision if pair else 0)],
                    then=[Put(key, encode_tenant(wanted))],
                )
            )
            if result.succeeded:
                return wanted, result.revision
        raise Conflict(f"tenant {tenant.id} keeps changing under this request; try again")

    async def remove(self, tenant_id: str) -> int:
        """Removes a tenant without clients; the revision at which that was written. Raises
        NotFound; Refused when it has clients, and then it stands; Conflict."""
        if tenant_id == DEFAULT_TENANT.id:
            raise Refused("the tenant default always exists; apply what it should be instead")
        key = keys.tenant(tenant_id)
        pair = await self._store.get(key)
        if pair is None:
            raise NotFound(f"there is no tenant {tenant_id}")
        if await self._has_clients(tenant_id):
            raise _still_used(tenant_id)
        result = await self._store.commit(
            Txn(
                compares=[unchanged(key, pair.mod_revision)],
                then=[
                    Delete(key),
                    # What let clients in does not wait for another tenant of that name.
                    Delete(keys.enrolment_group(tenant_id, ""), prefix=True),
                    Delete(keys.bootstrap_token(tenant_id, ""), prefix=True),
                ],
            )
        )
        if not result.succeeded:
            raise Conflict(f"tenant {tenant_id} changed meanwhile; try again")
        # A server that had not heard of it yet may have taken a client in.
        if await self._has_clients(tenant_id):
            await self._store.commit(Txn(compares=[absent(key)], then=[Put(key, pair.value)]))
            raise _still_used(tenant_id)
        return result.revision


def _standing(tenant_id: str, pair: KeyValue | None) -> TenantSpec | None:
    """The tenant as it is; the default one also where nobody ever applied it."""
    if pair is not None:
        return decode_tenant(pair)
    return DEFAULT_TENANT if tenant_id == DEFAULT_TENANT.id else None


def _still_used(tenant_id: str) -> Refused:
    return Refused(f"tenant {tenant_id} has clients; release them first")
