"""ShardedAccountStore: the records of accounts where assignments are spread over several clusters,
each with the assignment of its client. Claims are with the control data.

Every transaction compares the epoch of the shard map, as the ledger's do (docs/ledger.md), so that
none is made in a cluster that a client has left; and a move of shards takes the records along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from control_plane.errors import Unavailable
from control_plane.store.port import Get, Store, Txn, TxnResult
from provisioner.directory.replica import ReplicaRead
from provisioner.ledger.sharded.shard_routes import ShardMapCache, ShardRoute

ATTEMPTS = 5


class ShardedAccountStore:
    """AccountStore, and HomeReader, over several clusters, by name."""

    def __init__(self, clusters: Mapping[str, Store], shard_maps: ShardMapCache) -> None:
        self.shared: Store | None = None
        self._clusters = clusters
        self._shard_maps = shard_maps

    async def read(self, txn: Txn, assignment_key: bytes) -> TxnResult:
        """See AccountStore."""
        for _ in range(ATTEMPTS):
            cluster = self._shard_maps.reading_cluster(assignment_key)
            found = await self._commit(cluster, txn)
            if found is not None:
                return found
        raise Unavailable("the client's shard is moving between clusters; try again")

    async def commit(self, txn: Txn, assignment_key: bytes) -> TxnResult:
        """See AccountStore."""
        for _ in range(ATTEMPTS):
            cluster = self._shard_maps.writing_cluster(assignment_key)
            if not cluster:
                break
            found = await self._commit(cluster, txn)
            if found is not None:
                return found
        raise Unavailable("the client's shard is moving between clusters; try again")

    async def _commit(self, cluster: str, txn: Txn) -> TxnResult | None:
        """None: by another epoch than was known; it was not made, and the newer map is known."""
        store, route = self._clusters.get(cluster), self._shard_maps.route(cluster)
        if store is None:
            raise Unavailable("this server does not know the client's assignment cluster")
        result = await store.commit(_guarded(txn, route))
        if result.succeeded:
            return result
        found = result.results[-1]
        epoch = found[0] if found else None
        if (epoch.mod_revision if epoch is not None else 0) == route.epoch.operand:
            return TxnResult(succeeded=False, revision=result.revision)
        await route.accept_epoch(epoch)
        return None


class ShardedHomes:
    """HomeReader over the same: nothing is remembered."""

    def __init__(self, accounts: ShardedAccountStore) -> None:
        self._accounts = accounts

    def remembered(self, keys: Sequence[bytes]) -> ReplicaRead | None:
        """See HomeReader: never."""
        return None

    async def read(self, keys: Sequence[bytes], *, fresh: bool = False) -> ReplicaRead:
        """See HomeReader; one after the other, which are few."""
        pairs = []
        for key in keys:
            found = (await self._accounts.read(Txn(then=[Get(key)]), key)).results[0]
            pairs.append(found[0] if found else None)
        return ReplicaRead(pairs=pairs, revision=0)


def _guarded(txn: Txn, route: ShardRoute) -> Txn:
    return Txn(
        compares=[*txn.compares, route.epoch], then=txn.then, otherwise=[Get(route.epoch.key)]
    )
