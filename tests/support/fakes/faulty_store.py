"""FaultyStore: a real store whose commits fail on order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from control_plane import keys
from control_plane.store.port import OutcomeUnknown, Put, StoreUnavailable, Txn, TxnResult


def assigns(txn: Txn) -> bool:
    """Whether a transaction is a batch of assignments."""
    writes = txn.expanded().then
    return any(isinstance(o, Put) and o.key.startswith(keys.ASSIGNMENTS) for o in writes)


class FaultyStore:
    """Passes everything on, but for commits that `when` picks while `faults` holds orders:
    "lost before" (not applied, outcome unknown), "lost after" (applied, outcome unknown),
    "refused" (surely not applied)."""

    def __init__(self, store: Any, when: Callable[[Txn], bool] = assigns) -> None:
        self._store = store
        self._when = when
        self.faults: deque[str] = deque()
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> TxnResult:
        if not self._when(txn):
            return await self._store.commit(txn, timeout_s=timeout_s)
        self.commits += 1
        fault = self.faults.popleft() if self.faults else ""
        if fault == "refused":
            raise StoreUnavailable("the store is away")
        if fault == "lost before":
            raise OutcomeUnknown("no answer in time")
        result: TxnResult = await self._store.commit(txn, timeout_s=timeout_s)
        if fault == "lost after":
            raise OutcomeUnknown("no answer in time")
        return result
