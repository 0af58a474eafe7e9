"""ClusterReservationRules: slots are reserved and returned by the allowance that stands for this
provisioner in the unit's capacity record, which is with the control data.
"""

from __future__ import annotations

from control_plane import faultpoints
from control_plane.errors import ServiceError, Unavailable
from control_plane.fleet.capacity import CapacityRecord, decode_capacity
from control_plane.store.cluster_tagged import NEVER
from control_plane.store.port import OutcomeUnknown, Store, Txn
from provisioner.ledger.account import Account
from provisioner.ledger.session import Session
from provisioner.ledger.sharded import cross_cluster_transactions


class ClusterReservationRules:
    """ReservationRules of one cluster. store: the cluster."""

    def __init__(self, store: Store, control: Store, session: Session) -> None:
        self._store = store
        self._control = control
        self._session = session

    def registered(self, account: Account) -> bool:
        return cross_cluster_transactions.registered(self._session.id, account)

    def take_grant(self, account: Account, slots: int) -> tuple[CapacityRecord, Txn]:
        if not self.registered(account):
            # Our session expired and was reclaimed, or the unit was made anew, since we asked.
            raise Unavailable("the unit's ledger does not know this server any more; try again")
        return cross_cluster_transactions.take_grant(self._session.id, account, slots)

    async def return_idle_slots(self, account: Account, keep: int) -> bool:
        """In two steps: once U is certain in the cluster, the allowance is lowered."""
        me, session = self._session.id, self._session
        if account.usage > account.grant:
            return False  # never so in the store: what we know is older
        if not self.registered(account) or not _above(account, keep):
            return True
        faultpoints.passing("ledger.return.before")
        try:
            certain = await self._confirm_usage(account)
        except OutcomeUnknown:
            certain = False
        except ServiceError:
            return True
        if me != session.id:
            return True
        if not certain:
            return False
        if not _above(account, keep):
            return True  # reserved meanwhile
        kept = max(keep, account.in_flight)
        record, txn = cross_cluster_transactions.lower_allowance(me, account, kept)
        account.grant = account.usage + kept  # until a newer record says otherwise
        try:
            result = await self._control.commit(txn)
        except OutcomeUnknown:
            return True
        except ServiceError:
            if me == session.id:
                account.grant = account.record.grants.get(me, 0)  # surely not applied
            return True
        faultpoints.passing("ledger.return.after")
        if me != session.id:
            return True
        if result.succeeded:
            account.accept_record(record, result.revision, me)
        elif result.results[0]:
            found = result.results[0][0]
            account.accept_record(decode_capacity(found.value), found.mod_revision, me)
        return True

    def record_changed(self, account: Account) -> None:
        if account.usage and not self.registered(account):
            # The unit was removed, and perhaps made anew: what we counted was for the old one.
            # No write holds until the store was asked.
            account.usage, account.usage_revision = 0, NEVER
            account.adopted = False

    async def _confirm_usage(self, account: Account) -> bool:
        """Whether U is what we believe from now on, whatever is still on its way. Raises
        OutcomeUnknown, StoreUnavailable."""
        session = self._session
        txn = cross_cluster_transactions.confirm_usage(session.compare, session.id, account)
        result = await self._store.commit(txn)
        if result.succeeded:
            account.usage_revision = result.revision
        return result.succeeded


def _above(account: Account, keep: int) -> bool:
    """Whether there is room besides what is to be kept."""
    return account.grant - account.usage > max(keep, account.in_flight)
