"""CommitQueue: group commit. One task, one transaction at a time, for the units it owns.

No timer: while a transaction is under way claims and releases gather, and all that fit go
out with the next one. So one client alone waits for nobody, and a crowd shares a sync.
Tenants take turns: who has thousands waiting makes nobody else wait for more than a transaction.
A unit belongs to exactly one queue, so its usage key has one writer at a time.

A refused batch is read, not guessed at: clients that have a home get it as their answer,
the rest tries again. When the outcome is unknown, or nothing explains the refusal, session,
fences and usage are read from the store before anything is written again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from control_plane import faultpoints, keys
from control_plane.errors import ServiceError, Unavailable
from control_plane.histogram import SIZES, Histogram
from control_plane.store.port import (
    LeaseLost,
    OutcomeUnknown,
    Store,
    StoreUnavailable,
    Txn,
    TxnResult,
)
from control_plane.tracing.tracer import Tracer
from control_plane.turns import Turns
from provisioner.ledger import transactions
from provisioner.ledger.account import Account
from provisioner.ledger.account_refresh import AccountRefresh
from provisioner.ledger.batch import Batch, gather, touches
from provisioner.ledger.commit_rules import CommitRules, WriteRoute
from provisioner.ledger.commit_span import begin_commit, end_commit
from provisioner.ledger.operations import Claim, Operation, Release, tell, tenant_of
from provisioner.ledger.quota_accounts import QuotaAccounts
from provisioner.ledger.retransmit_timer import RetransmitTimer
from provisioner.ledger.session import Session

ANSWERED_AT_ONCE = 64  # of a batch, before others have the event loop
FULL = 96  # operations waiting that are worth a transaction whatever other queues do


class CommitQueue:
    """`submit` from the event loop; `run` is a task of the owner's.

    rules: what its transactions rest on. permits: shared by all queues, how many may have a
    small batch under way at once. reroute(claim): called for a claim that cannot have a slot
    where it was going; its reservation is released and it may be sent to another unit.
    touched(account): called whenever an account's room may have changed. refresh(accounts):
    reads them from the store; only as an exclusive task, so that nothing of them is in flight.
    assign: what makes the transaction of a batch, as `transactions.assign` does.
    """

    def __init__(
        self,
        store: Store,
        session: Session,
        rules: CommitRules,
        *,
        permits: asyncio.Semaphore,
        clock: Callable[[], float],
        reroute: Callable[[Claim], None],
        touched: Callable[[Account], None],
        assign: Callable[..., Txn] = transactions.assign,
    ) -> None:
        self._store = store
        self._session = session
        self._rules = rules
        self._route = rules.route
        self._permits = permits
        self._clock = clock
        self._reroute = reroute
        self._touched = touched
        self._assign = assign
        self._waiting: Turns[Operation] = Turns(tenant_of)
        self._exclusive: deque[Callable[[], Awaitable[None]]] = deque()
        self._wake = asyncio.Event()
        self._timer = RetransmitTimer()
        self.refresh = AccountRefresh(
            session, rules.read_accounts, touched=touched, while_away=self.drop_expired
        )
        self.tracer: Tracer | None = None  # of transactions; None: nothing is traced
        self.quotas: QuotaAccounts | None = None  # of clients; None: there are none here
        self.transactions = 0
        self.conflicts = 0
        self.under_way = 0  # transactions
        self.sizes = Histogram(SIZES)  # of transactions, in operations
        self.seconds = Histogram()  # from a batch's transaction to its result

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, operation: Operation) -> None:
        """One of its outcome methods will be called, once. A claim must hold a reservation."""
        route = self._route
        if route is None or route.writes(operation.key):
            self._waiting.append(operation)
            self._wake.set()
        else:
            self._forward(operation, route)

    def run_exclusively(self, task: Callable[[], Awaitable[None]]) -> None:
        """Runs `task` while no transaction of this queue is under way."""
        self._exclusive.append(task)
        self._wake.set()

    async def run(self) -> None:
        """Commits for ever."""
        while True:
            if not self._waiting and not self._exclusive:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._session.stands.wait()
            while self._exclusive:
                await self._exclusive.popleft()()
            if len(self._waiting) >= FULL:
                await self._commit_or_fail(self._gather())
            else:
                # Small batches from many queues would starve each other: each waits for a
                # permit, and fills up while it waits.
                async with self._permits:
                    await self._commit_or_fail(self._gather())

    # -- batches -----------------------------------------------------------------------

    def _gather(self) -> Batch:
        """The next batch; answers those who waited too long, and reroutes those whose unit
        has no room left, or who were decided by a policy that was replaced."""
        rules, quotas = self._rules, self.quotas
        refusal = rules.refusal_asked(self._waiting.keys)
        batch = gather(self._waiting, self._clock(), rules.fixed_compares, refusal, quotas)
        for operation in batch.expired:
            self._fail(operation, Unavailable("the store was too slow; try again"))
        for operation, error in batch.refused:
            self._fail(operation, error)
        for claim in batch.rerouted:
            self._release_reservation(claim)
            tell(self._reroute, claim)
        if quotas is not None:
            for claim, account in batch.unplaced:
                self._release_reservation(claim)
                tell(quotas.wait, claim, account)
        return batch

    async def _commit_or_fail(self, batch: Batch) -> None:
        """Commits; whoever is in the batch hears of it whatever goes wrong. What the port does
        not promise goes on upwards: if the batch was applied all the same, the next one does not
        find the usage it compares, and the accounts are read."""
        try:
            await self._commit(batch)
        except BaseException:  # a cancellation from elsewhere, too
            if not batch.settled:
                self._fail_batch(batch, Unavailable("the ledger could not be written; try again"))
            raise

    async def _commit(self, batch: Batch) -> None:
        if not batch.claims and not batch.releases:
            return
        me, rules = self._session.id, self._rules
        accounts = batch.accounts
        unregistered = rules.unregistered(accounts)
        if unregistered:
            await self._register(batch, unregistered)
            return
        changes, fence_key, compares = batch.changes, rules.fence_key, rules.compares()
        txn = self._assign(
            self._session.compare,
            batch.claims,
            batch.releases,
            [
                (
                    account,
                    keys.usage(account.unit, me + account.queue_name),
                    fence_key(account.unit),
                    changes[account.unit][0] - changes[account.unit][1],
                    changes[account.unit][0] > 0,
                )
                for account in accounts
            ],
            compares,
        )
        self.transactions += 1
        faultpoints.passing("ledger.commit.before")
        began = self._clock()
        self.sizes.observe(len(batch.claims) + len(batch.releases))
        try:
            result = await self._commit_txn(txn, batch.claims)
        except StoreUnavailable as error:
            self._fail_batch(batch, error)
            return
        except LeaseLost:
            self._fail_batch(batch, Unavailable("a lease ran out under a move; try again"))
            return
        except OutcomeUnknown:
            self._timer.timed_out()
            batch.settled = True
            await self._try_again(batch.claims, batch.releases, accounts)
            return
        took = self._clock() - began
        self.seconds.observe(took)
        self._timer.answered(took)
        faultpoints.passing("ledger.commit.after")
        if result.succeeded:
            batch.settled = True
            # Two rounds of the loop later the next transaction is on its way, and the
            # answers are written while the store works on it.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, _deliver, batch, result.revision, 0)
            for account in accounts:
                claims, releases = changes[account.unit]
                account.usage += claims - releases
                account.usage_revision = result.revision
                if account.unit not in batch.quotas:
                    account.in_flight -= claims
                    tell(self._touched, account)
                elif self.quotas is not None:
                    tell(self.quotas.used, account)
            return
        self.conflicts += 1
        if compares and rules.outdated(compares, result):
            batch.settled = True
            await self._try_again(batch.claims, batch.releases, accounts)
        else:
            await self._explain_refusal(batch, accounts, result)

    async def _commit_txn(self, txn: Txn, claims: Sequence[Claim]) -> TxnResult:
        self.under_way += 1
        span = None if self.tracer is None else begin_commit(self.tracer, claims)
        try:
            result = await self._store.commit(txn, timeout_s=self._timer.wait_s)
        except BaseException as error:  # its span says so, and it is raised again
            if span is not None:
                span.end(type(error).__name__)
            raise
        finally:
            self.under_way -= 1
        if span is not None:
            end_commit(span, result)
        return result

    async def _explain_refusal(
        self, batch: Batch, accounts: Sequence[Account], result: TxnResult
    ) -> None:
        """Answers what the A keys answer, and tries the rest again."""
        explained = 0
        claims: list[Claim] = []
        releases: list[Release] = []
        # All of it is read before anybody is told: what cannot be read is everybody's fault.
        shown = iter(list(transactions.explain_refusal(batch.claims, batch.releases, result)))
        batch.settled = True
        for claim in batch.claims:
            found, holds = next(shown)
            if holds:
                claims.append(claim)
                continue
            explained += 1
            self._release_reservation(claim)
            if found is not None and found.value == claim.value:
                tell(claim.assigned, found.mod_revision)  # our own, of an unknown outcome
            else:
                tell(claim.changed, found)
        for release in batch.releases:
            found, holds = next(shown)
            if holds:
                releases.append(release)
            else:
                explained += 1
                tell(release.changed, found)
        if explained:
            self._requeue(claims, releases)
        else:
            await self._try_again(claims, releases, accounts)

    async def _register(self, batch: Batch, unregistered: Sequence[Account]) -> None:
        """Nothing may be counted at a unit whose capacity record does not know us. This takes
        a while, in which clients may begin to belong elsewhere: all go through the queue again."""
        batch.settled = True
        self._requeue(batch.claims, batch.releases)
        refused = {one.unit for one in unregistered if not await self.register(one)}
        self._drop(
            lambda one: touches(one, refused), Unavailable("the unit's ledger cannot be written")
        )

    async def register(self, account: Account) -> bool:
        """Has the unit's capacity record know us; only as an exclusive task."""
        return await self._rules.register(account, self.refresh)

    # -- what waits --------------------------------------------------------------------

    async def _try_again(
        self, claims: list[Claim], releases: list[Release], accounts: Sequence[Account]
    ) -> None:
        """Reads the accounts, then the operations go out anew. They wait in the queue meanwhile:
        the store may be away for long, and whose time is over is told so."""
        self._requeue(claims, releases)
        await self.refresh(accounts)

    def _requeue(self, claims: list[Claim], releases: list[Release]) -> None:
        """Puts operations back at the head of the queue, in their order."""
        self._waiting.extendleft(reversed([*claims, *releases]))
        self._wake.set()
        self.forward_misplaced()

    def forward_misplaced(self) -> None:
        """Passes on whatever does not belong here any more."""
        route = self._route
        if route is None:
            return
        waiting = list(self._waiting)
        self._waiting.clear()
        for operation in waiting:
            if route.writes(operation.key):
                self._waiting.append(operation)
            else:
                self._forward(operation, route)

    def _forward(self, operation: Operation, route: WriteRoute) -> None:
        if isinstance(operation, Claim) and operation.reserved:
            self._release_reservation(operation)
        route.forward(operation)

    def drop_expired(self) -> None:
        """Answers those who waited too long; for when nothing moves."""
        now = self._clock()
        self._drop(lambda one: one.expires_at < now, Unavailable("the store is away; try again"))

    def _drop(self, unwanted: Callable[[Operation], bool], error: ServiceError) -> None:
        """Answers those who wait and are unwanted."""
        for operation in self._waiting.take_where(unwanted):
            self._fail(operation, error)

    def _fail_batch(self, batch: Batch, error: ServiceError) -> None:
        batch.settled = True
        for operation in (*batch.claims, *batch.releases):
            self._fail(operation, error)

    def _fail(self, operation: Operation, error: ServiceError) -> None:
        if isinstance(operation, Claim):
            self._release_reservation(operation)
        tell(operation.failed, error)

    def _release_reservation(self, claim: Claim) -> None:
        claim.reserved = False
        claim.account.in_flight -= 1
        tell(self._touched, claim.account)


def _deliver(batch: Batch, revision: int, start: int) -> None:
    """Answers those in a batch, a part in each pass of the event loop."""
    end = start + ANSWERED_AT_ONCE
    if batch.deliver(revision, start, end):
        asyncio.get_running_loop().call_soon(_deliver, batch, revision, end)
