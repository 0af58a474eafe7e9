"""ReservationRules: the transactions by which slots are reserved at a unit and returned.

`Reservations` decides when and how many; its rules say how that is written. With one store a
grant, and what was used of it, are returned in one transaction; over several clusters
(`provisioner.ledger.sharded.reservation_rules`) capacity and usage are in different stores.
"""

from __future__ import annotations

from typing import Protocol

from control_plane import faultpoints
from control_plane.errors import ServiceError
from control_plane.fleet.capacity import CapacityRecord
from control_plane.store.port import OutcomeUnknown, Store, Txn
from provisioner.ledger import transactions
from provisioner.ledger.account import Account
from provisioner.ledger.session import Session


class ReservationRules(Protocol):
    """Asked once for each block of slots, not for each client."""

    def registered(self, account: Account) -> bool:
        """Whether slots can be taken at this unit; else `CommitQueue.register` comes first."""
        ...

    def take_grant(self, account: Account, slots: int) -> tuple[CapacityRecord, Txn]:
        """The capacity record with so many slots more of ours, and what writes it. Raises
        Unavailable where we are not registered any more."""
        ...

    async def return_idle_slots(self, account: Account, keep: int) -> bool:
        """Gives back all room but `keep` slots, if there is any; nothing where the store is
        away. False when the account may be out of date, and has to be refreshed. Only while
        no batch of the unit's queue is under way."""
        ...

    def record_changed(self, account: Account) -> None:
        """Another capacity record of this unit was seen."""
        ...


class StoreReservationRules:
    """Capacity, usage and session are in one store."""

    def __init__(self, store: Store, session: Session) -> None:
        self._store = store
        self._session = session

    def registered(self, account: Account) -> bool:
        return True

    def take_grant(self, account: Account, slots: int) -> tuple[CapacityRecord, Txn]:
        session = self._session
        record = account.record.with_grant(session.id + account.queue_name, slots)
        return record, transactions.take_grant(session.compare, session.id, account, slots)

    async def return_idle_slots(self, account: Account, keep: int) -> bool:
        me, session = self._session.id, self._session
        if account.grant == 0 and account.usage == 0:
            return True
        if account.usage > account.grant:
            return False  # never so in the store: what we know is older
        reserved = max(0, account.in_flight)
        kept = min(max(keep, reserved), max(0, account.grant - account.usage))
        holder = me + account.queue_name
        record = account.record.settle(holder, usage=account.usage, keep=kept)
        txn = transactions.return_slots(session.compare, me, account, kept)
        faultpoints.passing("ledger.return.before")
        try:
            result = await self._store.commit(txn)
        except OutcomeUnknown:
            return False
        except ServiceError:
            return True  # nothing was changed; the next round tries again
        faultpoints.passing("ledger.return.after")
        if me != session.id:
            return True
        if not result.succeeded:
            return False
        account.usage, account.usage_revision = 0, result.revision
        account.accept_record(record, result.revision, me)
        return True

    def record_changed(self, account: Account) -> None:
        """What was counted at a unit goes with the unit, in one transaction."""
