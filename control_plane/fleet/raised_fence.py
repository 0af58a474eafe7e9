"""Raising a fence in an assignment cluster: it asks for what the control data said at a revision.

With the control data itself a fence is rewritten in the transaction that changes what it guards.
A cluster has a copy, whose value names that revision, and which only ever goes up.
"""

from __future__ import annotations

from control_plane.errors import Conflict
from control_plane.store.port import Put, Store, Txn, unchanged

ATTEMPTS = 10


async def raise_fence(cluster: Store, key: bytes, revision: int) -> None:
    """Has the fence at `key` ask for what is known as of `revision` of the control data, or a later
    one. Raises Conflict where others keep raising it; StoreUnavailable, OutcomeUnknown."""
    for _ in range(ATTEMPTS):
        pair = await cluster.get(key)
        if pair is not None and int(pair.value or b"0") >= revision:
            return
        result = await cluster.commit(
            Txn(
                compares=[unchanged(key, pair.mod_revision if pair else 0)],
                then=[Put(key, b"%d" % revision)],
            )
        )
        if result.succeeded:
            return
    raise Conflict("others keep raising the same fence; try again")
