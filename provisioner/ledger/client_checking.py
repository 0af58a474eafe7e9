"""Client checking: what the ledger says of each quota of clients, next to the clients that stand.

Both are read at one revision, so that any difference is a defect, or somebody wrote past Homeport.
Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from control_plane import keys, quota_keys
from control_plane.fleet.records import decode_tenant
from control_plane.store.port import Store
from provisioner.ledger.client_bounds import UNBOUNDED
from provisioner.ledger.client_use import count_clients, read_uses


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedQuota:
    """Of one tenant, at one revision. counted: clients by the ledger, None: they are being counted;
    standing: clients that have a home; bound: 0: none is in force."""

    tenant: str
    counted: int | None
    standing: int
    bound: int
    revision: int

    @property
    def exact(self) -> bool:
        return self.counted is None or self.counted == self.standing


async def check_clients(
    store: Store, told: Callable[[str, int], None] = lambda tenant, clients: None
) -> list[CheckedQuota]:
    """Each quota of clients that stands. told(tenant, n): after each page, how many clients of it
    so far. Raises StoreUnavailable, DamagedRecord; Compacted where that history is gone."""
    checked = []
    for name, use in sorted((await read_uses(store)).items()):
        tenant_id = quota_keys.tenant_of_quota(name)
        key, revision = keys.tenant(tenant_id), use.revision
        found = await store.range(key, limit=1, at_revision=revision)
        record = (
            decode_tenant(found.items[0]) if found.items and found.items[0].key == key else None
        )
        quota = record.clients if record is not None else None
        counting = quota is not None and not quota.counted

        def told_of(clients: int, tenant_id: str = tenant_id) -> None:
            told(tenant_id, clients)

        standing = await count_clients(store, tenant_id, revision, told_of)
        checked.append(
            CheckedQuota(
                tenant=tenant_id,
                counted=None if counting else use.clients,
                standing=standing,
                bound=use.bound if use.bound < UNBOUNDED else 0,
                revision=revision,
            )
        )
    return checked
