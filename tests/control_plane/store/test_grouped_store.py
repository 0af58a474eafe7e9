"""Transactions that go in groups come to what they come to alone: the contract of stores, and what
only a group can get wrong."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.store.embedded import EmbeddedStore
from control_plane.store.grouped_store import MOST_WAITING, WAIT_S, GroupedStore
from control_plane.store.port import (
    Compare,
    Delete,
    Get,
    LeaseLost,
    OutcomeUnknown,
    Put,
    StoreUnavailable,
    Target,
    Txn,
    absent,
    unchanged,
)
from tests.support.contracts.store_contract import StoreContract
from tests.support.fakes.network_store import NetworkStore


class Grouped:
    """A grouped store with its tasks."""

    def __init__(self, inner, *, alone=lambda: False, turn_of=lambda key: b"") -> None:
        self.now = 0.0
        self.store = GroupedStore(inner, turn_of=turn_of, alone=alone, clock=lambda: self.now)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> GroupedStore:
        self.begin()
        return self.store

    def begin(self) -> None:
        """From here on it gets on."""
        store = self.store
        for work in (store.run_writes, store.run_reads, store.run_reads):
            self._tasks.append(asyncio.get_running_loop().create_task(work()))

    async def __aexit__(self, *_) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Counted(NetworkStore):
    """Knows what was committed: the number of writes of each transaction."""

    def __init__(self) -> None:
        super().__init__()
        self.fails: list[Exception] = []
        self.sizes: list[int] = []

    async def commit(self, txn, *, timeout_s=None):
        if self.fails:
            raise self.fails.pop(0)
        if not all(isinstance(one, Get) for one in txn.then):
            self.sizes.append(len(txn.then))
        return await super().commit(txn, timeout_s=timeout_s)


@pytest.fixture
async def store(tmp_path):
    inner = await EmbeddedStore.open(tmp_path / "store.db")
    async with Grouped(inner) as grouped:
        yield grouped
    await inner.close()


class TestGrouped(StoreContract):
    """See StoreContract."""


def claim(name: bytes, value: bytes = b"1") -> Txn:
    return Txn(compares=[absent(name)], then=[Put(name, value)])


async def at_once(store, *txns):
    """The outcomes of transactions that are asked for at the same time, in their order."""
    return await asyncio.gather(*(store.commit(one) for one in txns), return_exceptions=True)


async def test_what_is_asked_for_at_once_goes_in_one_transaction():
    inner = Counted()
    async with Grouped(inner) as store:
        done = await at_once(store, *(claim(b"%d" % one) for one in range(25)))
    assert all(one.succeeded for one in done)
    assert inner.sizes == [25]


async def test_the_loser_of_a_group_loses_alone():
    inner = Counted()
    inner.model.commit(claim(b"7"))
    async with Grouped(inner) as store:
        done = await at_once(store, *(claim(b"%d" % one) for one in range(25)))
    assert [place for place, one in enumerate(done) if not one.succeeded] == [7]
    assert inner.sizes == [25, 24]


async def test_of_many_who_want_one_key_one_gets_it():
    inner = Counted()
    async with Grouped(inner) as store:
        done = await at_once(store, *(claim(b"k", b"%d" % one) for one in range(16)))
    assert [one.succeeded for one in done].count(True) == 1
    assert inner.model.state[b"k"].value == b"0"


async def test_one_that_writes_what_another_looks_at_waits_for_the_next():
    inner = Counted()
    first = inner.model.commit(Txn(then=[Put(b"a", b"1")])).revision
    looks = Txn(compares=[unchanged(b"a", first)], then=[Put(b"b", b"1")])
    writes = Txn(compares=[unchanged(b"a", first)], then=[Put(b"a", b"2")])
    async with Grouped(inner) as store:
        done = await at_once(store, looks, writes)
        assert [one.succeeded for one in done] == [True, True]
        done = await at_once(store, writes, looks)
        assert [one.succeeded for one in done] == [False, False]
    assert inner.sizes[:2] == [1, 1]


async def test_an_unknown_outcome_is_everybodys_and_is_never_repeated():
    inner = Counted()
    inner.fails = [OutcomeUnknown("no answer")]
    async with Grouped(inner) as store:
        done = await at_once(store, *(claim(b"%d" % one) for one in range(3)))
    assert [type(one) for one in done] == [OutcomeUnknown] * 3
    assert inner.sizes == []


async def test_a_lease_that_is_gone_costs_nobody_else_anything():
    inner = Counted()
    leased = Txn(compares=[absent(b"leased")], then=[Put(b"leased", b"", 77)])
    async with Grouped(inner) as store:
        done = await at_once(store, claim(b"a"), leased, claim(b"b"))
    assert [type(one) for one in done] == [type(done[0]), LeaseLost, type(done[0])]
    assert done[0].succeeded
    assert done[2].succeeded
    assert set(inner.model.state) == {b"a", b"b"}


async def test_what_nobody_foresaw_is_told_to_all_who_wait_for_it():
    inner = Counted()
    inner.fails = [RuntimeError("a defect")]
    grouped = Grouped(inner)
    async with grouped as store:
        done = await at_once(store, claim(b"a"), claim(b"b"))
        assert [type(one) for one in done] == [OutcomeUnknown] * 2
        grouped.begin()  # as its supervisor would
        assert (await store.commit(claim(b"a"))).succeeded


async def test_a_task_whose_writes_are_to_be_marked_makes_them_itself():
    inner = Counted()
    alone = False
    async with Grouped(inner, alone=lambda: alone) as store:
        alone = True
        done = await at_once(store, claim(b"a"), claim(b"b"))
    assert all(one.succeeded for one in done)
    assert inner.sizes == [1, 1]


async def test_tenants_take_turns():
    """Two hundred of one tenant wait; another one's goes out with the first group."""
    inner = Counted()
    grouped = Grouped(inner, turn_of=lambda key: key[:1])
    crowd = [asyncio.ensure_future(grouped.store.commit(claim(b"a%d" % one))) for one in range(200)]
    other = asyncio.ensure_future(grouped.store.commit(claim(b"b")))
    await asyncio.sleep(0)
    grouped.begin()
    revision = (await other).revision
    behind = [(await one).revision for one in crowd]
    assert sum(one > revision for one in behind) >= 130
    await grouped.__aexit__()


