"""A commit queue does as its rules say: what it compares, whom it forwards, whom it registers,
and when a refusal says nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import OutcomeUnknown, Put, StoreUnavailable, Txn, unchanged
from provisioner.ledger.account import Account
from provisioner.ledger.commit_queue import CommitQueue
from provisioner.ledger.commit_rules import StoreCommitRules
from provisioner.ledger.operations import Claim
from provisioner.ledger.reservations import reserve
from provisioner.ledger.session import Session

UNIT = "near"
GUARD = b"/homeport/v1/guard"


class Newcomer(Claim):
    """A client that wants a slot, and how that ended."""

    def __init__(self, name: str, account: Account) -> None:
        self.plain = True
        self.key = keys.assignment("t", name)
        self.account = account
        self.expires_at = float("inf")
        self.outcome = asyncio.get_running_loop().create_future()
        self.value = b"{}"
        reserve(self, 0.0)

    def assigned(self, revision):
        self.outcome.set_result("assigned")

    def existing(self, found):
        self.outcome.set_result("existing")

    def failed(self, error):
        self.outcome.set_result(type(error).__name__)


class GuardedRules(StoreCommitRules):
    """Compares one more key; knows of accounts that are not registered yet."""

    def __init__(self, store, session) -> None:
        super().__init__(store, session)
        self.fixed_compares = 2
        self.store = store
        self.guard_revision = 0
        self.unknown: set[str] = set()
        self.can_register = True
        self.away: set[bytes] = set()
        self.forwarded: list[Claim] = []
        self.route = None
        self.store_is_away = False
        self.reads = 0
        self.on_read = lambda: None

    async def read_accounts(self, accounts):
        self.reads += 1
        if self.store_is_away:
            self.on_read()
            raise StoreUnavailable("away")
        return await super().read_accounts(accounts)

    def compares(self):
        return (unchanged(GUARD, self.guard_revision),)

    def outdated(self, compares, result):
        found = result.results[-1]
        self.guard_revision = found[0].mod_revision if found else 0
        return self.guard_revision != compares[0].operand

    def unregistered(self, accounts):
        return [one for one in accounts if one.unit in self.unknown]

    async def register(self, account, refresh):
        await refresh([account])
        if self.can_register:
            self.unknown.discard(account.unit)
        return self.can_register

    def writes(self, assignment_key):
        return assignment_key not in self.away

    def forward(self, operation):
        assert not operation.reserved
        self.forwarded.append(operation)


class Bench:
    """A queue over a real store, with one account that may hand out ten slots."""

    def __init__(self, store, session) -> None:
        self.rules = GuardedRules(store, session)
        self.session = session
        self.account = Account(unit=UNIT)

    def queue(self, *, routed: bool = False, clock=lambda: 0.0) -> CommitQueue:
        self.rules.route = self.rules if routed else None
        return CommitQueue(
            self.rules.store,
            self.session,
            self.rules,
            permits=asyncio.Semaphore(1),
            clock=clock,
            reroute=lambda claim: claim.outcome.set_result("rerouted"),
            touched=lambda account: None,
        )


@pytest.fixture
async def bench(tmp_path):
    store = await EmbeddedStore.open(tmp_path / "store.db")
    session = Session(store, ttl_s=60, new_id=lambda: "p")
    await session.open()
    record = CapacityRecord(capacity=10, grants={"p": 10})
    await store.commit(Txn(then=[Put(keys.capacity(UNIT), encode_capacity(record))]))
    made = Bench(store, session)
    assert await made.rules.read_accounts([made.account])
    yield made
    await store.close()


@asynccontextmanager
async def at_work(queue: CommitQueue):
    running = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def outcome(one: Newcomer) -> str:
    return await asyncio.wait_for(one.outcome, 10)


async def test_what_the_rules_compare_must_hold_and_a_refusal_for_it_says_nothing(bench):
    """A refused batch that was outdated is decided anew, and the client gets its place."""
    await bench.rules.store.commit(Txn(then=[Put(GUARD, b"moved")]))
    queue, client = bench.queue(), Newcomer("alice", bench.account)
    queue.submit(client)
    async with at_work(queue):
        assert await outcome(client) == "assigned"
    assert (queue.transactions, queue.conflicts) == (2, 1)
    assert bench.account.usage == 1


async def test_nothing_is_written_for_a_unit_before_it_is_registered(bench):
    bench.rules.unknown = {UNIT}
    queue, client = bench.queue(), Newcomer("alice", bench.account)
    queue.submit(client)
    async with at_work(queue):
        assert await outcome(client) == "assigned"
    assert bench.rules.unknown == set()


async def test_who_needs_a_unit_that_cannot_be_registered_is_told_so(bench):
    bench.rules.unknown, bench.rules.can_register = {UNIT}, False
    queue, client = bench.queue(), Newcomer("alice", bench.account)
    queue.submit(client)
    async with at_work(queue):
        assert await outcome(client) == "Unavailable"
    assert queue.transactions == 0
    assert bench.account.in_flight == 0


async def test_what_belongs_elsewhere_is_forwarded_without_its_reservation(bench):
    queue = bench.queue(routed=True)
    stays, goes = Newcomer("alice", bench.account), Newcomer("bob", bench.account)
    bench.rules.away = {goes.key}
    queue.submit(goes)
    queue.submit(stays)
    assert (bench.rules.forwarded, len(queue)) == ([goes], 1)
    assert bench.account.in_flight == 1


async def test_what_waits_is_forwarded_when_it_belongs_elsewhere_from_now_on(bench):
    queue = bench.queue(routed=True)
    clients = [Newcomer(name, bench.account) for name in ("alice", "bob", "carol")]
    for one in clients:
        queue.submit(one)
    bench.rules.away = {clients[1].key}
    queue.forward_misplaced()
    assert (bench.rules.forwarded, len(queue)) == ([clients[1]], 2)


async def test_an_exclusive_task_runs_while_no_batch_is_under_way(bench):
    queue, client = bench.queue(), Newcomer("alice", bench.account)
    seen = []

    async def task() -> None:
        seen.append(bench.account.usage)

    queue.submit(client)
    queue.run_exclusively(task)
    async with at_work(queue):
        await outcome(client)
    assert seen == [0], "it goes before what waits"


async def test_a_claim_whose_unit_has_no_room_left_is_rerouted(bench):
    queue, client = bench.queue(), Newcomer("alice", bench.account)
    bench.account.adopted = False
    queue.submit(client)
    async with at_work(queue):
        assert await outcome(client) == "rerouted"
    assert (bench.account.in_flight, client.reserved) == (0, False)


class SilentStore:
    """Its answer to a write does not come."""

    async def commit(self, txn, *, timeout_s=None):
        raise OutcomeUnknown("no answer")


async def away_after_a_write(bench, *, unregistered: bool = False):
    """A queue whose store is away from its first write on, for which time passes at each try to
    read it, and a client that waits for three seconds."""
    now = [0.0]
    queue, client = bench.queue(clock=lambda: now[0]), Newcomer("alice", bench.account)
    client.expires_at = 3.0
    if unregistered:
        bench.rules.unknown = {UNIT}
    else:
        queue._store = SilentStore()
    bench.rules.store_is_away, bench.rules.reads = True, 0

    def passes() -> None:
        now[0] += 1.0

    bench.rules.on_read = passes
    queue.submit(client)
    return queue, client


@pytest.mark.parametrize("unregistered", [False, True], ids=["a batch", "a registration"])
async def test_who_waits_for_an_unknown_outcome_is_answered_in_time(bench, unregistered):
    """Also while the store stays away: its own clients, and not only those behind them."""
    queue, client = await away_after_a_write(bench, unregistered=unregistered)
    async with at_work(queue):
        assert await outcome(client) == "Unavailable"
    assert bench.rules.reads == 4
    assert (bench.account.in_flight, client.reserved, len(queue)) == (0, False, 0)


async def test_who_has_time_left_gets_a_place_when_the_store_is_back(bench):
    queue, client = await away_after_a_write(bench)
    client.expires_at = float("inf")
    passes = bench.rules.on_read

    def comes_back() -> None:
        passes()
        if bench.rules.reads == 2:
            bench.rules.store_is_away = False
            queue._store = bench.rules.store

    bench.rules.on_read = comes_back
    async with at_work(queue):
        assert await outcome(client) == "assigned"
    assert (bench.account.in_flight, bench.account.usage) == (0, 1)
