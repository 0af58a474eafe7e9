"""ForwardingStore: a store that asks another one, for those that do one thing of it differently."""

from __future__ import annotations

from collections.abc import AsyncIterator

from control_plane.store.port import Health, KeyValue, Page, Store, Txn, TxnResult, WatchBatch


class ForwardingStore(Store):
    """Everything passes to `inner` as it is, `close` too."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner

    @property
    def health(self) -> Health:
        return self._inner.health

    async def get(self, key: bytes, *, timeout_s: float | None = None) -> KeyValue | None:
        return await self._inner.get(key, timeout_s=timeout_s)

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
        return await self._inner.range(
            prefix,
            start_after=start_after,
            limit=limit,
            at_revision=at_revision,
            keys_only=keys_only,
            timeout_s=timeout_s,
        )

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        return await self._inner.commit(txn, timeout_s=timeout_s)

    def watch(self, prefix: bytes, *, from_revision: int) -> AsyncIterator[WatchBatch]:
        return self._inner.watch(prefix, from_revision=from_revision)

    async def lease_grant(self, ttl_s: int, *, timeout_s: float | None = None) -> int:
        return await self._inner.lease_grant(ttl_s, timeout_s=timeout_s)

    async def lease_keep_alive(self, lease: int, *, timeout_s: float | None = None) -> float:
        return await self._inner.lease_keep_alive(lease, timeout_s=timeout_s)

    async def lease_revoke(self, lease: int, *, timeout_s: float | None = None) -> None:
        await self._inner.lease_revoke(lease, timeout_s=timeout_s)

    async def compact(self, revision: int, *, timeout_s: float | None = None) -> None:
        await self._inner.compact(revision, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._inner.close()
