"""Reservations: gets slots of units reserved for this provisioner, and gives idle ones back.

Slots are reserved in blocks by compare-and-swap on the unit's capacity record, ahead of
need while there is plenty. Nobody is left without while others sit on idle slots: what was
not used for a while goes back by itself, and a provisioner that finds nothing left says so
under starving/<unit>, whereupon the others give back what they can spare at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from control_plane import faultpoints, keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.fleet.capacity import CapacityRecord, decode_capacity
from control_plane.store.port import OutcomeUnknown, Put, Store, Txn
from provisioner.ledger import transactions
from provisioner.ledger.account import Account, block_size
from provisioner.ledger.commit_queue import CommitQueue
from provisioner.ledger.operations import Claim
from provisioner.ledger.session import Session

IDLE_S = 5.0  # a unit that got no client for so long gives its idle slots back
BUSY_S = 0.25  # a unit that got one this recently keeps half of them when others starve
CRY_S = 0.5  # how often one provisioner may say that it starves at a unit
ATTEMPTS = 20  # compare-and-swaps on one record before the claims look elsewhere


class Reservations:
    """Owns the claims that wait for a grant. `spawn` runs a coroutine as a task of the
    ledger's group, False where that is not at work; `bounce` as in Lane."""

    def __init__(
        self,
        store: Store,
        session: Session,
        *,
        clock: Callable[[], float],
        lane_of: Callable[[Account], CommitQueue],
        spawn: Callable[[Coroutine[Any, Any, None]], bool],
        bounce: Callable[[Claim], None],
        touched: Callable[[Account], None],
    ) -> None:
        self._store = store
        self._session = session
        self._clock = clock
        self._lane_of = lane_of
        self._spawn = spawn
        self._bounce = bounce
        self._touched = touched
        self._waiting: dict[str, deque[Claim]] = {}
        self._asking: set[str] = set()
        self._settling: dict[str, asyncio.Future[None]] = {}
        self._cried_at: dict[str, float] = {}

    def wait_for_slot(self, claim: Claim) -> None:
        """Queues a claim until a grant arrives, or bounces it when none is to be had."""
        account = claim.account
        self._waiting.setdefault(account.unit, deque()).append(claim)
        account.waiting += 1
        self.ask(account)

    def ask(self, account: Account) -> None:
        """Sees to it that one request for slots at this unit is under way."""
        if account.unit not in self._asking and self._spawn(self._acquire(account)):
            self._asking.add(account.unit)

    async def _acquire(self, account: Account) -> None:
        try:
            if not account.adopted:
                await self._refresh(account)
            if account.adopted:
                await self._take(account)
            self._hand_out(account)
        except ServiceError as error:
            self._turn_away(account, error)
        finally:
            self._asking.discard(account.unit)
        if account.waiting:
            # Granted, but not enough for everybody: once more, or elsewhere.
            self.ask(account) if account.record.free > 0 else self._hand_out(account)

    async def _refresh(self, account: Account) -> None:
        """Adopts the unit's fence, between two transactions of its lane."""
        done = asyncio.get_running_loop().create_future()
        lane = self._lane_of(account)

        async def chore() -> None:
            await lane.refresh(account)
            if not done.done():
                done.set_result(None)

        lane.between(chore)
        await done
        if not account.adopted and account.record.open and account.idle:
            self.settle(account, keep=0)

    async def _take(self, account: Account) -> None:
        """Compare-and-swaps until a block is ours or nothing is free."""
        session = self._session
        for _ in range(ATTEMPTS):
            wanted = account.waiting - account.room
            slots = block_size(account.record.free, wanted)
            if slots <= 0 or not account.record.open:
                return
            me = session.id
            compared = account.record_revision
            record, txn = self._grant(account, slots)
            faultpoints.passing("ledger.grant.before")
            try:
                result = await self._store.commit(txn)
            except OutcomeUnknown:
                await self._refresh(account)
                continue
            faultpoints.passing("ledger.grant.after")
            if me != session.id:
                return
            if result.succeeded:
                account.block = slots
                account.see(record, result.revision, me)
                return
            if not result.results or not result.results[0]:
                await self._refresh(account)
                return
            found = result.results[0][0]
            if found.mod_revision == compared:
                session.report_lost()  # L is as we know it, so it was the session
                raise Unavailable("the session was lost; try again")
            account.see(decode_capacity(found.value), found.mod_revision, me)

    def _grant(self, account: Account, slots: int) -> tuple[CapacityRecord, Txn]:
        """The record with so many slots more of ours, and what writes it."""
        session = self._session
        record = account.record.with_grant(session.id, slots)
        return record, transactions.take_grant(session.compare, session.id, account, slots)

    def _hand_out(self, account: Account) -> None:
        """Promises the room there is to those who wait; bounces the rest when none is free."""
        waiting = self._waiting.get(account.unit)
        if not waiting:
            return
        lane, now = self._lane_of(account), self._clock()
        while waiting and account.room > 0:
            claim = waiting.popleft()
            account.waiting -= 1
            reserve(claim, now)
            lane.submit(claim)
        if waiting and (account.record.free <= 0 or not account.adopted):
            turned_away = list(waiting)
            waiting.clear()
            account.waiting -= len(turned_away)
            self._touched(account)
            for claim in turned_away:
                self._bounce(claim)
        self._touched(account)

    def _turn_away(self, account: Account, error: ServiceError) -> None:
        waiting = self._waiting.pop(account.unit, deque())
        account.waiting -= len(waiting)
        self._touched(account)
        for claim in waiting:
            claim.failed(error)

    def drop_expired(self) -> None:
        """Answers claims that waited for a grant for too long."""
        now = self._clock()
        for waiting in self._waiting.values():
            while waiting and waiting[0].expires_at < now:
                claim = waiting.popleft()
                claim.account.waiting -= 1
                self._touched(claim.account)
                claim.failed(Unavailable("the store is away; try again"))

    def settle(self, account: Account, *, keep: int) -> asyncio.Future[None]:
        """Gives back all room but `keep`, between two transactions of the unit's lane. The
        future is done when that was tried; one attempt per unit is under way at a time."""
        under_way = self._settling.get(account.unit)
        if under_way is not None:
            return under_way
        lane = self._lane_of(account)
        done = self._settling[account.unit] = asyncio.get_running_loop().create_future()

        async def chore() -> None:
            try:
                await self._settle(account, lane, keep)
            finally:
                del self._settling[account.unit]
                if not done.done():
                    done.set_result(None)

        lane.between(chore)
        return done

    async def _settle(self, account: Account, lane: CommitQueue, keep: int) -> None:
        me, session = self._session.id, self._session
        if account.grant == 0 and account.usage == 0:
            return
        if account.usage > account.grant:
            await lane.refresh(account)  # never so in the store: our sight is behind
            return
        promised = max(0, account.in_flight)
        kept = min(max(keep, promised), max(0, account.grant - account.usage))
        record = account.record.settle(me, usage=account.usage, keep=kept)
        txn = transactions.settle(session.compare, me, account, kept)
        faultpoints.passing("ledger.settle.before")
        try:
            result = await self._store.commit(txn)
        except OutcomeUnknown:
            await lane.refresh(account)
            return
        except ServiceError:
            return  # nothing was changed; the next round tries again
        faultpoints.passing("ledger.settle.after")
        if me != session.id:
            return
        if result.succeeded:
            account.usage, account.usage_revision = 0, result.revision
            account.see(record, result.revision, me)
            self._touched(account)
        else:
            await lane.refresh(account)

    def cry(self, account: Account) -> None:
        """Says that no slot is to be had at this unit, unless it was just said or nobody
        else holds any."""
        others = account.record.granted - account.grant
        now = self._clock()
        if others <= 0 or now - self._cried_at.get(account.unit, -CRY_S) < CRY_S:
            return
        self._cried_at[account.unit] = now
        self._spawn(self._cry(account.unit))

    async def _cry(self, unit: str) -> None:
        try:
            await self._store.commit(
                Txn(then=[Put(keys.starving(unit), self._session.id.encode())])
            )
        except ServiceError:
            return  # only a plea; whoever retries makes the next one

    def heard(self, account: Account, who: str) -> None:
        """Another provisioner starves: it gets what we can spare."""
        if who == self._session.id or not account.idle:
            return
        busy = self._clock() - account.last_taken_at < BUSY_S
        self.settle(account, keep=account.idle // 2 if busy else 0)

    def tidy(self, account: Account) -> None:
        """Gives back what lies idle, and everything at a unit that takes no clients."""
        if not account.grant and not account.usage:
            return
        if not account.record.open:
            account.adopted = False
            self.settle(account, keep=0)
        elif not account.record.consistent:
            account.adopted = False
            if account.idle:
                self.settle(account, keep=0)
        elif (account.idle or account.usage < 0) and (
            self._clock() - account.last_taken_at > IDLE_S
        ):
            self.settle(account, keep=0)


def reserve(claim: Claim, now: float) -> None:
    """Holds one slot of the claim's account for it."""
    account = claim.account
    claim.promised = True
    account.in_flight += 1
    account.last_taken_at = now
