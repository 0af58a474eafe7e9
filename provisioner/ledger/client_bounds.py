"""ClientBounds: gives tenants bounds on their clients, changes them and takes them off.

A bound begins with counting. One transaction writes the quota into the tenant's record, rewrites
the fence of tenants and creates a capacity record without a bound: from then on every batch counts
(provisioner.ledger.tenant_fence). Clients from before are counted at one later revision
(`client_counting`), and then the bound comes into force. While a quota is counted exactly, a new
bound is one transaction of the tenant's record and the capacity record, as with a unit's capacity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from control_plane import keys, quota_keys
from control_plane.errors import PermissionDenied, Refused
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.fleet.records import decode_capacity_record
from control_plane.fleet.tenant_registry import TenantChange
from control_plane.fleet.unit import ClientQuota, TenantSpec
from control_plane.store.port import (
    Delete,
    Operation,
    Put,
    Store,
    absent,
    unchanged,
)
from provisioner.ledger.client_use import QuotaGone, read_use

UNBOUNDED = 1 << 53  # slots of a quota without a bound
MOST_CLIENTS = 10**12  # that a bound may say


class ClientBounds:
    """Over the one store with everything. session(): the id of this server's session; new_id: ids
    of quotas that were never used before."""

    def __init__(
        self, store: Store, *, session: Callable[[], str], new_id: Callable[[], str]
    ) -> None:
        self._store = store
        self._session = session
        self._new_id = new_id

    async def change(
        self,
        before: TenantSpec | None,
        after: TenantSpec,
        most: int,
        *,
        excess: bool,
        may_raise: bool,
    ) -> TenantChange:
        """What bounds the clients of a tenant, in the transaction that writes its record. most 0:
        takes the bound off. A quota that is not `counted` then is to be counted.

        before: the record as it stands; excess: whether there may be more clients than that now;
        may_raise: whether the caller may give the tenant more than it has. Raises Refused where it
        has more clients; PermissionDenied; QuotaGone, DamagedRecord; StoreUnavailable."""
        quota = before.clients if before is not None else None
        if not may_raise:
            _check_raises_nothing(quota, most)
        if quota is None:
            return self._begun(after, most, excess) if most else TenantChange(tenant=after)
        if not most:
            # No batch that counts is written any more, nor one that returns places.
            gone = [Delete(prefix, prefix=True) for prefix in quota_keys.of_client_quotas(after.id)]
            return TenantChange(
                tenant=replace(after, clients=None),
                writes=[Put(keys.TENANTS_FENCE, b""), *gone],
            )
        wanted = replace(after, clients=replace(quota, most=most, excess=excess))
        if not quota.counted:
            return TenantChange(tenant=wanted)
        name = quota_keys.client_quota(after.id, quota.id)
        use = await read_use(self._store, name)
        if use.clients > most and not excess:
            raise above(after.id, use.clients, most)
        pair = await self._store.get(keys.capacity(name))
        if pair is None:
            raise QuotaGone(after.id)
        return TenantChange(
            tenant=wanted,
            compares=[unchanged(pair.key, pair.mod_revision)],
            writes=bounded(name, decode_capacity_record(pair), most),
        )

    def _begun(self, after: TenantSpec, most: int, excess: bool) -> TenantChange:
        quota = ClientQuota(id=self._new_id(), most=most, excess=excess, by=self._session())
        name = quota_keys.client_quota(after.id, quota.id)
        return TenantChange(
            tenant=replace(after, clients=quota),
            compares=[absent(keys.capacity(name))],
            writes=[
                Put(keys.TENANTS_FENCE, b""),
                Put(keys.capacity(name), encode_capacity(CapacityRecord(capacity=UNBOUNDED))),
                Put(keys.fence(name), b""),
            ],
        )


def bounded(name: str, record: CapacityRecord, most: int) -> list[Operation]:
    """What bounds the quota of this name. record: as it is to be otherwise. A bound that is lowered
    has a new fence."""
    writes: list[Operation] = [
        Put(keys.capacity(name), encode_capacity(replace(record, capacity=most)))
    ]
    if most < record.capacity:
        writes.append(Put(keys.fence(name), b""))
    return writes


def above(tenant_id: str, clients: int, most: int) -> Refused:
    """The bound is below what there is."""
    return Refused(
        f"tenant {tenant_id} has {clients:,} clients, more than {most:,}; release some, choose a "
        "higher bound, or accept it (--accept-excess): then the tenant gets no new clients until "
        "it has fewer"
    )


def _check_raises_nothing(quota: ClientQuota | None, most: int) -> None:
    had = quota.most if quota is not None else 0
    if had and not 0 < most <= had:
        raise PermissionDenied(
            "who is of one tenant may not raise its quotas (clients at once); ask an operator of "
            "all tenants"
        )
