"""MarkedStore: a store whose transactions, where a call makes them that is audited, are made only
as long as the call has no outcome, and leave a mark that they were.

So whoever ends a call that nobody is at any more sees whether its change was made, and with its
outcome bars what is still on the way: one of the two transactions is refused, and never both made.
Everything else passes as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from control_plane import faultpoints, keys
from control_plane.audit.change import change_here, told_already
from control_plane.store.port import (
    Compare,
    Get,
    Health,
    KeyValue,
    Page,
    Put,
    Store,
    Target,
    Txn,
    TxnResult,
    WatchBatch,
)


class MarkedStore(Store):
    """Owns `inner`. A transaction that is marked has room for one operation less in each list."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner

    @property
    def health(self) -> Health:
        return self._inner.health

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        """See Store. Raises Unavailable where the call has its outcome already."""
        sequence = change_here()
        if not sequence or not _writes(txn):
            return await self._inner.commit(txn, timeout_s=timeout_s)
        result = await self._inner.commit(marked(txn, sequence), timeout_s=timeout_s)
        *others, own = result.results
        if not result.succeeded and not own:
            raise told_already(sequence)
        if result.succeeded:
            faultpoints.passing("audit.committed")
        return TxnResult(succeeded=result.succeeded, revision=result.revision, results=others)

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


def marked(txn: Txn, sequence: int) -> Txn:
    """The same while the entry is open; it leaves its mark then. Where it is refused it
    finds, last, whether the entry is open. Its key was written once, so that its version is 1."""
    open_ = keys.audit_open(sequence)
    return Txn(
        compares=[*txn.compares, Compare(open_, Target.VERSION, 1)],
        creates=txn.creates,
        then=[*txn.then, Put(keys.audit_made(sequence), b"")],
        otherwise=[*txn.otherwise, Get(open_)],
    )


def _writes(txn: Txn) -> bool:
    return bool(txn.creates) or any(type(one) is not Get for one in txn.then)
