"""The tenants' records that a data-sharing server follows, where it is told of a store.

Part of the wiring: `data_sharing.wiring.server` builds the rest.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import asdict

from control_plane.errors import InvalidInput
from control_plane.fleet.unit import TenantQuota
from control_plane.quotas.tenant_quota_records import TenantQuotaRecords
from control_plane.store.measured import MeasuredStore, StoreStatistics
from control_plane.store.opening import StoreUrl, open_store, read_tls
from data_sharing.memory_limits import TenantLimits
from data_sharing.settings import Settings

START_S = 3.0  # a store that says nothing for so long is away; serving does not wait for it


def check_store(settings: Settings) -> None:
    """What a start refuses before anybody is asked. Raises InvalidInput."""
    if not settings.store:
        return
    if StoreUrl.parse(settings.store).path is not None:
        raise InvalidInput(
            "store",
            "--store: an embedded store is inside its provisioning server, and no other program "
            "can follow it; name an etcd, or leave --store out and give quotas by --quotas",
        )
    read_tls(settings.store, settings.store_access())


@asynccontextmanager
async def tenant_quota_records(
    settings: Settings,
    statistics: StoreStatistics,
    follow: Callable[[str, Collection[TenantQuota]], None],
    memory: TenantLimits,
    *,
    start_s: float = START_S,
) -> AsyncIterator[TenantQuotaRecords | None]:
    """Read once, while inside; None: there is no store. Raises InvalidInput."""
    check_store(settings)
    if not settings.store:
        yield None
        return
    opened = await open_store(settings.store, access=settings.store_access(required=False))
    store = MeasuredStore(opened, statistics)
    try:
        records = TenantQuotaRecords(
            store, follow, lambda tenant, own: memory.follow(tenant, asdict(own)), wall=time.time
        )
        await records.start(timeout_s=start_s)
        yield records
    finally:
        await store.close()
