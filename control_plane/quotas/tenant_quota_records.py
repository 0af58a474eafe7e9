"""TenantQuotaRecords: the quotas and bounds of memory in tenants' records, for a server that needs
nothing else of them.

Followed by a watch, as a provisioning server follows whole records. While the store is away the
quotas known last stay in force; a server that starts meanwhile has those of its settings, until
the store is there. Of each tenant its name and its quotas are kept, of no more than the store has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterator
from typing import Any, NamedTuple

from control_plane import keys
from control_plane.errors import StoreUnavailable
from control_plane.fleet.records import decode_tenant
from control_plane.fleet.unit import TenantMemory, TenantQuota
from control_plane.store.port import Compacted, KeyValue, Store
from control_plane.store.replica import Replica
from control_plane.store.status import StoreStatus

log = logging.getLogger(__name__)

MEANWHILE = "quotas of tenants stay as they were heard last"


class TenantBounds(NamedTuple):
    """Of one tenant, as its record has them."""

    quotas: tuple[TenantQuota, ...] = ()
    memory: TenantMemory = TenantMemory()


NONE = TenantBounds()


class TenantQuotaRecords:
    """`start`, and then `tasks`, which are the owner's. follow(tenant, quotas): called with each
    change, none where the record says nothing of them any more, or has gone; follow_memory
    likewise. wall: Unix seconds."""

    def __init__(
        self,
        store: Store,
        follow: Callable[[str, Collection[TenantQuota]], None],
        follow_memory: Callable[[str, TenantMemory], None] = lambda tenant, memory: None,
        *,
        wall: Callable[[], float],
    ) -> None:
        def changed(tenant: str, bounds: TenantBounds | None) -> None:
            follow(tenant, (bounds or NONE).quotas)
            follow_memory(tenant, (bounds or NONE).memory)

        self._replica: Replica[TenantBounds] = Replica(store, keys.TENANTS, _bounds_of, changed)
        self._another = asyncio.Event()
        self.health = store.health
        self.status = StoreStatus(
            store.health,
            wall=wall,
            confirmed=lambda: self._replica.listed,
            on_foreign=self._another.set,
            meanwhile=MEANWHILE,
        )

    def damaged_keys(self) -> Iterator[str]:
        """Records that cannot be read."""
        return self._replica.damaged_keys()

    async def start(self, *, timeout_s: float) -> None:
        """Reads everything, or gives up after so long: `tasks` go on with it."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._replica.start()
        except (StoreUnavailable, Compacted, TimeoutError) as error:
            log.warning(
                "quotas of tenants are not known yet, those of the settings are in force: %s",
                error or f"the store said nothing for {timeout_s:g} s",
            )

    def tasks(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What follows the store, by name."""
        return {"quotas of tenants": self._run, "store status": self.status.run}

    async def _run(self) -> None:
        """For ever. Another store in place of the one before is read from its beginning."""
        while True:
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._replica.run(), name="quotas of tenants")
                await self._another.wait()
                following.cancel()
            self._another.clear()
            self._replica.begin_anew()


def _bounds_of(pair: KeyValue) -> TenantBounds:
    """Raises DamagedRecord."""
    record = decode_tenant(pair)
    return TenantBounds(record.quotas, record.memory)
