"""ClusterTaggedStore: one of several clusters, whose revisions say which cluster they are of.

A revision means something in one cluster only. What was read in one must never be compared
in another, where the same number may belong to something else. So each cluster's revisions
carry its number in their upper bits, and a compare with another cluster's revision simply
does not hold. 0, which means absent, is 0 everywhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from control_plane.store.port import (
    Compacted,
    Compare,
    Event,
    Health,
    KeyValue,
    Page,
    Store,
    Target,
    Txn,
    TxnResult,
    WatchBatch,
)

BITS = 48  # revisions of one cluster: 2**48, at 100,000 a second for 89 years
MASK = (1 << BITS) - 1
NEVER = (1 << 62) - 1  # a revision that no key ever has
_REVISIONS = (Target.CREATE_REVISION, Target.MOD_REVISION)


class ClusterTaggedStore(Store):
    """`number`: from 1, another one for each cluster. Owns `inner`."""

    def __init__(self, inner: Store, number: int) -> None:
        if not 0 < number < 1 << (62 - BITS):
            raise ValueError(f"cluster number {number} is out of range")
        self._inner = inner
        self._base = number << BITS

    @property
    def health(self) -> Health:
        return self._inner.health

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        found = await self._inner.get(key, timeout_s=timeout_s)
        return self._told(found) if found is not None else None

    async def range(
        self,
        prefix: bytes,
        *,
        start_after: bytes | None = None,
        limit: int = 0,
        at_revision: int = 0,
        keys_only: bool = False,
        timeout_s: float | None = None,
    ) -> Page:
        if at_revision and at_revision & ~MASK != self._base:
            raise Compacted(self._base + 1)  # of another cluster: it cannot be read here
        page = await self._inner.range(
            prefix,
            start_after=start_after,
            limit=limit,
            at_revision=at_revision & MASK,
            keys_only=keys_only,
            timeout_s=timeout_s,
        )
        items = [self._told(pair) for pair in page.items]
        return Page(items=items, revision=page.revision + self._base, more=page.more)

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        base = self._base
        compares = [
            one
            if one.target not in _REVISIONS or not one.operand
            else Compare(one.key, one.target, self._compared(one.operand))
            for one in txn.compares
        ]
        result = await self._inner.commit(
            Txn(
                compares=compares,
                then=txn.then,
                otherwise=txn.otherwise,
                creates=txn.creates,
            ),
            timeout_s=timeout_s,
        )
        told: Sequence[Sequence[KeyValue]] = [
            [self._told(pair) for pair in found] if found else found for found in result.results
        ]
        return TxnResult(succeeded=result.succeeded, revision=result.revision + base, results=told)

    async def watch(self, prefix: bytes, *, from_revision: int) -> AsyncIterator[WatchBatch]:
        try:
            async for batch in self._inner.watch(prefix, from_revision=self._own(from_revision)):
                events = [Event(kv=self._told(e.kv), deleted=e.deleted) for e in batch.events]
                yield WatchBatch(events=events, revision=batch.revision + self._base)
        except Compacted as error:
            raise Compacted(error.compact_revision + self._base) from error

    async def lease_grant(self, ttl_s: int, *, timeout_s: float | None = None) -> int:
        return await self._inner.lease_grant(ttl_s, timeout_s=timeout_s)

    async def lease_keep_alive(self, lease: int, *, timeout_s: float | None = None) -> float:
        return await self._inner.lease_keep_alive(lease, timeout_s=timeout_s)

    async def lease_revoke(self, lease: int, *, timeout_s: float | None = None) -> None:
        await self._inner.lease_revoke(lease, timeout_s=timeout_s)

    async def compact(self, revision: int, *, timeout_s: float | None = None) -> None:
        await self._inner.compact(self._own(revision), timeout_s=timeout_s)

    async def close(self) -> None:
        await self._inner.close()

    def _told(self, pair: KeyValue) -> KeyValue:
        base = self._base
        created = pair.create_revision
        return KeyValue(
            pair.key,
            pair.value,
            created + base if created else 0,
            pair.mod_revision + base,
            pair.version,
            pair.lease,
        )

    def _own(self, revision: int) -> int:
        """A revision of this cluster as the cluster knows it. Raises ValueError for one of
        another cluster."""
        if revision and revision & ~MASK != self._base:
            raise ValueError(f"revision {revision} is not of this cluster")
        return revision & MASK

    def _compared(self, operand: int | bytes) -> int:
        if isinstance(operand, bytes) or operand & ~MASK != self._base:
            return NEVER
        return operand & MASK
