"""StoreLedger: hands out slots of units exactly, durably and in groups, to the clients that are
in one store.

It keeps the accounts, sends each claim to the commit queue of its unit or to wait for a
grant, follows the capacity records, and owns every task below it. How its parts write is
given to it as rules: `single_store` has those for everything in one store,
`sharded.cluster_ledger` those for one cluster among several.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from control_plane import keys, quota_keys
from control_plane.errors import Refused, ServiceError, Unavailable
from control_plane.fleet.capacity import CapacityRecord, decode_capacity
from control_plane.store.damaged import DamagedKeys
from control_plane.store.port import KeyValue, Store
from control_plane.store.replica import Replica
from control_plane.supervision import Supervisor
from control_plane.tracing.tracer import Tracer
from provisioner.ledger import transactions
from provisioner.ledger.account import NO_CAPACITY, Account
from provisioner.ledger.client_quotas import QueueQuotas
from provisioner.ledger.commit_queue import CommitQueue
from provisioner.ledger.commit_rules import CommitRules
from provisioner.ledger.operations import Claim, Lookup, Release
from provisioner.ledger.port import LedgerCounts
from provisioner.ledger.reader import LookupRules, Reader
from provisioner.ledger.reclaim import Reclaimer
from provisioner.ledger.reservation_rules import ReservationRules
from provisioner.ledger.reservations import Reservations, reserve
from provisioner.ledger.session import Session
from provisioner.placement.filters import PolicySource
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.policy_chooser import PolicyChooser

SWEEP_S = 1.0
COMMIT_QUEUES = 2  # full transactions on their way at once, while answers of others are written
PERMITS = 2  # of those that are not full


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRules:
    """How the parts of a ledger write. control: where the capacity records are. reclaim:
    as Reclaimer has it."""

    control: Store
    commit: CommitRules
    reservations: ReservationRules
    lookups: LookupRules | None
    reclaim: Callable[[DamagedKeys], Awaitable[int]]


class StoreLedger:
    """A Ledger.

    clock: monotonic seconds. jitter: seconds, for things that many provisioners would do at
    once. supervisor: of the tasks of `run`, which ends the process where the session may not
    begin anew. queues: how many commit queues; a ledger for moves has one. resubmit: takes a
    claim that has chosen another unit, if not `submit`. touched: called whenever an account's
    room may have changed. counted: quotas of clients, as QueueQuotas; None: there are none here.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        rules: LedgerRules,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        supervisor: Supervisor,
        queues: int = COMMIT_QUEUES,
        resubmit: Callable[[Claim], None] | None = None,
        touched: Callable[[Account], None] | None = None,
        counted: Mapping[bytes, str] | None = None,
    ) -> None:
        self._store = store
        self._rules = rules
        self._clock = clock
        self._supervisor = supervisor
        self._resubmit = resubmit or self.submit
        self._touched = touched
        self.session = session
        session.on_renewed = self._begin_anew
        self.accounts: dict[str, Account] = {}
        self.occupancy = Occupancy(0)
        permits = asyncio.Semaphore(PERMITS)
        self.queues = [
            CommitQueue(
                store,
                session,
                rules.commit,
                permits=permits,
                clock=clock,
                reroute=self._reroute,
                touched=self._touch,
                assign=transactions.assign,
            )
            for _ in range(queues)
        ]
        self.reservations: Reservations[Claim] = Reservations(
            rules.control,
            session,
            rules.reservations,
            clock=clock,
            queue_of=self._queue_of,
            spawn=self._spawn,
            hand_on=self._reserve_and_submit,
            reroute=self._reroute,
            touched=self._touch,
        )
        self.client_quotas: list[QueueQuotas] = []
        for number, queue in enumerate(self.queues):
            if counted is None:
                continue
            queue.quotas = quotas = QueueQuotas(
                rules.control,
                session,
                rules.reservations,
                queue,
                number=number,
                counted=counted,  # it may be empty yet
                submit=self.submit,
                clock=clock,
                spawn=self._spawn,
            )
            self.client_quotas.append(quotas)
        self.reader = Reader(store, rules.lookups, clock=clock)
        self.reclaimer = Reclaimer(rules.reclaim, jitter=jitter)
        self.capacity = Replica(
            rules.control, keys.CAPACITY, _seen_capacity, self._capacity_changed, keeps_pairs=True
        )
        self._sessions = Replica(store, keys.SESSIONS, _as_is, self._session_changed)
        self._notices = Replica(rules.control, keys.STARVING, _notice, self._notice_changed)
        self._replicas: tuple[Replica[Any], ...] = (self.capacity, self._sessions, self._notices)
        self._group: asyncio.TaskGroup | None = None

    # -- what is asked of it -----------------------------------------------------------

    def submit(self, claim: Claim) -> None:
        account = claim.account
        room = account.room
        if room > 0 and not account.waiting:
            reserve(claim, self._clock())
            self.occupancy.use_slot(account.index)
            if room <= account.block >> 2 and account.record.free > 0:
                self.reservations.request_block(account)
            self.queues[account.queue].submit(claim)
        else:
            self.reservations.wait_for_slot(claim)
            self._touch(account)

    def release(self, release: Release) -> None:
        self._queue_of(release.account).submit(release)

    def look_up(self, lookup: Lookup) -> None:
        self.reader.look_up(lookup)

    def why_no_place(self, assignment_key: bytes) -> ServiceError | None:
        reached = [one.why_no_place(assignment_key) for one in self.client_quotas]
        return reached[0] if reached and all(reached) else None

    def request_slots(self, unit_ids: Sequence[str]) -> None:
        for unit in unit_ids:
            account = self.accounts.get(unit)
            if account is not None:
                self.reservations.request_slots(account)

    def forward_misplaced(self) -> None:
        """Which clients belong here has changed: passes on what waits for others."""
        for queue in self.queues:
            queue.forward_misplaced()

    # -- units -------------------------------------------------------------------------

    def follow(self, unit_ids: Sequence[str]) -> None:
        for account in self.accounts.values():
            account.index = -1
        self.occupancy = Occupancy(len(unit_ids))
        for index, unit in enumerate(unit_ids):
            account = self.account(unit)
            account.index = index
            self._touch(account)

    def account(self, unit: str) -> Account:
        found = self.accounts.get(unit)
        if found is None:
            queue = len(self.accounts) % len(self.queues)
            found = self.accounts[unit] = Account(unit=unit, queue=queue)
        return found

    def chooser(self, fleet: PlacementFleet, policies: PolicySource) -> PolicyChooser:
        return PolicyChooser(fleet, policies, self.occupancy)

    def occupancy_for(self, assignment_key: bytes) -> Occupancy:
        return self.occupancy

    # -- its life ----------------------------------------------------------------------

    def use_tracer(self, tracer: Tracer) -> None:
        for queue in self.queues:
            queue.tracer = tracer

    async def start(self) -> None:
        await self.capacity.start()
        await self._sessions.start()
        await self._notices.start()
        await self.session.open()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                keep = self._supervisor.keep
                session = keep("ledger session", self.session.keep_alive, ends_on=(Refused,))
                group.create_task(session)
                for queue in self.queues:
                    group.create_task(keep("ledger commit queue", queue.run))
                for _ in range(self.reader.parallel):
                    group.create_task(keep("ledger reader", self.reader.run))
                for replica in self._replicas:
                    group.create_task(keep("ledger replica", replica.run))
                group.create_task(keep("ledger reclaimer", self.reclaimer.run))
                group.create_task(keep("ledger sweep", self._sweep))
        finally:
            self._group = None

    async def return_idle_slots(self, *, timeout_s: float) -> None:
        held = [a for a in self.accounts.values() if a.grant or a.usage]
        returning = [self.reservations.return_idle_slots(account, keep=0) for account in held]
        for quotas in self.client_quotas:
            returning += [quotas.return_idle_slots(account) for account in quotas.held()]
        if returning:
            await asyncio.wait(returning, timeout=timeout_s)

    async def close(self) -> None:
        await self.session.close()

    # -- how it is ---------------------------------------------------------------------

    @property
    def may_write(self) -> bool:
        return self.session.stands.is_set()

    @property
    def connected(self) -> bool:
        return self._store.health.connected

    @property
    def lookups_waiting(self) -> int:
        return len(self.reader)

    def counts(self) -> LedgerCounts:
        accounts = list(self.accounts.values())  # another thread may ask
        return LedgerCounts(
            waiting=sum(len(queue) for queue in self.queues) + len(self.reader),
            transactions=sum(queue.transactions for queue in self.queues),
            conflicts=sum(queue.conflicts for queue in self.queues),
            reclaimed=self.reclaimer.reclaimed,
            under_way=sum(queue.under_way for queue in self.queues),
            sessions=self.session.begun,
            requests=self.reservations.requests,
            without_slot=sum(one.waiting for one in accounts),
            idle={one.unit: one.idle for one in accounts},
            sizes=[queue.sizes for queue in self.queues],
            seconds=[queue.seconds for queue in self.queues],
            damaged=(
                *(key for one in self._replicas for key in one.damaged_keys()),
                *self.reclaimer.damaged,
            ),
        )

    # -- what its parts call -----------------------------------------------------------

    def _queue_of(self, account: Account) -> CommitQueue:
        return self.queues[account.queue]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> bool:
        if self._group is None:
            work.close()
            return False
        self._group.create_task(self._supervisor.attempt("ledger reservation", work))
        return True

    def _reserve_and_submit(self, claim: Claim) -> None:
        reserve(claim, self._clock())
        self._queue_of(claim.account).submit(claim)

    def _reroute(self, claim: Claim) -> None:
        """The claim cannot go where it wanted: to another unit, or nowhere."""
        if claim.expires_at < self._clock():
            claim.failed(Unavailable("the store was too slow; try again"))
            return
        choice = claim.choose()
        if isinstance(choice, ServiceError):
            claim.failed(choice)
            return
        claim.account = choice
        self._resubmit(claim)

    def _touch(self, account: Account) -> None:
        index = account.index
        if index >= 0:
            self.occupancy.update(index, account.reachable, account.load)
        if self._touched is not None:
            self._touched(account)

    # -- what it watches ---------------------------------------------------------------

    def _capacity_changed(self, unit: str, seen: tuple[CapacityRecord, int] | None) -> None:
        if unit.startswith(quota_keys.CLIENT_QUOTA):
            for quotas in self.client_quotas:
                quotas.record_changed(unit, seen)
            return
        account = self.account(unit)
        if seen is None:
            account.record, account.record_revision, account.grant = NO_CAPACITY, 0, 0
            account.adopted = False
        else:
            record, revision = seen
            lowered = record.capacity < account.record.capacity
            account.accept_record(record, revision, self.session.id)
            if lowered or not record.open:
                account.adopted = False
                self.reservations.return_unused(account)
        self._rules.reservations.record_changed(account)
        self._touch(account)

    def _session_changed(self, provisioner: str, seen: bytes | None) -> None:
        if seen is None and provisioner != self.session.id:
            self.reclaimer.wake()

    def _notice_changed(self, unit: str, seen: tuple[bytes, int] | None) -> None:
        who = seen[0] if seen is not None else None
        if who is not None:
            for quotas in self.client_quotas:
                quotas.answer_notice(unit, who.decode(errors="replace"))
        account = self.accounts.get(unit)
        if who is not None and account is not None:
            self.reservations.answer_notice(account, who.decode(errors="replace"))

    def _begin_anew(self, old: str) -> None:
        """A new session: nothing is ours any more; what the old one held is reclaimed."""
        for account in self.accounts.values():
            account.grant, account.usage, account.usage_revision = 0, 0, 0
            account.adopted = False
            self._touch(account)
        for quotas in self.client_quotas:
            quotas.begin_anew()
        self.reclaimer.wake()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            for account in list(self.accounts.values()):
                self.reservations.return_unused(account)
            self.reservations.drop_expired()
            for quotas in self.client_quotas:
                quotas.sweep()
            if not self.session.stands.is_set():
                for queue in self.queues:
                    queue.drop_expired()


def _seen_capacity(pair: KeyValue) -> tuple[CapacityRecord, int]:
    return decode_capacity(pair.value), pair.mod_revision


def _notice(pair: KeyValue) -> tuple[bytes, int]:
    """Who writes the same again has something to say again."""
    return pair.value, pair.mod_revision


def _as_is(pair: KeyValue) -> bytes:
    return pair.value
