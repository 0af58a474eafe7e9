"""PinRegistry: pins clients to units, and takes that back.

Each change is one transaction with the count of the tenant's pins, which keeps them bounded, with
its record, so that no pin outlives it, and with the fence of policies: once it is written, nobody
is placed by a server that has not heard of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from control_plane import keys
from control_plane.backoff import Backoff
from control_plane.errors import Conflict, NotFound, Refused
from control_plane.fleet.raised_fence import raise_fence
from control_plane.fleet.unit import DEFAULT_TENANT
from control_plane.store.port import Delete, KeyValue, Operation, Put, Store, Txn, unchanged
from provisioner.applied_policies.pin_record import PinRecord, encode_pin, pin_key, read_pin

MOST_PINS = 10_000  # of one tenant
ATTEMPTS = 10  # where others pin clients of the tenant at the same time
_AGAIN = Backoff(first_s=0.01, most_s=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinsPage:
    """pins: by the ids of their clients, in order. after: of the next page; empty: that was all."""

    pins: Sequence[tuple[str, PinRecord]]
    after: str = ""


class PinRegistry:
    """Over one store. wall: Unix seconds. assignment_clusters: stores with assignments that are not
    this one; most: pins of one tenant; jitter: 0 to 1, new at each call. Raises StoreUnavailable
    and OutcomeUnknown besides what is said."""

    def __init__(
        self,
        store: Store,
        *,
        wall: Callable[[], float],
        assignment_clusters: Sequence[Store] = (),
        most: int = MOST_PINS,
        jitter: Callable[[], float],
    ) -> None:
        self._store = store
        self._wall = wall
        self._clusters = assignment_clusters
        self._most = most
        self._jitter = jitter

    async def read(self, tenant: str, client_id: str) -> PinRecord | None:
        """The pin of a client, whether its time is over or not; None: it has none."""
        pair = await self._store.get(pin_key(tenant, client_id))
        return None if pair is None else read_pin(pair)

    async def page(self, tenant: str, after: str, size: int) -> PinsPage:
        """Of the tenant's pins, those behind the client `after`."""
        prefix = pin_key(tenant, "")
        start = prefix + after.encode() if after else None
        page = await self._store.range(prefix, start_after=start, limit=size)
        pins = [(pair.key[len(prefix) :].decode(), read_pin(pair)) for pair in page.items]
        return PinsPage(pins=pins, after=pins[-1][0] if page.more and pins else "")

    async def pin(
        self, tenant: str, client_id: str, unit: str, *, reason: str, until_ms: int
    ) -> tuple[PinRecord, int]:
        """In place of the pin that the client may have; and the store's revision then. Raises
        NotFound where there is no such tenant; Refused where it has too many; Conflict."""
        record = PinRecord(
            unit=unit, at_ms=int(self._wall() * 1000), reason=reason, until_ms=until_ms
        )
        revision = await self._write(tenant, client_id, record)
        assert revision is not None
        return record, revision

    async def unpin(self, tenant: str, client_id: str) -> int | None:
        """The store's revision then; None: the client was not pinned. Raises NotFound; Conflict."""
        return await self._write(tenant, client_id, None)

    async def _write(self, tenant: str, client_id: str, record: PinRecord | None) -> int | None:
        key, of_tenant = pin_key(tenant, client_id), keys.tenant(tenant)
        counted = keys.POLICY_PIN_COUNTS + tenant.encode()
        for failures in range(ATTEMPTS):
            if failures:  # others wrote in between: not all of them at once again
                await asyncio.sleep(_AGAIN.pause_s(failures - 1, self._jitter()))
            pair, owner = await self._store.get(key), await self._store.get(of_tenant)
            count_pair = await self._store.get(counted)
            if owner is None and tenant != DEFAULT_TENANT.id:
                raise NotFound(f"there is no tenant {tenant}")
            if record is None and pair is None:
                await self._tell_clusters_again()
                return None
            count = int(count_pair.value) if count_pair is not None else 0
            count += (record is not None) - (pair is not None)
            if record is not None and pair is None and count > self._most:
                raise Refused(
                    f"tenant {tenant} has {self._most:,} pinned clients, and no more are kept; "
                    "unpin some, or write a rule for groups of them"
                )
            writes: list[Operation] = [
                Put(key, encode_pin(record)) if record is not None else Delete(key),
                Put(counted, b"%d" % count) if count else Delete(counted),
                Put(keys.POLICIES_FENCE, b""),
            ]
            result = await self._store.commit(
                Txn(
                    compares=[
                        unchanged(key, _revision(pair)),
                        unchanged(of_tenant, _revision(owner)),
                        unchanged(counted, _revision(count_pair)),
                    ],
                    then=writes,
                )
            )
            if result.succeeded:
                for cluster in self._clusters:
                    await raise_fence(cluster, keys.POLICIES_FENCE, result.revision)
                return result.revision
        raise Conflict(f"others keep pinning clients of tenant {tenant}; try again")

    async def _tell_clusters_again(self) -> None:
        """Of the last change: whoever asks once more may have heard that a cluster was away."""
        if not self._clusters:
            return
        fence = await self._store.get(keys.POLICIES_FENCE)
        for cluster in self._clusters if fence is not None else ():
            await raise_fence(cluster, keys.POLICIES_FENCE, _revision(fence))


def _revision(pair: KeyValue | None) -> int:
    return pair.mod_revision if pair is not None else 0
