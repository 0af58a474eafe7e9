"""Client use: how many clients a tenant has, as the ledger counts them and as they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from control_plane import keys, quota_keys
from control_plane.errors import Refused, ServiceError
from control_plane.fleet.capacity import CapacityRecord
from control_plane.fleet.records import decode_capacity_record, decode_usage
from control_plane.store.damaged import name_in
from control_plane.store.port import KeyValue, Store, range_all

PAGE = 2_000  # clients' keys in one read


class QuotaGone(ServiceError):
    """The capacity record of a quota is not there: somebody wrote past Homeport, or the quota was
    taken off meanwhile."""

    reason = "QUOTA_GONE"

    def __init__(self, tenant_id: str) -> None:
        super().__init__(
            f"the count of the clients of tenant {tenant_id} is not in the store; take the bound "
            "off (`homeport tenants apply --max-clients none`) and apply it again"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientUse:
    """Of one quota of clients, at one revision. clients: those that are in the count; held: places
    that servers hold, used or not, besides settled clients; bound: of the capacity record."""

    clients: int
    held: int
    bound: int
    revision: int


async def read_use(store: Store, name: str) -> ClientUse:
    """name: as quota_keys has it. Raises QuotaGone, DamagedRecord, StoreUnavailable; Compacted."""
    found = (await _read(store, name)).get(name)
    if found is None:
        raise QuotaGone(quota_keys.tenant_of_quota(name))
    return found


async def read_uses(store: Store) -> dict[str, ClientUse]:
    """Of all quotas of clients, by name. Raises as `read_use`."""
    return await _read(store, quota_keys.CLIENT_QUOTA)


async def _read(store: Store, names: str) -> dict[str, ClientUse]:
    """Of those whose names begin so."""
    usages: dict[str, list[KeyValue]] = {}
    page = await range_all(store, keys.USAGE + names.encode())
    for pair in page.items:
        name = (name_in(pair.key, keys.USAGE) or "").rpartition("/")[0]
        usages.setdefault(name, []).append(pair)
    found: dict[str, ClientUse] = {}
    prefix = keys.capacity(names)
    for pair in (await range_all(store, prefix, at_revision=page.revision)).items:
        name = name_in(pair.key, keys.CAPACITY) or ""
        record = decode_capacity_record(pair)
        found[name] = ClientUse(
            clients=clients_of(record, usages.get(name, ())),
            held=record.settled + record.granted,
            bound=record.capacity,
            revision=page.revision,
        )
    return found


def clients_of(record: CapacityRecord, usages: Sequence[KeyValue]) -> int:
    """That are in the count of a quota. usages: of all who have a grant. Raises DamagedRecord."""
    return record.settled + sum(map(decode_usage, usages))


async def count_clients(
    store: Store, tenant_id: str, revision: int, told: Callable[[int], None] = lambda counted: None
) -> int:
    """How many clients of a tenant stand at one revision, whatever is counted. told(n): after each
    page, how many so far. Raises StoreUnavailable; Compacted where that history is gone."""
    prefix, counted = keys.assignments_of(tenant_id), 0
    after: bytes | None = None
    while True:
        page = await store.range(
            prefix, start_after=after, limit=PAGE, at_revision=revision, keys_only=True
        )
        counted += len(page.items)
        told(counted)
        if not page.more:
            return counted
        after = page.items[-1].key


async def check_no_bounds(store: Store) -> bool:
    """True where no tenant's clients are counted. Raises Refused; StoreUnavailable."""
    page = await store.range(keys.capacity(quota_keys.CLIENT_QUOTA), limit=1, keys_only=True)
    if page.items:
        tenant = quota_keys.tenant_of_quota(name_in(page.items[0].key, keys.CAPACITY) or "")
        raise Refused(
            f"tenant {tenant} has a bound on its clients, which is not held where assignments are "
            "spread over several clusters; start a server without --assignment-stores, and take it "
            f"off first: `homeport tenants apply {tenant} --max-clients none`"
        )
    return True
