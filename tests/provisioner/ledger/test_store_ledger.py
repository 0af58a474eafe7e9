"""The ledger at work over a real store: answers, lost answers, sessions, sharing of slots."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn
from provisioner.ledger import transactions
from provisioner.ledger.single_store import single_store_ledger
from provisioner.ledger.store_ledger import StoreLedger
from tests.support.fakes.faulty_store import FaultyStore
from tests.support.ledger_operations import WAIT_S, FirstWithRoom, Leaving, clients_at
from tests.support.supervision import FailFast

names = itertools.count()


async def ask(ledger: StoreLedger, client: str, *units: str) -> tuple[str, str]:
    wish = FirstWithRoom(ledger, client, list(units))
    choice = wish.choose()
    if isinstance(choice, ServiceError):
        return ("failed", choice.reason)
    wish.account = choice
    ledger.submit(wish)
    return await asyncio.wait_for(wish.outcome, WAIT_S)


@asynccontextmanager
async def at_work(store, units=("a", "b"), clock=time.monotonic):
    ledger = single_store_ledger(
        store,
        clock=clock,
        jitter=lambda: 0.0,
        new_id=lambda: f"p{next(names)}",
        supervisor=FailFast(),
    )
    await ledger.start()
    ledger.follow(list(units))
    running = asyncio.create_task(ledger.run())
    await asyncio.sleep(0)
    try:
        yield ledger
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def set_capacity(store, **capacities: int) -> None:
    for unit, capacity in capacities.items():
        record = CapacityRecord(capacity=capacity)
        await store.commit(Txn(then=[Put(keys.capacity(unit), encode_capacity(record))]))


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


async def test_clients_fill_one_unit_then_the_next_then_nobody(store):
    await set_capacity(store, a=3, b=2)
    async with at_work(store) as ledger:
        outcomes = [await ask(ledger, f"c{n}", "a", "b") for n in range(6)]
    assert [o[1] for o in outcomes[:5]] == ["a", "a", "a", "b", "b"]
    assert outcomes[5] == ("failed", "EXHAUSTED")
    assert await clients_at(store, "a") == (3, 3)
    assert await clients_at(store, "b") == (2, 2)


async def test_a_crowd_at_once_is_committed_in_groups(store):
    await set_capacity(store, a=500, b=500)
    faulty = FaultyStore(store)
    async with at_work(faulty) as ledger:
        outcomes = await asyncio.gather(*(ask(ledger, f"c{n}", "a", "b") for n in range(600)))
    assert sum(o == ("new", "a") for o in outcomes) == 500
    assert sum(o == ("new", "b") for o in outcomes) == 100
    assert faulty.commits < 40


async def test_a_client_that_has_a_home_gets_it_and_its_neighbours_are_placed(store):
    await set_capacity(store, a=10, b=10)
    async with at_work(store) as ledger:
        await ask(ledger, "known", "b")
        outcomes = await asyncio.gather(*(ask(ledger, c, "a") for c in ("x", "known", "y")))
    assert outcomes == [("new", "a"), ("known", "b"), ("new", "a")]
    assert await clients_at(store, "a") == (2, 2)


async def test_a_bug_seeded_in_the_transactions_is_in_what_is_written(store, monkeypatch):
    """Compiled too, where calls between modules pass by what stands in a module's place."""
    assign = transactions.assign

    def without_usage(*given) -> Txn:
        txn = assign(*given)
        return replace(txn, then=[one for one in txn.then if not one.key.startswith(keys.USAGE)])

    monkeypatch.setattr(transactions, "assign", without_usage)
    await set_capacity(store, a=3)
    async with at_work(store, ["a"]) as ledger:
        assert await ask(ledger, "alice", "a") == ("new", "a")
    assert await clients_at(store, "a") == (0, 1)


@pytest.mark.parametrize("fault", ["lost before", "lost after"])
async def test_a_lost_answer_is_looked_up_and_the_client_counted_once(store, fault):
    await set_capacity(store, a=10)
    faulty = FaultyStore(store)
    async with at_work(faulty, ["a"]) as ledger:
        await ask(ledger, "first", "a")
        faulty.faults.append(fault)
        assert await ask(ledger, "second", "a") == ("new", "a")
        assert await ask(ledger, "third", "a") == ("new", "a")
        assert ledger.account("a").in_flight == 0
    assert await clients_at(store, "a") == (3, 3)


async def test_a_refused_write_is_told_and_gives_its_promise_back(store):
    await set_capacity(store, a=1)
    faulty = FaultyStore(store)
    async with at_work(faulty, ["a"]) as ledger:
        faulty.faults.append("refused")
        assert await ask(ledger, "x", "a") == ("failed", "STORE_UNAVAILABLE")
        assert await ask(ledger, "y", "a") == ("new", "a")
    assert await clients_at(store, "a") == (1, 1)


