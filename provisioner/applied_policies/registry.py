"""PolicyRegistry: writes tenants' policies, and keeps the versions before.

A change compares the version that it was made from and the tenant's record, in the transaction
that writes it: two operators never overwrite each other, and no policy outlives its tenant. The
fence of policies is rewritten with it, so that no home is given by the version before
(provisioner.ledger.policy_fence).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from control_plane import keys
from control_plane.errors import Conflict, NotFound
from control_plane.fleet.raised_fence import raise_fence
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.store.port import (
    Compare,
    Delete,
    Operation,
    Put,
    Store,
    Txn,
    range_all,
    unchanged,
)
from provisioner.applied_policies.record import PolicyRecord, decode_policy, encode_policy

KEPT_VERSIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPolicy:
    """record None: the tenant has no policy. versions: kept ones, oldest first."""

    record: PolicyRecord | None
    versions: tuple[int, ...] = ()


class PolicyRegistry:
    """Over one store. wall: Unix seconds. assignment_clusters: stores with assignments that are not
    this one. Raises StoreUnavailable and OutcomeUnknown besides what is said."""

    def __init__(
        self,
        store: Store,
        *,
        wall: Callable[[], float],
        assignment_clusters: Sequence[Store] = (),
    ) -> None:
        self._store = store
        self._clusters = assignment_clusters
        self._wall = wall

    async def read(self, tenant: str, version: int = 0) -> KeptPolicy:
        """The policy in force (version 0), or a kept one. Raises NotFound; DataLoss."""
        prefix = keys.policy_version(tenant, 0, prefix=True)
        page = await range_all(self._store, prefix)
        versions = tuple(sorted(int(pair.key[len(prefix) :]) for pair in page.items))
        key = keys.policy_version(tenant, version) if version else keys.policy(tenant)
        pair = await self._store.get(key)
        if pair is None and version:
            kept = ", ".join(map(str, versions)) or "none"
            raise NotFound(f"version {version} of the policy of {tenant} is not kept; kept: {kept}")
        return KeptPolicy(record=None if pair is None else decode_policy(pair), versions=versions)

    async def in_force(self, tenant: str) -> tuple[int, Compare]:
        """The version in force, 0: there is none; and what holds while it is. Raises DataLoss."""
        key = keys.policy(tenant)
        pair = await self._store.get(key)
        version = decode_policy(pair).version if pair is not None else 0
        return version, unchanged(key, pair.mod_revision if pair is not None else 0)

    async def apply(self, tenant: str, document: str, *, base_version: int) -> PolicyRecord:
        """Writes a checked document as the next version. Raises Conflict; NotFound. Where an
        assignment cluster is away that could not be told (StoreUnavailable, OutcomeUnknown), it
        stands all the same."""
        key, of_tenant = keys.policy(tenant), keys.tenant(tenant)
        owner, pair = await self._store.get(of_tenant), await self._store.get(key)
        if owner is None and tenant != DEFAULT_TENANT.id:
            raise NotFound(f"there is no tenant {tenant}")
        stands = decode_policy(pair).version if pair is not None else 0
        if stands != base_version:
            raise Conflict(
                f"the policy of tenant {tenant} is at version {stands}, and the change was made "
                f"from {base_version}; read it again and reapply your change"
            )
        record = PolicyRecord(version=stands + 1, document=document, at_ms=int(self._wall() * 1000))
        value = encode_policy(record)
        writes: list[Operation] = [
            Put(key, value),
            Put(keys.policy_version(tenant, record.version), value),
            Put(keys.POLICIES_FENCE, b""),
        ]
        if record.version > KEPT_VERSIONS:
            writes.append(Delete(keys.policy_version(tenant, record.version - KEPT_VERSIONS)))
        result = await self._store.commit(
            Txn(
                compares=[
                    unchanged(key, pair.mod_revision if pair else 0),
                    unchanged(of_tenant, owner.mod_revision if owner else 0),
                ],
                then=writes,
            )
        )
        if not result.succeeded:
            raise Conflict(
                f"tenant {tenant} or its policy changed under this request; read it again and "
                "reapply your change"
            )
        for cluster in self._clusters:
            await raise_fence(cluster, keys.POLICIES_FENCE, result.revision)
        return record
