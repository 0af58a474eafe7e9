"""Reservations: gets slots of units reserved for this provisioner, and gives idle ones back.

Slots are reserved in blocks by compare-and-swap on the unit's capacity record, ahead of
need while there is plenty. Nobody is left without while others keep idle slots: what was
not used for a while goes back by itself, and a provisioner that finds nothing left writes a
starvation notice, upon which the others give back what they can spare at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from control_plane import faultpoints, keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.fleet.capacity import decode_capacity
from control_plane.store.port import OutcomeUnknown, Put, Store, Txn
from control_plane.turns import Turns
from provisioner.ledger.account import Account, block_size
from provisioner.ledger.commit_queue import CommitQueue
from provisioner.ledger.operations import Claim, Operation, tell, tenant_of
from provisioner.ledger.reservation_rules import ReservationRules
from provisioner.ledger.session import Session

IDLE_S = 5.0  # a unit that got no client for so long gives its idle slots back
BUSY_S = 0.25  # a unit that got one this recently keeps half of them when others starve
NOTICE_S = 0.5  # how often one provisioner may write a starvation notice for a unit
ATTEMPTS = 20  # compare-and-swaps on one record before the claims go elsewhere

T = TypeVar("T")
WaitingT = TypeVar("WaitingT", bound=Operation)


class Reservations(Generic[WaitingT]):
    """Owns the claims that wait for a grant.

    store: where the capacity records are. queue_of: the queue that writes a unit's usage.
    spawn: runs a coroutine as a task of the ledger's group, False where that is not at work.
    hand_on: takes one for which there is a slot. reroute, touched: as for CommitQueue.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        rules: ReservationRules,
        *,
        clock: Callable[[], float],
        queue_of: Callable[[Account], CommitQueue],
        spawn: Callable[[Coroutine[Any, Any, None]], bool],
        hand_on: Callable[[WaitingT], None],
        reroute: Callable[[WaitingT], None],
        touched: Callable[[Account], None],
    ) -> None:
        self._store = store
        self._session = session
        self._rules = rules
        self._clock = clock
        self._queue_of = queue_of
        self._spawn = spawn
        self._hand_on = hand_on
        self._reroute = reroute
        self._touched = touched
        self._waiting: dict[str, Turns[WaitingT]] = {}
        self._requesting: set[str] = set()
        self._returning: dict[str, asyncio.Future[None]] = {}
        self._noticed_at: dict[str, float] = {}
        self.requests = 0  # blocks of slots that were asked for

    # -- getting slots -----------------------------------------------------------------

    def wait_for_slot(self, claim: WaitingT) -> None:
        """Queues a claim until a grant arrives, or reroutes it when none is to be had."""
        account = claim.account
        waiting = self._waiting.get(account.unit)
        if waiting is None:
            waiting = self._waiting[account.unit] = Turns(tenant_of)
        waiting.append(claim)
        account.waiting += 1
        self.request_block(account)

    def request_block(self, account: Account) -> None:
        """Sees to it that one request for slots at this unit is under way."""
        if account.unit not in self._requesting and self._spawn(self._request_block(account)):
            self._requesting.add(account.unit)
            self.requests += 1

    async def _request_block(self, account: Account) -> None:
        try:
            if not account.adopted:
                await self._refresh(account)
            if account.adopted:
                await self._take_grant(account)
            self._hand_out(account)
        except ServiceError as error:
            self._fail_waiting(account, error)
        except BaseException:  # nobody foresaw it; whoever waits hears of it all the same
            self._fail_waiting(account, Unavailable("no slot could be had; try again"))
            raise
        finally:
            self._requesting.discard(account.unit)
        if account.waiting:
            # Granted, but not enough for everybody: once more, or elsewhere.
            self.request_block(account) if account.record.free > 0 else self._hand_out(account)

    async def _refresh(self, account: Account) -> None:
        """Adopts the unit's fence, between two transactions of its queue."""
        queue = self._queue_of(account)
        await _exclusively(queue, lambda: queue.refresh([account]))
        if not account.adopted and account.record.open and account.idle:
            self.return_idle_slots(account, keep=0)

    async def _register(self, account: Account) -> None:
        """By the queue, which knows that no batch of ours is on its way."""
        queue = self._queue_of(account)
        if not await _exclusively(queue, lambda: queue.register(account)):
            raise Unavailable("the unit's ledger cannot be written; try again")

    async def _take_grant(self, account: Account) -> None:
        """Compare-and-swaps until a block is ours or nothing is free."""
        session = self._session
        if not self._rules.registered(account):
            await self._register(account)
        for _ in range(ATTEMPTS):
            wanted = account.waiting - account.room
            slots = block_size(account.record.free, wanted, account.most_block)
            if slots <= 0 or not account.record.open:
                return
            me = session.id
            compared = account.record_revision
            record, txn = self._rules.take_grant(account, slots)
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
                account.accept_record(record, result.revision, me)
                return
            if not result.results or not result.results[0]:
                await self._refresh(account)
                return
            found = result.results[0][0]
            if found.mod_revision == compared:
                session.report_lost()  # L is as we know it, so it was the session
                raise Unavailable("the session was lost; try again")
            account.accept_record(decode_capacity(found.value), found.mod_revision, me)

    def _hand_out(self, account: Account) -> None:
        """Hands on those who wait for whom there is room; reroutes the rest when none is free."""
        waiting = self._waiting.get(account.unit)
        if not waiting:
            return
        for _ in range(min(len(waiting), account.room)):
            account.waiting -= 1
            self._hand_on(waiting.popleft())
        if waiting and (account.record.free <= 0 or not account.adopted):
            turned_away = list(waiting)
            waiting.clear()
            account.waiting -= len(turned_away)
            self._touched(account)
            for claim in turned_away:
                tell(self._reroute, claim)
        self._touched(account)

    def _fail_waiting(self, account: Account, error: ServiceError) -> None:
        waiting = self._waiting.pop(account.unit, ())
        account.waiting -= len(waiting)
        self._touched(account)
        for claim in waiting:
            tell(claim.failed, error)

    def drop_expired(self) -> None:
        """Answers claims that waited for a grant for too long."""
        now = self._clock()
        for waiting in self._waiting.values():
            for claim in waiting.take_where(lambda one: one.expires_at < now):
                claim.account.waiting -= 1
                self._touched(claim.account)
                tell(claim.failed, Unavailable("the store is away; try again"))

    # -- giving slots back -------------------------------------------------------------

    def return_idle_slots(self, account: Account, *, keep: int) -> asyncio.Future[None]:
        """Gives back all room but `keep`, between two transactions of the unit's queue. The
        future is done when that was tried; one attempt per unit is under way at a time."""
        under_way = self._returning.get(account.unit)
        if under_way is not None:
            return under_way
        queue = self._queue_of(account)
        done = self._returning[account.unit] = asyncio.get_running_loop().create_future()

        async def returning() -> None:
            try:
                if not await self._rules.return_idle_slots(account, keep):
                    await queue.refresh([account])
                self._touched(account)
            finally:
                del self._returning[account.unit]
                if not done.done():
                    done.set_result(None)

        queue.run_exclusively(returning)
        return done

    def return_unused(self, account: Account) -> None:
        """Gives back what was idle for long, and everything at a unit that takes no clients."""
        if not account.grant and not account.usage:
            return
        if not account.record.open:
            account.adopted = False
            self.return_idle_slots(account, keep=0)
        elif not account.record.consistent:
            account.adopted = False
            if account.idle:
                self.return_idle_slots(account, keep=0)
        elif (account.idle or account.usage < 0) and (
            self._clock() - account.last_reserved_at > IDLE_S
        ):
            self.return_idle_slots(account, keep=0)

    # -- starvation notices ------------------------------------------------------------

    def request_slots(self, account: Account) -> None:
        """Writes that no slot is to be had at this unit, unless that was just written or
        nobody else holds any."""
        others = account.record.granted - account.grant
        now = self._clock()
        if others <= 0 or now - self._noticed_at.get(account.unit, -NOTICE_S) < NOTICE_S:
            return
        self._noticed_at[account.unit] = now
        self._spawn(self._write_notice(account.unit, self._session.id + account.queue_name))

    async def _write_notice(self, unit: str, holder: str) -> None:
        try:
            await self._store.commit(Txn(then=[Put(keys.starving(unit), holder.encode())]))
        except ServiceError:
            return  # whoever is turned away next writes the next one

    def answer_notice(self, account: Account, holder: str) -> None:
        """Another holder of grants starves: it gets what we can spare."""
        if holder == self._session.id + account.queue_name or not account.idle:
            return
        busy = self._clock() - account.last_reserved_at < BUSY_S
        self.return_idle_slots(account, keep=account.idle // 2 if busy else 0)


async def _exclusively(queue: CommitQueue, work: Callable[[], Awaitable[T]]) -> T:
    """What `work` gives, while no transaction of the queue is under way."""
    done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    async def task() -> None:
        try:
            result = await work()
        except BaseException as error:
            if done.done():
                raise
            if isinstance(error, Exception):
                done.set_exception(error)  # to whoever waits; the queue goes on
                return
            done.set_exception(Unavailable("the ledger was interrupted; try again"))
            raise
        if not done.done():
            done.set_result(result)

    queue.run_exclusively(task)
    return await done


def reserve(claim: Claim, now: float) -> None:
    """Holds one slot of the claim's account for it."""
    account = claim.account
    claim.reserved = True
    account.in_flight += 1
    account.last_reserved_at = now