async def test_who_waits_too_long_is_told_so_and_too_many_do_not_wait():
    inner = Counted()
    grouped = Grouped(inner)
    waiting = asyncio.ensure_future(grouped.store.commit(claim(b"a")))
    await asyncio.sleep(0)
    grouped.now += WAIT_S + 1
    grouped.begin()
    with pytest.raises(StoreUnavailable):
        await waiting
    assert inner.sizes == []
    await grouped.__aexit__()
    crowd = [
        asyncio.ensure_future(grouped.store.commit(claim(b"a%d" % one)))
        for one in range(MOST_WAITING)
    ]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await grouped.store.commit(claim(b"b"))
    for one in crowd:
        one.cancel()


async def test_who_left_is_not_written_for():
    inner = Counted()
    grouped = Grouped(inner)
    gone = asyncio.ensure_future(grouped.store.commit(claim(b"a")))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    async with grouped as store:
        assert (await store.commit(claim(b"b"))).succeeded
    assert set(inner.model.state) == {b"b"}


def submitted(store: GroupedStore, txn: Txn) -> asyncio.Future:
    """What is told of a transaction that nobody awaits."""
    told = asyncio.get_running_loop().create_future()
    store.submit(txn, told.set_result)
    return told


def made(name: bytes, *compares: Compare) -> Txn:
    return Txn(compares=compares, creates=[(name, b"1")])


async def test_what_is_submitted_goes_with_the_others_and_its_loser_loses_alone():
    inner = Counted()
    inner.model.commit(claim(b"7"))
    async with Grouped(inner) as store:
        told = [submitted(store, made(b"%d" % one)) for one in range(25)]
        done = [*await asyncio.gather(*told), *await at_once(store, claim(b"x"))]
    assert [place for place, one in enumerate(done) if not one.succeeded] == [7]
    assert len(inner.model.state) == 26


async def test_what_is_submitted_may_read():
    inner = Counted()
    inner.model.commit(claim(b"a"))
    async with Grouped(inner) as store:
        said = [submitted(store, Txn(then=[Get(b"a"), Get(key)])) for key in (b"b", b"c")]
        for result in await asyncio.gather(*said):
            assert [len(one) for one in result.results] == [1, 0]
    assert inner.commits == 1


