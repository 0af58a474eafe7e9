"""ClusterCommitRules: what commit queues rest on where clients are in one assignment cluster and
capacity records with the control data.

Every batch compares the cluster's epoch as well, so that it decides by a shard map that is
new enough, and the unit's gate in place of its fence. Nothing is written for a unit whose
capacity record does not know this provisioner.
"""

from __future__ import annotations

from collections.abc import Sequence

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.store.port import Compare, OutcomeUnknown, Store, TxnResult
from provisioner.ledger import transactions
from provisioner.ledger.account import Account
from provisioner.ledger.commit_rules import RefreshAccounts, WriteRoute, any_outdated
from provisioner.ledger.fences import NO_FENCES, Fences
from provisioner.ledger.session import Session
from provisioner.ledger.sharded import cross_cluster_transactions
from provisioner.ledger.sharded.shard_routes import ShardRoute

READS = 3  # of accounts whose gate had to be updated first
REGISTER_ATTEMPTS = 10


class ClusterCommitRules:
    """CommitRules of one cluster. store: the cluster; shards: its shards; route: of its
    operations."""

    fence_key = staticmethod(keys.gate)

    def __init__(
        self,
        store: Store,
        control: Store,
        session: Session,
        shards: ShardRoute,
        route: WriteRoute,
        fences: Fences = NO_FENCES,
    ) -> None:
        self._store = store
        self._control = control
        self._session = session
        self._shards = shards
        self.route = route
        self._fences = fences
        self.refusal_asked = fences.asked
        self.fixed_compares = 2 + len(fences)

    def compares(self) -> Sequence[Compare]:
        return (self._shards.epoch, *self._fences.compares())

    def outdated(self, compares: Sequence[Compare], result: TxnResult) -> bool:
        """Decided by an old map, or by tenants or policies as they were before one changed."""
        return any_outdated(compares, result)

    def unregistered(self, accounts: Sequence[Account]) -> Sequence[Account]:
        me = self._session.id
        return [one for one in accounts if not cross_cluster_transactions.registered(me, one)]

    async def register(self, account: Account, refresh: RefreshAccounts) -> bool:
        for _ in range(REGISTER_ATTEMPTS):
            me = self._session.id
            await refresh([account])
            if not self._session.stands.is_set() or not account.record_revision:
                return False
            if cross_cluster_transactions.registered(me, account):
                return True
            if account.usage_revision and account.usage:
                continue  # of a unit of that name that is gone; see `read_accounts`
            record, txn = cross_cluster_transactions.register(me, account)
            try:
                result = await self._control.commit(txn)
            except OutcomeUnknown:
                continue
            except ServiceError:
                return False
            if result.succeeded:
                account.accept_record(record, result.revision, me)
                return True
        return False

    async def read_accounts(self, accounts: Sequence[Account]) -> bool:
        me, session = self._session.id, self._session
        units = [account.unit for account in accounts]
        for _ in range(READS):
            here = await self._store.commit(
                cross_cluster_transactions.read_cluster(session.key, me, units)
            )
            if not transactions.session_stands(here, session.revision):
                return False
            await self._shards.accept_epoch(cross_cluster_transactions.epoch_read(here))
            await self._fences.adopt(self._store)
            try:
                control = await self._control.commit(cross_cluster_transactions.read_control(units))
            except ServiceError:
                # The clients are here, and grants stand: no reason to wait for the control data.
                cross_cluster_transactions.accept_usage(accounts, here)
                return True
            stale = cross_cluster_transactions.accept_snapshots(me, accounts, here, control)
            for gate in stale:
                await self._store.commit(cross_cluster_transactions.update_gate(gate))
            for account in accounts:
                if account.usage and not cross_cluster_transactions.registered(me, account):
                    txn = cross_cluster_transactions.reset_usage(session.compare, me, account)
                    result = await self._store.commit(txn)
                    if result.succeeded:
                        account.usage, account.usage_revision = 0, result.revision
            if not stale:
                break
        return True
