"""MarkedStore: a store whose transactions, where a call makes them that is audited, are made only
as long as the call has no outcome, and leave a mark that they were.

So whoever ends a call that nobody is at any more sees whether its change was made, and with its
outcome bars what is still on the way: one of the two transactions is refused, and never both made.
Everything else passes as it is.
"""

from __future__ import annotations

from control_plane import faultpoints, keys
from control_plane.audit.change import change_here, told_already
from control_plane.store.forwarding_store import ForwardingStore
from control_plane.store.port import (
    Compare,
    Get,
    Put,
    Target,
    Txn,
    TxnResult,
)


class MarkedStore(ForwardingStore):
    """Owns `inner`. A transaction that is marked has room for one operation less in each list."""

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