async def test_what_was_submitted_and_is_unknown_is_told_so_once():
    inner = Counted()
    inner.fails = [OutcomeUnknown("no answer")]
    async with Grouped(inner) as store:
        said = await submitted(store, made(b"a"))
    assert type(said) is OutcomeUnknown
    assert inner.model.state == {}


async def test_who_cannot_be_told_takes_no_other_along():
    inner = Counted()

    def fails(_) -> None:
        raise RuntimeError("a defect")

    async with Grouped(inner) as store:
        store.submit(made(b"a"), fails)
        assert (await submitted(store, made(b"b"))).succeeded
        assert (await submitted(store, made(b"c"))).succeeded


@pytest.mark.parametrize(
    "txn",
    [
        pytest.param(Txn(then=[Get(b"a", prefix=True)]), id="one that reads many"),
        pytest.param(Txn(creates=[(b"a", b"")], otherwise=[Get(b"b")]), id="with more to tell"),
        pytest.param(Txn(creates=[(b"a", b"x" * (17 << 10))]), id="a large one"),
        pytest.param(Txn(creates=[(b"a", b"")], then=[Put(b"a", b"")]), id="a key twice"),
    ],
)
async def test_what_does_not_go_with_others_is_not_submitted(txn):
    with pytest.raises(ValueError, match="awaited"):
        Grouped(Counted()).store.submit(txn, pytest.fail)


async def test_what_is_to_be_marked_is_not_submitted():
    with pytest.raises(ValueError, match="awaited"):
        Grouped(Counted(), alone=lambda: True).store.submit(made(b"a"), pytest.fail)


KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
COMPARES = st.lists(
    st.builds(
        Compare, KEYS, st.sampled_from([Target.MOD_REVISION, Target.VERSION]), st.integers(0, 4)
    ),
    max_size=3,
)
WRITES = st.lists(
    st.one_of(st.builds(Put, KEYS, st.binary(max_size=1), st.just(0)), st.builds(Delete, KEYS)),
    min_size=1, max_size=3, unique_by=lambda one: one.key,
)  # fmt: skip
CREATES = st.lists(
    st.tuples(KEYS, st.just(b"c")), min_size=1, max_size=2, unique_by=lambda one: one[0]
)


@settings(max_examples=150, deadline=None)
@given(
    txns=st.lists(
        st.one_of(
            st.builds(Txn, compares=COMPARES, then=WRITES),
            st.builds(Txn, compares=COMPARES, creates=CREATES),
        ),
        max_size=12,
    ),
    seed=st.integers(0, 1 << 30),
)
def test_a_group_comes_to_what_some_order_of_its_transactions_comes_to(txns, seed):
    """Each transaction is judged by what stood when it was made: made again one after another, by
    the revisions at which they were, those of one revision in any order, all come to the same."""

    async def run() -> None:
        inner = NetworkStore(random.Random(seed))
        async with Grouped(inner) as store:
            asked = [submitted(store, one) if one.creates else store.commit(one) for one in txns]
            done = await asyncio.gather(*asked)
        txns_made = [one.expanded() for one in txns]
        again = NetworkStore()
        made = sorted(
            (result.revision, place) for place, result in enumerate(done) if result.succeeded
        )
        for _, place in made:
            bare = Txn(then=txns_made[place].then)
            assert (await again.commit(bare)).succeeded
        values = [
            {key: pair.value for key, pair in one.model.state.items()} for one in (inner, again)
        ]
        assert values[0] == values[1]
        states = inner.model.states
        for result, txn in zip(done, txns_made, strict=True):
            if result.succeeded:  # what only deletes what is not there changes nothing
                before = states.get(result.revision - 1, {})
                assert _holds(txn, before) or _holds(txn, states[result.revision])
            else:
                assert not _holds(txn, states[result.revision])

    asyncio.run(run())


def _holds(txn: Txn, state) -> bool:
    def seen(compare: Compare) -> int:
        pair = state.get(compare.key)
        return getattr(pair, compare.target.value) if pair is not None else 0

    return all(seen(compare) == compare.operand for compare in txn.compares)
