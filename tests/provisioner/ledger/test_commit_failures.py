"""What a commit queue tells whom when something goes wrong, at every step of a batch: nobody waits
for an answer that will not come, nobody hears two, and no slot stays taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord, encode_capacity
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import LeaseLost, OutcomeUnknown, Put, StoreUnavailable, Txn
from provisioner.ledger.account import Account
from provisioner.ledger.commit_queue import CommitQueue
from provisioner.ledger.commit_rules import StoreCommitRules
from provisioner.ledger.operations import Claim, Release
from provisioner.ledger.reservations import reserve
from provisioner.ledger.session import Session

UNIT = "near"
MANY = 5
WITHIN_S = 20.0
NOT_WRITTEN = "Unavailable: the ledger could not be written; try again"


class Told:
    """What one client heard, each word of it."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.first = asyncio.get_running_loop().create_future()

    def hear(self, word: str) -> None:
        self.words.append(word)
        if not self.first.done():
            self.first.set_result(word)


class Newcomer(Claim):
    def __init__(self, name: str, account: Account) -> None:
        self.plain = True
        self.key = keys.assignment("t", name)
        self.account = account
        self.expires_at = float("inf")
        self.value = b"{}"
        self.told = Told()
        reserve(self, 0.0)

    def assigned(self, revision):
        self.told.hear("assigned")

    def existing(self, found):
        self.told.hear("existing")

    def failed(self, error):
        self.told.hear(f"{type(error).__name__}: {error.message}")


class Leaver(Release):
    def __init__(self, name: str, account: Account, revision: int) -> None:
        self.key = keys.assignment("t", name)
        self.account = account
        self.revision = revision
        self.expires_at = float("inf")
        self.told = Told()

    def released(self):
        self.told.hear("released")

    def changed(self, found):
        self.told.hear("gone" if found is None else "changed")

    def failed(self, error):
        self.told.hear(f"{type(error).__name__}: {error.message}")


def concerns_clients(txn: Txn) -> bool:
    return any(one.key.startswith(keys.ASSIGNMENTS) for one in txn.expanded().then)


