"""Ledger: hands out slots of units exactly, durably and in groups.

The one object the API talks to. It keeps the accounts, sends each claim to the lane of its
unit or to wait for a grant, follows the capacity records, and owns every task below it.
Which unit a client should have is not its business: a claim brings that along (`choose`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from control_plane import keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.fleet.capacity import CapacityRecord, decode_capacity
from control_plane.store.port import KeyValue, Store
from control_plane.store.replica import Replica
from provisioner.ledger.account import NO_CAPACITY, Account
from provisioner.ledger.commit_queue import CommitQueue
from provisioner.ledger.operations import Claim, Lookup, Release
from provisioner.ledger.reader import Reader
from provisioner.ledger.reclaim import Reclaimer
from provisioner.ledger.reservations import Reservations, reserve
from provisioner.ledger.session import Session
from provisioner.placement.chooser import Chooser
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.occupancy import Occupancy

TIDY_S = 1.0
LANES = 2  # full transactions on their way at once, while answers of others are written
TURNS = 2  # of those that are not full


class Ledger:
    """Use from one event loop. `occupancy` says, for unit i of the sequence last given to
    `follow`, which slots can still be had and what share is taken.

    lanes: transactions on their way at once; a ledger for moves has one.
    ledgers: where the capacity records are, if not in `store`; see Branch.
    clock: monotonic seconds. jitter: seconds, for things that many provisioners would do at
    once. new_id: provisioner ids never used before.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        new_id: Callable[[], str],
        session_ttl_s: int = 5,
        lanes: int = LANES,
        ledgers: Store | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self.session = Session(
            store,
            ttl_s=session_ttl_s,
            new_id=new_id,
            on_renewed=self._begin_anew,
            alone=ledgers is None,
        )
        self.accounts: dict[str, Account] = {}
        self.occupancy = Occupancy(0)
        self._ledgers = store if ledgers is None else ledgers
        turns = asyncio.Semaphore(TURNS)
        self.lanes = [self._new_lane(turns) for _ in range(lanes)]
        self.granting = self._new_granting()
        self.reader = self._new_reader()
        self.undertaker = self._new_undertaker(jitter)
        self.capacity = Replica(
            self._ledgers, keys.CAPACITY, _seen_capacity, self._capacity_changed, keeps_pairs=True
        )
        self._sessions = Replica(store, keys.SESSIONS, _as_is, self._session_changed)
        self._starving = Replica(self._ledgers, keys.STARVING, _as_is, self._starving_changed)
        self._group: asyncio.TaskGroup | None = None

    def _new_lane(self, turns: asyncio.Semaphore) -> CommitQueue:
        return CommitQueue(
            self._store,
            self.session,
            turns=turns,
            clock=self._clock,
            bounce=self._bounce,
            touched=self._touch,
        )

    def _new_granting(self) -> Reservations:
        return Reservations(
            self._ledgers,
            self.session,
            clock=self._clock,
            lane_of=self._lane_of,
            spawn=self._spawn,
            bounce=self._bounce,
            touched=self._touch,
        )

    def _new_reader(self) -> Reader:
        return Reader(self._store, clock=self._clock)

    def _new_undertaker(self, jitter: Callable[[], float]) -> Reclaimer:
        return Reclaimer(self._store, jitter=jitter)

    # -- what the API asks -------------------------------------------------------------

    def submit(self, claim: Claim) -> None:
        """`claim.account` has been chosen; exactly one of its outcomes will be called."""
        account = claim.account
        room = account.room
        if room > 0 and not account.waiting:
            reserve(claim, self._clock())
            self.occupancy.use_slot(account.index)
            if room <= account.block >> 2 and account.record.free > 0:
                self.granting.ask(account)
            self.lanes[account.lane].submit(claim)
        else:
            self.granting.wait_for_slot(claim)
            self._touch(account)

    def release(self, release: Release) -> None:
        """Exactly one of its outcomes will be called."""
        self._lane_of(release.account).submit(release)

    def look_up(self, lookup: Lookup) -> None:
        """Exactly one of its outcomes will be called."""
        self.reader.look_up(lookup)

    def cry(self, unit_ids: Sequence[str]) -> None:
        """A client was turned away by all of these units: others may have slots to spare."""
        for unit in unit_ids:
            account = self.accounts.get(unit)
            if account is not None:
                self.granting.cry(account)

    def account(self, unit: str) -> Account:
        """The account at a unit; an empty one for a unit nobody heard of."""
        found = self.accounts.get(unit)
        if found is None:
            lane = len(self.accounts) % len(self.lanes)
            found = self.accounts[unit] = Account(unit=unit, lane=lane)
        return found

    @property
    def waiting(self) -> int:
        """Operations in the queues of the lanes and of the reader."""
        return sum(len(lane) for lane in self.lanes) + len(self.reader)

    @property
    def standing(self) -> bool:
        """Whether it may write at all."""
        return self.session.standing.is_set()

    @property
    def connected(self) -> bool:
        """Whether the store answers, as far as is known."""
        return self._store.health.connected

    @property
    def looking(self) -> int:
        """Lookups that wait."""
        return len(self.reader)

    def chooser(self, fleet: PlacementFleet, policy: PlacementPolicy) -> Chooser:
        """Chooses units that have room as things stand."""
        return Chooser(fleet, policy, self.occupancy)

    def occupancy_for(self, assignment_key: bytes) -> Occupancy:
        """Where there is room for this client."""
        return self.occupancy

    def follow(self, unit_ids: Sequence[str]) -> None:
        """From now on unit i is `unit_ids[i]`, in a new `occupancy`."""
        for account in self.accounts.values():
            account.index = -1
        self.occupancy = Occupancy(len(unit_ids))
        for index, unit in enumerate(unit_ids):
            account = self.account(unit)
            account.index = index
            self._touch(account)

    # -- its own life ------------------------------------------------------------------

    async def start(self) -> None:
        """Begins a session and reads the capacity records. Raises Unavailable; then `run`
        does both when the store is there."""
        await self.session.open()
        await self.capacity.start()
        await self._sessions.start()
        await self._starving.start()

    async def run(self) -> None:
        """Works until cancelled; then gives everything back that it can."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self.session.keep(), name="ledger session")
                for lane in self.lanes:
                    group.create_task(lane.run(), name="ledger lane")
                for _ in range(self.reader.parallel):
                    group.create_task(self.reader.run(), name="ledger reader")
                for replica in (self.capacity, self._sessions, self._starving):
                    group.create_task(replica.run(), name="ledger replica")
                group.create_task(self.undertaker.run(), name="ledger undertaker")
                group.create_task(self._tidy(), name="ledger tidying")
        finally:
            self._group = None

    async def settle_all(self, *, timeout_s: float) -> None:
        """Before leaving: gives all idle slots back, as far as that works within the time.
        Only while `run` is at work; what is left over is settled when the session ends."""
        held = [a for a in self.accounts.values() if a.grant or a.usage]
        if held:
            await asyncio.wait(
                [self.granting.settle(account, keep=0) for account in held], timeout=timeout_s
            )

    async def close(self) -> None:
        """Ends the session."""
        await self.session.close()

    # -- what it hears -----------------------------------------------------------------

    def _lane_of(self, account: Account) -> CommitQueue:
        return self.lanes[account.lane]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> bool:
        if self._group is None:
            work.close()
            return False
        self._group.create_task(work, name="ledger errand")
        return True

    def _bounce(self, claim: Claim) -> None:
        """The claim cannot go where it wanted: elsewhere, or nowhere."""
        if claim.expires_at < self._clock():
            claim.failed(Unavailable("the store was too slow; try again"))
            return
        choice = claim.choose()
        if isinstance(choice, ServiceError):
            claim.failed(choice)
            return
        claim.account = choice
        self._resubmit(claim)

    def _resubmit(self, claim: Claim) -> None:
        self.submit(claim)

    def _touch(self, account: Account) -> None:
        index = account.index
        if index >= 0:
            self.occupancy.update(index, account.reachable, account.load)

    def _capacity_changed(self, unit: str, seen: tuple[CapacityRecord, int] | None) -> None:
        account = self.account(unit)
        if seen is None:
            account.record, account.record_revision, account.grant = NO_CAPACITY, 0, 0
            account.adopted = False
        else:
            record, revision = seen
            lowered = record.capacity < account.record.capacity
            account.see(record, revision, self.session.id)
            if lowered or not record.open:
                account.adopted = False
                self.granting.tidy(account)
        self._touch(account)

    def _session_changed(self, provisioner: str, seen: bytes | None) -> None:
        if seen is None and provisioner != self.session.id:
            self.undertaker.notice()

    def _starving_changed(self, unit: str, who: bytes | None) -> None:
        account = self.accounts.get(unit)
        if who is not None and account is not None:
            self.granting.heard(account, who.decode())

    def _begin_anew(self, old: str) -> None:
        """A new session: nothing is ours any more; the old one gets settled."""
        for account in self.accounts.values():
            account.grant, account.usage, account.usage_revision = 0, 0, 0
            account.adopted = False
            self._touch(account)
        self.undertaker.notice()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            for account in list(self.accounts.values()):
                self.granting.tidy(account)
            self.granting.drop_expired()
            if not self.session.standing.is_set():
                for lane in self.lanes:
                    lane.drop_expired()


def _seen_capacity(pair: KeyValue) -> tuple[CapacityRecord, int]:
    return decode_capacity(pair.value), pair.mod_revision


def _as_is(pair: KeyValue) -> bytes:
    return pair.value
