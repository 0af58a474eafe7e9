"""TenantClients: whether a tenant has clients, and the release of all of them, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from control_plane import keys
from control_plane.errors import DataLoss, Unavailable
from control_plane.store.damaged import UNREADABLE, shown_key
from control_plane.store.port import Store
from provisioner.ledger.assignment import split_key
from provisioner.ledger.client_keys import ClientKeys

PAGE = 1_000  # clients of one step
AT_ONCE = 100  # releases under way
ATTEMPTS = 5


class TenantClients:
    """clients: reads the keys of all clients. clusters: the stores they are in; control: where the
    shard map is, if there is one. release(tenant, client): gives one client's home up."""

    def __init__(
        self,
        clients: ClientKeys,
        clusters: Sequence[Store],
        control: Store,
        *,
        release: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        self._clients = clients
        self._clusters = clusters
        self._control = control
        self._release = release

    async def any_of(self, tenant_id: str) -> bool:
        """Whether any cluster has a client of the tenant, be it a copy. Exact where none is made
        meanwhile: a move of shards copies, and clears, between two writes of the map only, and
        so is not missed. Raises Unavailable while shards keep moving."""
        prefix = keys.assignments_of(tenant_id)
        for _ in range(ATTEMPTS):
            before = await self._map_revision()
            for cluster in self._clusters:
                page = await cluster.range(prefix, limit=1, keys_only=True)
                if page.items:
                    return True
            if len(self._clusters) == 1 or await self._map_revision() == before:
                return False
        raise Unavailable("shards are moving between clusters; try again")

    async def release_some(self, tenant_id: str) -> int:
        """Releases a page of them. Raises Unavailable; DataLoss for a record that is damaged."""
        page = await self._clients.range(keys.assignments_of(tenant_id), limit=PAGE, keys_only=True)
        room = asyncio.Semaphore(AT_ONCE)

        async def release(key: bytes) -> bool:
            async with room:
                try:
                    tenant, client_id = split_key(key)
                    return await self._release(tenant, client_id)
                except UNREADABLE as error:
                    raise DataLoss(
                        f"the assignment at {shown_key(key)} is damaged in the store; delete that "
                        "key, then remove the tenant again"
                    ) from error

        outcomes = await asyncio.gather(
            *(release(pair.key) for pair in page.items), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return sum(outcome is True for outcome in outcomes)

    async def _map_revision(self) -> int:
        pair = await self._control.get(keys.SHARD_MAP)
        return pair.mod_revision if pair is not None else 0