class FailingStore:
    """A real store, of which one commit of assignments ends as told: before it, after it, or as
    what it answers."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.before: BaseException | None = None
        self.after: BaseException | None = None
        self.answer: Callable[[Any], Any] = lambda result: result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, txn: Txn, *, timeout_s: float | None = None) -> Any:
        if not concerns_clients(txn):
            return await self._store.commit(txn, timeout_s=timeout_s)
        before, self.before = self.before, None
        after, self.after = self.after, None
        if before is not None:
            raise before
        result = self.answer(await self._store.commit(txn, timeout_s=timeout_s))
        if after is not None:
            raise after
        return result


class FailingRules(StoreCommitRules):
    """Rules of which one step fails, once."""

    def __init__(self, store: Any, session: Session) -> None:
        super().__init__(store, session)
        self.failing: dict[str, BaseException] = {}
        self.unknown: set[str] = set()

    def _fail(self, step: str) -> None:
        if step in self.failing:
            raise self.failing.pop(step)

    def compares(self):
        self._fail("compares")
        return super().compares()

    def unregistered(self, accounts):
        return [one for one in accounts if one.unit in self.unknown]

    async def register(self, account, refresh):
        self._fail("register")
        self.unknown.discard(account.unit)
        return True

    async def read_accounts(self, accounts):
        self._fail("read_accounts")
        return await super().read_accounts(accounts)


class Bench:
    def __init__(self, store: Any, session: Session) -> None:
        self.store = FailingStore(store)
        self.rules = FailingRules(self.store, session)
        self.account = Account(unit=UNIT)
        self.touched: Callable[[Account], None] = lambda account: None
        self.queue = CommitQueue(
            self.store,
            session,
            self.rules,
            permits=asyncio.Semaphore(1),
            clock=lambda: 0.0,
            reroute=lambda claim: claim.told.hear("rerouted"),
            touched=lambda account: self.touched(account),
        )

    async def run_until_told(self, *clients: Newcomer | Leaver) -> BaseException | None:
        """Runs the queue until it ends or all these have heard a word; what it ended with."""
        running = asyncio.create_task(self.queue.run())
        told = asyncio.gather(*(one.told.first for one in clients))
        await asyncio.wait([running, told], timeout=WITHIN_S, return_when="FIRST_COMPLETED")
        for _ in range(10):  # it ends right after they were told
            await asyncio.sleep(0)
        if running.done():
            return asyncio.CancelledError() if running.cancelled() else running.exception()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return None


@pytest.fixture
async def bench(tmp_path):
    store = await EmbeddedStore.open(tmp_path / "store.db")
    session = Session(store, ttl_s=60, new_id=lambda: "p")
    await session.open()
    record = CapacityRecord(capacity=100, grants={"p": 100})
    await store.commit(Txn(then=[Put(keys.capacity(UNIT), encode_capacity(record))]))
    made = Bench(store, session)
    assert await made.rules.read_accounts([made.account])
    yield made
    await store.close()


async def heard(*clients: Newcomer | Leaver) -> list[str]:
    """What each heard, which is one word. Raises TimeoutError where somebody waits for ever."""
    async with asyncio.timeout(WITHIN_S):
        await asyncio.gather(*(one.told.first for one in clients))
    for _ in range(10):  # a second word would come now
        await asyncio.sleep(0)
    assert all(len(one.told.words) == 1 for one in clients)
    return [one.told.words[0] for one in clients]


def fails_before(error: BaseException) -> Callable[[Bench], None]:
    def order(bench: Bench) -> None:
        bench.store.before = error

    return order


def fails_after(error: BaseException) -> Callable[[Bench], None]:
    def order(bench: Bench) -> None:
        bench.store.after = error

    return order


def fails_at(step: str, *, with_outcome_unknown: bool = False) -> Callable[[Bench], None]:
    def order(bench: Bench) -> None:
        bench.rules.failing[step] = RuntimeError(f"a defect in {step}")
        if with_outcome_unknown:
            bench.store.before = OutcomeUnknown("no answer in time")
        if step == "register":
            bench.rules.unknown = {UNIT}

    return order


def answers_nonsense(bench: Bench) -> None:
    bench.store.answer = lambda result: None


DEFECT = (RuntimeError, AttributeError)
FAILURES = {
    "the store is away": (fails_before(StoreUnavailable("away")), None, "StoreUnavailable: away"),
    "a lease ran out": (
        fails_before(LeaseLost()), None, "Unavailable: a lease ran out under a move; try again",
    ),
    "no answer, and it was not applied": (fails_before(OutcomeUnknown("late")), None, "assigned"),
    "no answer, and it was applied": (fails_after(OutcomeUnknown("late")), None, "assigned"),
    "a defect of the store": (fails_before(RuntimeError("defect")), DEFECT, NOT_WRITTEN),
    "the same once it was applied": (fails_after(RuntimeError("defect")), DEFECT, NOT_WRITTEN),
    "a cancellation from elsewhere": (
        fails_before(asyncio.CancelledError()), asyncio.CancelledError, NOT_WRITTEN,
    ),
    "an answer that cannot be read": (answers_nonsense, DEFECT, NOT_WRITTEN),
    "a defect in what is compared": (fails_at("compares"), DEFECT, NOT_WRITTEN),
    "a defect in registering": (fails_at("register"), DEFECT, "assigned"),
    "a defect in reading after no answer": (
        fails_at("read_accounts", with_outcome_unknown=True), DEFECT, "assigned",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("order", "ends_with", "word"), FAILURES.values(), ids=FAILURES)
async def test_everybody_in_a_batch_hears_one_word(bench, order, ends_with, word):
    clients = [Newcomer(f"c{number}", bench.account) for number in range(MANY)]
    for one in clients:
        bench.queue.submit(one)
    order(bench)
    ended = await bench.run_until_told(*clients)
    assert (ended is None) if ends_with is None else isinstance(ended, ends_with)
    if ended is not None and word == "assigned":  # they wait again, for the queue begun anew
        assert len(bench.queue) == MANY
        assert await bench.run_until_told(*clients) is None
    assert await heard(*clients) == [word] * MANY
    assert bench.account.in_flight == 0
    assert not any(one.reserved for one in clients if word != "assigned")


@pytest.mark.parametrize("order", [one[0] for one in FAILURES.values()], ids=FAILURES)
async def test_afterwards_the_queue_serves_again_and_counts_rightly(bench, order):
    first = [Newcomer(f"c{number}", bench.account) for number in range(MANY)]
    for one in first:
        bench.queue.submit(one)
    order(bench)
    await bench.run_until_told(*first)
    bench.store.answer = lambda result: result
    await bench.run_until_told(*first)
    again = [Newcomer(f"c{number}", bench.account) for number in range(2 * MANY)]
    for one in again:
        bench.queue.submit(one)
    assert await bench.run_until_told(*again) is None
    assert {*await heard(*again)} <= {"assigned", "existing"}
    assert await bench.rules.read_accounts([bench.account])
    assert (bench.account.usage, bench.account.in_flight) == (2 * MANY, 0)


async def test_those_who_leave_hear_it_as_well(bench):
    client = Newcomer("a", bench.account)
    bench.queue.submit(client)
    await bench.run_until_told(client)
    assert await heard(client) == ["assigned"]
    found = await bench.store.get(client.key)
    leaver = Leaver("a", bench.account, found.mod_revision)
    bench.queue.submit(leaver)
    bench.store.before = RuntimeError("defect")
    assert isinstance(await bench.run_until_told(leaver), RuntimeError)
    assert await heard(leaver) == [NOT_WRITTEN]
    again = Leaver("a", bench.account, found.mod_revision)
    bench.queue.submit(again)
    await bench.run_until_told(again)
    assert await heard(again) == ["released"]
    assert bench.account.usage == 0


async def test_who_waits_behind_a_batch_that_fails_is_not_concerned(bench):
    inside, behind = Newcomer("a", bench.account), Newcomer("b", bench.account)
    bench.queue.submit(inside)
    bench.store.before = RuntimeError("defect")
    running = asyncio.create_task(bench.queue.run())
    await asyncio.wait([running], timeout=WITHIN_S)
    bench.queue.submit(behind)
    assert await bench.run_until_told(behind) is None
    assert await heard(inside, behind) == [NOT_WRITTEN, "assigned"]


async def test_a_defect_of_who_looks_at_rooms_keeps_no_answer_back(bench, caplog):
    def broken(account: Account) -> None:
        raise RuntimeError("a defect in touched")

    bench.touched = broken
    clients = [Newcomer(f"c{number}", bench.account) for number in range(MANY)]
    for one in clients:
        bench.queue.submit(one)
    assert await bench.run_until_told(*clients) is None
    assert await heard(*clients) == ["assigned"] * MANY
    assert bench.account.in_flight == 0
    assert "could not be told" in caplog.text
