"""Client quotas: a quota of clients is how many a tenant may have at once, held as the capacity of
units is.

A tenant whose clients are counted has a capacity record like a unit's, whose slots are places for
clients of the tenant, whatever unit they live at. Each commit queue has a grant and a usage key of
its own there, so that no two transactions wait for one key: a batch that makes clients of the
tenant, or releases some, changes the queue's usage in the same transaction. Where the grant does
not suffice the client waits until a block is there, and is refused where nothing is free.
docs/ledger.md argues why the count is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from control_plane import keys, quota_keys
from control_plane.errors import Exhausted, ServiceError, Unavailable
from control_plane.fleet.capacity import CapacityRecord
from control_plane.store.port import Store
from provisioner.ledger.account import NO_CAPACITY, Account
from provisioner.ledger.commit_queue import CommitQueue
from provisioner.ledger.operations import Claim, Operation, tell
from provisioner.ledger.reservation_rules import ReservationRules
from provisioner.ledger.reservations import Reservations
from provisioner.ledger.session import Session

MOST_BLOCK = 1_000  # places asked for at once, unless more clients wait
RETRY_S = 5.0
RETRY_HELD_S = 1.0  # where other queues or servers hold places that they may give back


class ClientQuotaReached(Exhausted):
    """The tenant has as many clients as it may have at once. One of them has to be released first,
    or the bound raised."""

    reason = "QUOTA"

    def __init__(self, tenant: str, use: int, bound: int, *, retry_after_s: float) -> None:
        super().__init__(
            f"tenant {tenant} may have {bound:,} clients at once, and has them, or has places held "
            f"for them ({use:,}); release clients, or have the bound raised "
            "(`homeport tenants apply --max-clients`)",
            retry_after_s=retry_after_s,
        )
        self.tenant = tenant
        self.metadata = {
            "quota": "clients", "counted_by": "tenant", "use": str(use), "bound": str(bound),
        }  # fmt: skip


class WaitForPlace(Operation):
    """A claim that waits until its queue has a place for it. account: the quota's."""

    __slots__ = ("claim",)

    def __init__(self, claim: Claim, account: Account) -> None:
        self.claim = claim
        self.account = account
        self.key = claim.key
        self.expires_at = claim.expires_at

    def failed(self, error: ServiceError) -> None:
        self.claim.failed(error)


class QueueQuotas:
    """The quotas of clients as one commit queue writes them.

    counted: the names (quota_keys.client_quota) of those that stand, by tenant; it follows the
    records of tenants, and is never behind the fence of tenants that a batch compares. submit:
    takes a claim for which there is a place now. spawn, clock: as Reservations.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        rules: ReservationRules,
        queue: CommitQueue,
        *,
        number: int,
        counted: Mapping[bytes, str],
        submit: Callable[[Claim], None],
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], bool],
    ) -> None:
        self.counted = counted
        self.accounts: dict[str, Account] = {}
        self._queue_name = f"{quota_keys.QUEUE}{number}"
        self._submit = submit
        self._records: dict[str, tuple[CapacityRecord, int]] = {}
        self._session = session
        self._reservations: Reservations[WaitForPlace] = Reservations(
            store,
            session,
            rules,
            clock=clock,
            queue_of=lambda account: queue,
            spawn=spawn,
            hand_on=lambda wait: submit(wait.claim),
            reroute=self._refuse,
            touched=lambda account: None,
        )

    # -- what its queue asks -----------------------------------------------------------

    def account_of(self, assignment_key: bytes) -> Account | None:
        """Where a client of the tenant is counted; None: nowhere."""
        name = self.counted.get(keys.tenant_in(assignment_key))
        if name is None:
            return None
        found = self.accounts.get(name)
        if found is None:
            found = Account(unit=name, queue_name=self._queue_name, most_block=MOST_BLOCK)
            self.accounts[name] = found
            seen = self._records.get(name)
            if seen is not None:
                found.accept_record(*seen, self._session.id)
        return found

    def wait(self, claim: Claim, account: Account) -> None:
        """There is no place in the queue's grant: the claim waits for one, or is refused."""
        wait = WaitForPlace(claim, account)
        if account.record_revision and account.record.free <= 0 and not account.idle:
            self._refuse(wait)
        else:
            self._reservations.wait_for_slot(wait)

    def why_no_place(self, assignment_key: bytes) -> ClientQuotaReached | None:
        """Why there can be no further client of the key's tenant; None: there can, as far as is
        known."""
        account = self.account_of(assignment_key)
        if account is None or not account.record_revision:
            return None
        record = account.record
        if record.free > 0 or (account.idle and record.consistent):
            return None
        return _reached(account)

    def used(self, account: Account) -> None:
        """A batch has taken places: asks for the next block while some are left."""
        if account.room <= account.block >> 2 and account.record.free > 0:
            self._reservations.request_block(account)

    # -- what the ledger tells it ------------------------------------------------------

    def record_changed(self, name: str, seen: tuple[CapacityRecord, int] | None) -> None:
        """The capacity record of a quota is another one; None: it is gone."""
        if seen is None:
            self._records.pop(name, None)
        else:
            self._records[name] = seen
        account = self.accounts.get(name)
        if account is None:
            return
        if seen is None:
            account.record, account.record_revision, account.grant = NO_CAPACITY, 0, 0
            account.adopted = False
            return
        record, revision = seen
        lowered = record.capacity < account.record.capacity
        account.accept_record(record, revision, self._session.id)
        if lowered:
            account.adopted = False
            self._reservations.return_unused(account)

    def answer_notice(self, name: str, holder: str) -> None:
        """Another queue, here or elsewhere, has no place left for a client of the tenant."""
        account = self.accounts.get(name)
        if account is not None:
            self._reservations.answer_notice(account, holder)

    def begin_anew(self) -> None:
        """A new session: nothing is ours any more."""
        for account in self.accounts.values():
            account.grant, account.usage, account.usage_revision = 0, 0, 0
            account.adopted = False

    def sweep(self) -> None:
        """Now and then: gives back what is idle, forgets quotas that are gone."""
        standing = set(self.counted.values())
        for name, account in list(self.accounts.items()):
            if name in standing:
                self._reservations.return_unused(account)
                if account.usage < 0 and account.record.free <= 0:
                    self._reservations.return_idle_slots(account, keep=0)
            elif not account.waiting:
                del self.accounts[name]
        self._reservations.drop_expired()

    def held(self) -> list[Account]:
        """Accounts that have something to give back."""
        return [one for one in self.accounts.values() if one.grant or one.usage]

    def return_idle_slots(self, account: Account) -> Any:
        """As Reservations."""
        return self._reservations.return_idle_slots(account, keep=0)

    def _refuse(self, wait: WaitForPlace) -> None:
        account = wait.account
        if self.counted.get(keys.tenant_in(wait.key)) != account.unit:
            self._submit(wait.claim)  # that quota is gone
            return
        error: ServiceError
        if account.record_revision and account.record.free <= 0:
            self._reservations.request_slots(account)
            error = _reached(account)
        else:
            tenant = quota_keys.tenant_of_quota(account.unit)
            error = Unavailable(f"the clients of tenant {tenant} cannot be counted now; try again")
        tell(wait.claim.failed, error)


def _reached(account: Account) -> ClientQuotaReached:
    record = account.record
    held = record.granted > account.usage
    return ClientQuotaReached(
        quota_keys.tenant_of_quota(account.unit),
        record.settled + record.granted,
        record.capacity,
        retry_after_s=RETRY_HELD_S if held else RETRY_S,
    )
