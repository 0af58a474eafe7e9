"""ShardedHoldBook: confirms admissions where assignments are in several clusters.

Like HoldBook, and besides: a hold is deleted only in the cluster that the client's shard is
written in, under the epoch that says so, or the copy of it elsewhere would stand for ever and
cost the client its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.store.port import Delete, Get, Txn
from provisioner.ledger.holds import CONFIRM_S, DELETES
from provisioner.ledger.sharded.ledger import ShardedLedger
from provisioner.shards.moving import client_of

RETRY_S = 0.05


class ShardedHoldBook:
    """`run` is a task of the owner's. clock: monotonic seconds."""

    def __init__(self, ledger: ShardedLedger, *, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock
        self.confirmed = 0
        self.transactions = 0

    async def confirm(self, holds: Sequence[bytes]) -> None:
        """Returns when none of these keys stands any more. Idempotent. Raises Unavailable,
        and then some may be gone."""
        end, left = self._clock() + CONFIRM_S, list(dict.fromkeys(holds))
        while left:
            left = await self._delete(left)
            if not left:
                return
            if self._clock() > end:
                raise Unavailable("admissions cannot be written now; send them again")
            await asyncio.sleep(RETRY_S)

    async def run(self) -> None:
        """Nothing to do: a beat's confirmations are a group of their own."""

    async def _delete(self, holds: Sequence[bytes]) -> list[bytes]:
        """Deletes what can be deleted now; what is left."""
        left: list[bytes] = []
        by_cluster: dict[str, list[bytes]] = {}
        for key in holds:
            cluster = self._ledger.charts.writer(client_of(key) or key)
            by_cluster.setdefault(cluster, []).append(key)
        for cluster, mine in by_cluster.items():
            branch = self._ledger.branches.get(cluster)
            if branch is None:
                left += mine
                continue
            for start in range(0, len(mine), DELETES):
                part = mine[start : start + DELETES]
                # The map may have changed while the part before was written.
                part_left = [
                    key for key in part if not branch.territory.writes(client_of(key) or key)
                ]
                part = [key for key in part if branch.territory.writes(client_of(key) or key)]
                left += part_left
                if not part:
                    continue
                self.transactions += 1
                result = await branch.store.commit(
                    Txn(
                        compares=[branch.territory.epoch],
                        then=[Delete(key) for key in part],
                        otherwise=[Get(keys.SHARD_EPOCH)],
                    )
                )
                if result.succeeded:
                    self.confirmed += len(part)
                else:
                    found = result.results[0]
                    await branch.territory.adopt(found[0] if found else None)
                    left += part
        return left