async def test_a_lost_session_begins_anew_and_the_old_one_is_settled(store):
    await set_capacity(store, a=20)
    async with at_work(store, ["a"]) as ledger:
        await ask(ledger, "before", "a")
        old = ledger.session.id
        await store.lease_revoke(ledger.session._lease)
        assert await ask(ledger, "after", "a") == ("new", "a")
        assert ledger.session.id != old

        async def settled() -> bool:
            record = decode_capacity((await store.get(keys.capacity("a"))).value)
            return record.settled == 1 and old not in record.grants

        async with asyncio.timeout(WAIT_S):
            while not await settled():  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.02)
    assert await clients_at(store, "a") == (2, 2)


async def test_slots_that_one_server_holds_reach_another_that_starves(store):
    await set_capacity(store, a=40)
    async with at_work(store, ["a"]) as rich, at_work(store, ["a"]) as poor:
        for n in range(3):
            await ask(rich, f"r{n}", "a")
        placed, tries = 0, 0
        async with asyncio.timeout(WAIT_S):
            while placed < 37:
                placed += (await ask(poor, f"p{tries}", "a"))[0] == "new"
                tries += 1
                if tries % 10 == 0:
                    await asyncio.sleep(0.05)
    assert await clients_at(store, "a") == (40, 40)


async def test_who_starves_twice_is_heard_twice(store):
    """The notice is the same one both times; only its revision differs."""
    await set_capacity(store, a=40)
    async with at_work(store, ["a"], clock=lambda: 0.0) as rich:  # nothing is idle for long
        await ask(rich, "r", "a")
        idle = [rich.accounts["a"].idle]
        for _ in range(2):
            await store.commit(Txn(then=[Put(keys.starving("a"), b"p-poor")]))
            async with asyncio.timeout(WAIT_S):
                while rich.accounts["a"].idle == idle[-1]:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.01)
            idle.append(rich.accounts["a"].idle)
    assert idle[0] > idle[1] > idle[2]


async def test_a_slot_given_back_can_be_had_again(store):
    await set_capacity(store, a=1)
    async with at_work(store, ["a"]) as one, at_work(store, ["a"]) as two:
        await ask(one, "x", "a")
        assert (await ask(two, "y", "a"))[0] == "failed"
        pair = await store.get(keys.assignment("t", "x"))
        leaving = Leaving(two, pair)  # at a server that did not place it
        two.release(leaving)
        assert await asyncio.wait_for(leaving.outcome, WAIT_S) == "released"
        again = Leaving(two, pair)
        two.release(again)
        assert await asyncio.wait_for(again.outcome, WAIT_S) == "changed"
        assert await ask(two, "y", "a") == ("new", "a")
    assert await clients_at(store, "a") == (1, 1)


async def test_closing_a_unit_sends_clients_elsewhere_and_grants_home(store):
    await set_capacity(store, a=100, b=100)
    async with at_work(store) as ledger:
        await ask(ledger, "x", "a")
        pair = await store.get(keys.capacity("a"))
        closed = replace(decode_capacity(pair.value), open=False)
        await store.commit(
            Txn(
                then=[
                    Put(keys.capacity("a"), encode_capacity(closed)),
                    Put(keys.fence("a"), b"closed"),
                ]
            )
        )
        assert (await ask(ledger, "y", "a", "b"))[1] == "b"

        async def home() -> bool:
            record = decode_capacity((await store.get(keys.capacity("a"))).value)
            return not record.grants and record.settled == 1

        async with asyncio.timeout(WAIT_S):
            while not await home():  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.02)


async def test_leaving_gives_everything_back(store):
    await set_capacity(store, a=100)
    async with at_work(store, ["a"]) as ledger:
        await ask(ledger, "x", "a")
        await ledger.return_idle_slots(timeout_s=WAIT_S)
    record = decode_capacity((await store.get(keys.capacity("a"))).value)
    assert (record.settled, dict(record.grants)) == (1, {})


async def test_whoever_leaves_twice_at_once_leaves_once_and_can_come_back_meanwhile(store):
    """No transaction may write a key twice; the second one to ask goes with the next."""
    await set_capacity(store, a=5)
    async with at_work(store) as ledger:
        await ask(ledger, "alice", "a")
        pair = await store.get(keys.assignment("t", "alice"))
        leaving = [Leaving(ledger, pair) for _ in range(3)]
        for one in leaving:
            ledger.release(one)
        back = asyncio.create_task(ask(ledger, "alice", "a"))
        outcomes = [await asyncio.wait_for(one.outcome, WAIT_S) for one in leaving]
        assert sorted(outcomes) == ["changed", "changed", "released"]
        assert (await back)[1] == "a"
        assert len(set(await clients_at(store, "a"))) == 1
