"""TenantRegistry: writes the records of tenants in the store.

Every write compares the record it was decided on, so that two operators who change different
fields at once both get their way. Tenants are removed in `tenant_removal`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from control_plane import keys
from control_plane.errors import Conflict, Refused
from control_plane.fleet.records import decode_tenant, encode_tenant
from control_plane.fleet.unit import DEFAULT_TENANT, TenantSpec
from control_plane.store.port import Compare, KeyValue, Operation, Put, Store, Txn, unchanged

ATTEMPTS = 20  # some compare records that servers write as well


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantChange:
    """What a tenant is to be, and what else its transaction compares and writes."""

    tenant: TenantSpec
    compares: Sequence[Compare] = ()
    writes: Sequence[Operation] = ()


ChangeTenant = Callable[[TenantSpec | None, TenantSpec], Awaitable[TenantChange]]


async def _as_it_is(before: TenantSpec | None, after: TenantSpec) -> TenantChange:
    return TenantChange(tenant=after)


class TenantRegistry:
    """Over one store. Raises StoreUnavailable and OutcomeUnknown besides what is said."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def apply(
        self,
        tenant: TenantSpec,
        fields: frozenset[str] = frozenset(),
        *,
        check: Callable[[TenantSpec | None, TenantSpec], None] = lambda before, after: None,
        change: ChangeTenant = _as_it_is,
    ) -> tuple[TenantSpec, int]:
        """Writes a checked tenant, or those fields of it where there is one; none: all of them.
        What stands then, and the revision at which it was written. check: raises where the one
        may not become the other; change: what is written in place of the latter. Raises Refused for
        one that is being removed; Conflict."""
        key = keys.tenant(tenant.id)
        for _ in range(ATTEMPTS):
            pair = await self._store.get(key)
            wanted, stands = tenant, _standing(tenant.id, pair)
            if stands is not None and stands.removal is not None:
                raise Refused(f"tenant {tenant.id} is being removed; apply it when it is gone")
            if fields and stands is not None:
                wanted = replace(stands, **{name: getattr(tenant, name) for name in fields})
            # Only `change` gives it another one.
            wanted = replace(wanted, clients=stands.clients if stands is not None else None)
            check(stands, wanted)
            changed = await change(stands, wanted)
            own = unchanged(key, pair.mod_revision if pair else 0)
            result = await self._store.commit(
                Txn(
                    compares=[own, *changed.compares],
                    then=[Put(key, encode_tenant(changed.tenant)), *changed.writes],
                )
            )
            if result.succeeded:
                return changed.tenant, result.revision
        raise Conflict(f"tenant {tenant.id} keeps changing under this request; try again")


def _standing(tenant_id: str, pair: KeyValue | None) -> TenantSpec | None:
    """The tenant as it is; the default one also where nobody ever applied it."""
    if pair is not None:
        return decode_tenant(pair)
    return DEFAULT_TENANT if tenant_id == DEFAULT_TENANT.id else None
