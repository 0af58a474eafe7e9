"""Lane: group commit. One task, one transaction at a time, for the units it owns.

No timer: while a transaction is under way claims and releases gather, and all that fit go
out with the next one. So one client alone waits for nobody, and a crowd shares a sync.
A unit belongs to exactly one lane, so its usage key has one writer at a time.

A refused batch is read, not guessed at: clients that have a home get it as their answer,
the rest tries again. When the outcome is unknown, or nothing explains the refusal, the
store is asked how session, fences and usage stand before anything is written again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from control_plane import faultpoints, keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.store.port import (
    MAX_OPERATIONS,
    Compare,
    LeaseLost,
    OutcomeUnknown,
    Store,
    StoreUnavailable,
    TxnResult,
)
from provisioner.ledger import transactions
from provisioner.ledger.account import Account
from provisioner.ledger.operations import Claim, Operation, Release
from provisioner.ledger.retransmit_timer import RetransmitTimer
from provisioner.ledger.session import Session

FULL = 96  # operations waiting that are worth a transaction whatever other lanes do
RETRY_S = 0.05
RETRY_MAX_S = 0.25  # writes stand still meanwhile


class Batch:
    """What goes into one transaction, and what it changes at each unit."""

    __slots__ = ("changes", "claims", "keys", "releases")

    def __init__(self) -> None:
        self.keys: set[bytes] = set()  # no transaction may write a key twice
        self.claims: list[Claim] = []
        self.releases: list[Release] = []
        self.changes: dict[str, list[int]] = {}  # unit -> [claims, releases]

    def accounts(self) -> list[Account]:
        """Every account touched, once."""
        seen: dict[str, Account] = {}
        for operation in (*self.claims, *self.releases):
            seen.setdefault(operation.account.unit, operation.account)
        for claim in self.claims:
            if claim.source is not None:
                seen.setdefault(claim.source.unit, claim.source)
        return list(seen.values())


class CommitQueue:
    """`submit` from the event loop; `run` is a task of the owner's.

    `turns` is shared by all lanes: how many may have a small batch under way at once.
    `bounce(claim)` is called for a claim that cannot have a slot where it was going; it has
    given its promise back and may be sent elsewhere. `touched(account)` is called whenever
    an account's room may have changed. `also`: what every batch compares besides; `fixed`:
    how many compares a batch makes whatever is in it; `fence_key`: of a unit.
    """

    also: Sequence[Compare] = ()
    fixed = 1
    fence_key = staticmethod(keys.fence)

    def __init__(
        self,
        store: Store,
        session: Session,
        *,
        turns: asyncio.Semaphore,
        clock: Callable[[], float],
        bounce: Callable[[Claim], None],
        touched: Callable[[Account], None],
    ) -> None:
        self._store = store
        self._session = session
        self._turns = turns
        self._clock = clock
        self._bounce = bounce
        self._touched = touched
        self._waiting: deque[Operation] = deque()
        self._chores: deque[Callable[[], Awaitable[None]]] = deque()
        self._wake = asyncio.Event()
        self._patience = RetransmitTimer()
        self.transactions = 0
        self.conflicts = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, operation: Operation) -> None:
        """One of its outcome methods will be called, once. A claim must hold a promise."""
        self._waiting.append(operation)
        self._wake.set()

    def between(self, chore: Callable[[], Awaitable[None]]) -> None:
        """Runs `chore` while no transaction of this lane is under way."""
        self._chores.append(chore)
        self._wake.set()

    async def run(self) -> None:
        """Commits for ever."""
        while True:
            if not self._waiting and not self._chores:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._session.standing.wait()
            while self._chores:
                await self._chores.popleft()()
            if len(self._waiting) >= FULL:
                await self._commit(self._gather())
            else:
                # Small batches from many lanes would starve each other: they take turns, and
                # fill up while they wait.
                async with self._turns:
                    await self._commit(self._gather())

    def _gather(self) -> Batch:
        """The next batch: as many operations as the store's limit on lists lets in."""
        batch = Batch()
        waiting, changes = self._waiting, batch.changes
        compares = writes = MAX_OPERATIONS - self.fixed
        now = self._clock()
        while waiting:
            operation = waiting[0]
            account = operation.account
            change = changes.get(account.unit)
            if change is not None and isinstance(operation, Claim) and operation.plain:
                # One of many: a new client at a unit that this batch writes already.
                if not compares or not writes or operation.key in batch.keys:
                    break
                if (
                    account.adopted
                    and operation.expires_at >= now
                    and account.usage + change[0] < account.grant
                ):
                    waiting.popleft()
                    batch.keys.add(operation.key)
                    batch.claims.append(operation)
                    change[0] += 1
                    compares -= 1
                    writes -= 1
                    continue
            claim = operation if isinstance(operation, Claim) else None
            source = claim.source if claim is not None else None
            # A new unit costs its usage and fence besides; each counts once in either list.
            new_units = (change is None) + (source is not None and source.unit not in changes)
            compared = 1 + 2 * new_units + len(operation.guards)
            written = 1 + new_units + len(operation.writes)
            if compared > compares or written > writes or operation.key in batch.keys:
                break
            waiting.popleft()
            batch.keys.add(operation.key)
            if operation.expires_at < now:
                self._give_up(operation, Unavailable("the store was too slow; try again"))
                continue
            if claim is not None:
                taken = change[0] if change is not None else 0
                if not account.adopted or account.usage + taken >= account.grant:
                    self._unpromise(claim)
                    self._bounce(claim)
                    continue
                batch.claims.append(claim)
                if change is None:
                    changes[account.unit] = [1, 0]
                else:
                    change[0] += 1
                if source is not None:
                    changes.setdefault(source.unit, [0, 0])[1] += 1
            elif isinstance(operation, Release):
                batch.releases.append(operation)
                if change is None:
                    changes[account.unit] = [0, 1]
                else:
                    change[1] += 1
            compares -= compared
            writes -= written
        return batch

    async def _commit(self, batch: Batch) -> None:
        if not batch.claims and not batch.releases:
            return
        me = self._session.id
        accounts = batch.accounts()
        changes = batch.changes
        txn = transactions.assign(
            self._session.compare,
            batch.claims,
            batch.releases,
            [
                (
                    account,
                    keys.usage(account.unit, me),
                    self.fence_key(account.unit),
                    changes[account.unit][0] - changes[account.unit][1],
                    changes[account.unit][0] > 0,
                )
                for account in accounts
            ],
            self.also,
        )
        self.transactions += 1
        faultpoints.passing("ledger.commit.before")
        began = self._clock()
        try:
            result = await self._store.commit(txn, timeout_s=self._patience.wait_s)
        except StoreUnavailable as error:
            self._fail(batch, error)
            return
        except LeaseLost:
            self._fail(batch, Unavailable("a lease ran out under a move; try again"))
            return
        except OutcomeUnknown:
            self._patience.silent()
            await self._refresh(accounts)
            self._again(batch.claims, batch.releases)
            return
        self._patience.heard(self._clock() - began)
        faultpoints.passing("ledger.commit.after")
        if result.succeeded:
            for account in accounts:
                claims, releases = changes[account.unit]
                account.usage += claims - releases
                account.usage_revision = result.revision
                account.in_flight -= claims
                self._touched(account)
            # Two turns of the loop later the next transaction is on its way, and the
            # answers are written while the store works on it.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, deliver, batch, result.revision)
            return
        self.conflicts += 1
        await self._sort_out(batch, accounts, result)

    async def _sort_out(self, batch: Batch, accounts: Sequence[Account], result: TxnResult) -> None:
        """After a refusal: answers what the A keys answer, and tries the rest again."""
        explained = 0
        claims: list[Claim] = []
        releases: list[Release] = []
        shown = transactions.refused(batch.claims, batch.releases, result)
        for claim in batch.claims:
            found, holds = next(shown)
            if holds:
                claims.append(claim)
                continue
            explained += 1
            self._unpromise(claim)
            if found is not None and found.value == claim.record():
                claim.assigned(found.mod_revision)  # our own, of an unknown outcome
            else:
                claim.changed(found)
        for release in batch.releases:
            found, holds = next(shown)
            if holds:
                releases.append(release)
            else:
                explained += 1
                release.changed(found)
        if not explained:
            await self._refresh(accounts)
        self._again(claims, releases)

    async def _refresh(self, accounts: Sequence[Account]) -> None:
        """Takes over how session, fences and usage stand in the store; waits for as long as
        it is away."""
        delay_s = RETRY_S
        while True:
            for start in range(0, len(accounts), transactions.REFRESH_UNITS):
                part = accounts[start : start + transactions.REFRESH_UNITS]
                try:
                    stands = await self._look(part)
                except ServiceError:
                    break
                if not stands:
                    self._session.report_lost()
                    return
                for account in part:
                    self._touched(account)
            else:
                return
            self.drop_expired()
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)

    async def _look(self, accounts: Sequence[Account]) -> bool:
        """Takes over how these accounts stand; False when the session does not."""
        session = self._session
        units = [account.unit for account in accounts]
        result = await self._store.commit(transactions.refresh(session.key, session.id, units))
        if not transactions.session_stands(result, session.revision):
            return False
        transactions.adopt(session.id, accounts, result)
        return True

    async def refresh(self, account: Account) -> None:
        """The same for one account; only as a chore, so that nothing of it is in flight."""
        await self._refresh([account])

    def _again(self, claims: list[Claim], releases: list[Release]) -> None:
        """Puts operations back at the head of the queue, in their order."""
        self._waiting.extendleft(reversed([*claims, *releases]))
        self._wake.set()

    def drop_expired(self) -> None:
        """Answers those who waited too long; for when nothing moves."""
        now = self._clock()
        kept = [one for one in self._waiting if one.expires_at >= now]
        expired = [one for one in self._waiting if one.expires_at < now]
        self._waiting.clear()
        self._waiting.extend(kept)
        for operation in expired:
            self._give_up(operation, Unavailable("the store is away; try again"))

    def _fail(self, batch: Batch, error: ServiceError) -> None:
        for operation in (*batch.claims, *batch.releases):
            self._give_up(operation, error)

    def _give_up(self, operation: Operation, error: ServiceError) -> None:
        if isinstance(operation, Claim):
            self._unpromise(operation)
        operation.failed(error)

    def _unpromise(self, claim: Claim) -> None:
        claim.promised = False
        claim.account.in_flight -= 1
        self._touched(claim.account)


def deliver(batch: Batch, revision: int) -> None:
    """Tells everybody in a committed batch."""
    faultpoints.passing("ledger.answer.before")
    for claim in batch.claims:
        claim.assigned(revision)
    for release in batch.releases:
        release.released()
    faultpoints.passing("ledger.answer.after")
