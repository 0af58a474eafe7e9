"""TenantRemoval: removes a tenant that has no clients, so that nobody makes one meanwhile.

First its record is marked, and the fence of tenants is rewritten with it: from then on no server
makes a client of it, whatever it had heard (provisioner.ledger.tenant_fence). What clients are
found after that are all that there will be. Where there are none the record goes, with what let
clients in; where there are, the mark is taken back, or they are released first. A mark whose
remover is gone is gone on with by another server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from control_plane import faultpoints, keys, quota_keys
from control_plane.errors import Conflict, NotFound, Refused
from control_plane.fleet.raised_fence import raise_fence
from control_plane.fleet.records import decode_tenant, encode_tenant
from control_plane.fleet.unit import DEFAULT_TENANT, TenantSpec
from control_plane.fleet.unit import TenantRemoval as Mark
from control_plane.store.port import Delete, Put, Store, Txn, unchanged

ATTEMPTS = 10


class ClientsOfTenants(Protocol):
    """Where the clients are, in one store or several."""

    async def any_of(self, tenant_id: str) -> bool:
        """Whether the tenant has a client, exactly, if none is made meanwhile."""
        ...

    async def release_some(self, tenant_id: str) -> int:
        """Releases some of its clients; how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalStep:
    """revision: at which the tenant was removed; 0: it has clients yet. released: how many of
    them were."""

    revision: int
    released: int = 0


class TenantRemover:
    """One per server. session(): the id of its session. assignment_clusters: stores with
    assignments that are not this one. Methods raise StoreUnavailable and OutcomeUnknown besides
    what is said: then the mark may stand, and is gone on with."""

    def __init__(
        self,
        store: Store,
        clients: ClientsOfTenants,
        *,
        session: Callable[[], str],
        clock: Callable[[], float],
        assignment_clusters: Sequence[Store] = (),
    ) -> None:
        self._store = store
        self._clients = clients
        self._session = session
        self._clock = clock
        self._clusters = assignment_clusters
        self._busy_at: dict[str, float] = {}  # tenants this server is at, and since when

    async def remove(self, tenant_id: str) -> RemovalStep:
        """Removes a tenant without clients. Raises NotFound; Refused when it has clients, and
        then it stands as it was; Conflict."""
        revision = await self._begin(tenant_id, with_clients=False)
        if await self._clients.any_of(tenant_id):
            await self._take_back(tenant_id, revision)
            raise Refused(
                f"tenant {tenant_id} has clients; release them first, or remove it with its clients"
            )
        return RemovalStep(revision=await self._finish(tenant_id, revision))

    async def remove_with_clients(self, tenant_id: str) -> RemovalStep:
        """Releases some clients of a tenant, which takes no new ones from then on, and removes it
        once it has none. Call it again until it is. Raises NotFound; Conflict."""
        revision = await self._begin(tenant_id, with_clients=True)
        released = await self._clients.release_some(tenant_id)
        faultpoints.passing("tenants.released")
        if await self._clients.any_of(tenant_id):
            self._busy_at[tenant_id] = self._clock()
            return RemovalStep(revision=0, released=released)
        return RemovalStep(revision=await self._finish(tenant_id, revision), released=released)

    async def go_on(self, tenant: TenantSpec, *, idle_s: float) -> bool:
        """Goes on with a marked tenant whose remover is gone, or has not been at it for idle_s;
        whether it did. What `remove` refuses is no error here: the mark is taken back."""
        mark = tenant.removal
        if mark is None or not await self._is_abandoned(tenant.id, mark, idle_s):
            return False
        try:
            if mark.with_clients:
                await self.remove_with_clients(tenant.id)
            else:
                await self.remove(tenant.id)
        except (NotFound, Refused, Conflict):
            pass  # it is gone, it stands, or somebody else is at it
        return True

    async def _is_abandoned(self, tenant_id: str, mark: Mark, idle_s: float) -> bool:
        if mark.by == self._session():
            return self._clock() - self._busy_at.get(tenant_id, -idle_s) >= idle_s
        return await self._store.get(keys.session(mark.by)) is None

    async def _begin(self, tenant_id: str, *, with_clients: bool) -> int:
        """Marks the tenant; the revision of its record. From then on it gets no clients."""
        if tenant_id == DEFAULT_TENANT.id:
            raise Refused("the tenant default always exists; apply what it should be instead")
        self._busy_at[tenant_id] = self._clock()
        key = keys.tenant(tenant_id)
        mark = Mark(by=self._session(), with_clients=with_clients)
        for _ in range(ATTEMPTS):
            pair = await self._store.get(key)
            if pair is None:
                self._busy_at.pop(tenant_id, None)
                raise NotFound(f"there is no tenant {tenant_id}")
            spec, revision = decode_tenant(pair), pair.mod_revision
            if spec.removal != mark:
                marked = replace(spec, removal=mark)
                result = await self._store.commit(
                    Txn(
                        compares=[unchanged(key, revision)],
                        then=[Put(key, encode_tenant(marked)), Put(keys.TENANTS_FENCE, b"")],
                    )
                )
                if not result.succeeded:
                    continue
                revision = result.revision
                faultpoints.passing("tenants.marked")
            for cluster in self._clusters:
                await raise_fence(cluster, keys.TENANTS_FENCE, revision)
            return revision
        raise Conflict(f"tenant {tenant_id} keeps changing under this request; try again")

    async def _take_back(self, tenant_id: str, revision: int) -> None:
        """Unless somebody has written the record since, and speaks for it now."""
        key = keys.tenant(tenant_id)
        pair = await self._store.get(key)
        if pair is not None and pair.mod_revision == revision:
            spec = replace(decode_tenant(pair), removal=None)
            await self._store.commit(
                Txn(compares=[unchanged(key, revision)], then=[Put(key, encode_tenant(spec))])
            )
        self._busy_at.pop(tenant_id, None)

    async def _finish(self, tenant_id: str, revision: int) -> int:
        key = keys.tenant(tenant_id)
        faultpoints.passing("tenants.emptied")
        for cluster in self._clusters:
            await cluster.commit(Txn(then=[_all(keys.directory_account(tenant_id, ""))]))
        result = await self._store.commit(
            Txn(
                compares=[unchanged(key, revision)],
                then=[
                    Delete(key),
                    # What let clients in does not wait for another tenant of that name.
                    _all(keys.enrolment_group(tenant_id, "")),
                    _all(keys.bootstrap_token(tenant_id, "")),
                    Delete(keys.policy(tenant_id)),
                    _all(keys.policy_version(tenant_id, 0, prefix=True)),
                    _all(keys.POLICY_PINS + f"{tenant_id}/".encode()),
                    Delete(keys.POLICY_PIN_COUNTS + tenant_id.encode()),
                    *map(_all, quota_keys.of_client_quotas(tenant_id)),
                    # Nor do names: all accounts are gone.
                    _all(keys.handle_claim(tenant_id, "")),
                    _all(keys.identifiers_of(tenant_id)),
                    _all(keys.directory_account(tenant_id, "")),
                    _all(keys.proofs_of(tenant_id)),
                    _all(keys.sent_codes_of(tenant_id)),
                    *map(_all, keys.of_organisations(tenant_id)),
                    *map(_all, keys.of_numbers(tenant_id)),
                ],
            )
        )
        self._busy_at.pop(tenant_id, None)
        if not result.succeeded and await self._store.get(key) is not None:
            raise Conflict(f"somebody else changes tenant {tenant_id} or removes it; try again")
        return result.revision


def _all(prefix: bytes) -> Delete:
    return Delete(prefix, prefix=True)
