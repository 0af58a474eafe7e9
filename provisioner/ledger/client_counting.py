"""ClientCounting: counts the clients that a tenant has from before they were counted.

Since the quota stands every batch counts, so what is missing is one number that does not change:
the clients at any one revision, less what is in the count at that revision. It is added, and the
bound comes into force, in one transaction that compares the tenant's record: once, whoever else
counts. A server that dies leaves nothing; another one begins anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from control_plane import faultpoints, keys, quota_keys
from control_plane.errors import ServiceError
from control_plane.fleet.records import decode_capacity_record, decode_tenant, encode_tenant
from control_plane.fleet.unit import ClientQuota, TenantSpec
from control_plane.store.port import Compacted, Get, Put, Store, Txn, range_all, unchanged
from provisioner.ledger.client_bounds import UNBOUNDED, bounded
from provisioner.ledger.client_use import clients_of, count_clients

log = logging.getLogger(__name__)

LOOK_S = 1.0
ATTEMPTS = 50  # compare-and-swaps on a record that servers take places from meanwhile


class ClientCounting:
    """`run` is a task of the owner's. tenants(): their records, as followed; session: the id of
    this server's session; jitter: 0 to 1, so that not all servers look at once. so_far: clients
    that were counted of those tenants that it is at."""

    def __init__(
        self,
        store: Store,
        *,
        tenants: Callable[[], Mapping[str, TenantSpec]],
        session: Callable[[], str],
        jitter: Callable[[], float],
    ) -> None:
        self._store = store
        self._tenants = tenants
        self._session = session
        self._jitter = jitter
        self._asked: dict[str, asyncio.Future[None]] = {}
        self._wake = asyncio.Event()
        self.so_far: dict[str, int] = {}

    async def counted(self, tenant_id: str, *, timeout_s: float) -> None:
        """Has a tenant's clients counted now; returns when they are, or after the time."""
        done = self._asked.setdefault(tenant_id, asyncio.get_running_loop().create_future())
        self._wake.set()
        await asyncio.wait([done], timeout=timeout_s)

    async def stands(self, tenant_id: str) -> tuple[TenantSpec | None, int]:
        """A tenant's record as the store has it now, and the revision at which it was written.
        Raises StoreUnavailable, DamagedRecord."""
        pair = await self._store.get(keys.tenant(tenant_id))
        return (decode_tenant(pair), pair.mod_revision) if pair is not None else (None, 0)

    async def run(self) -> None:
        """Counts what is asked for, and what others left, for ever."""
        while True:
            try:
                async with asyncio.timeout(LOOK_S * (0.5 + self._jitter())):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            pending = [
                name
                for name, tenant in self._tenants().items()
                if tenant.clients is not None and not tenant.clients.counted
            ]
            for tenant_id in dict.fromkeys([*self._asked, *pending]):
                await self._attempt(tenant_id)

    async def _attempt(self, tenant_id: str) -> None:
        try:
            if not await self._may_count(tenant_id):
                return
            await self.count(tenant_id)
        except (ServiceError, Compacted) as error:
            log.warning("the clients of tenant %s cannot be counted now: %s", tenant_id, error)
            return
        finally:
            self.so_far.pop(tenant_id, None)
        done = self._asked.pop(tenant_id, None)
        if done is not None and not done.done():
            done.set_result(None)

    async def _may_count(self, tenant_id: str) -> bool:
        """Whether it was asked for here, or whoever was to count is gone. Several who count at
        once do no harm, and work for nothing."""
        if tenant_id in self._asked:
            return True
        tenant = self._tenants().get(tenant_id)
        quota = tenant.clients if tenant is not None else None
        if quota is None or quota.counted:
            return False
        mine = quota.by == self._session()
        return mine or await self._store.get(keys.session(quota.by)) is None

    async def count(self, tenant_id: str) -> None:
        """Returns when the clients are counted, or are not to be any more. Raises Unavailable,
        Compacted; DamagedRecord."""
        tenant, _ = await self.stands(tenant_id)
        quota = tenant.clients if tenant is not None else None
        if quota is None or quota.counted:
            return
        name = quota_keys.client_quota(tenant_id, quota.id)
        usages = await range_all(self._store, keys.usage(name, ""))
        found = await self._store.range(keys.capacity(name), at_revision=usages.revision, limit=1)
        if not found.items:
            return  # the quota is another one by now; it is looked at again
        known = clients_of(decode_capacity_record(found.items[0]), usages.items)

        def told(counted: int) -> None:
            self.so_far[tenant_id] = counted
            faultpoints.passing("quotas.page")

        clients = await count_clients(self._store, tenant_id, usages.revision, told)
        faultpoints.passing("quotas.counted")
        await self._add(tenant_id, quota, clients - known, clients)
        faultpoints.passing("quotas.added")

    async def _add(self, tenant_id: str, quota: ClientQuota, missing: int, clients: int) -> None:
        key = keys.tenant(tenant_id)
        name = quota_keys.client_quota(tenant_id, quota.id)
        for _ in range(ATTEMPTS):
            read = await self._store.commit(Txn(then=[Get(key), Get(keys.capacity(name))]))
            if not all(read.results):
                return  # taken off meanwhile
            (pair,), (capacity,) = read.results
            spec = decode_tenant(pair)
            if spec.clients is None or spec.clients.id != quota.id or spec.clients.counted:
                return
            wanted = replace(spec.clients, counted=True, by="")
            if clients > wanted.most and not wanted.excess:
                wanted = replace(wanted, most=0)
            record = decode_capacity_record(capacity)
            record = replace(record, settled=record.settled + missing)
            result = await self._store.commit(
                Txn(
                    compares=[
                        unchanged(key, pair.mod_revision),
                        unchanged(capacity.key, capacity.mod_revision),
                    ],
                    then=[
                        Put(key, encode_tenant(replace(spec, clients=wanted))),
                        *bounded(name, record, wanted.most or UNBOUNDED),
                    ],
                )
            )
            if result.succeeded:
                log.info(
                    "tenant %s has %d clients; the bound on them is %s",
                    tenant_id, clients, wanted.most or "not in force",
                )  # fmt: skip
                return
