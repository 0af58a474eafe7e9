"""What a server remembers of the directory is right, whatever overtakes what."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import StoreUnavailable
from control_plane.store.port import Delete, Put, Txn
from provisioner.directory.replica import ReadReplica
from provisioner.directory.resolving import itself
from tests.support.fakes.delayed_store import DelayedStore

KEYS = [b"/d/%d" % n for n in range(4)]


async def settle() -> None:
    for _ in range(600):
        await asyncio.sleep(0)


async def following(replica) -> asyncio.Task:
    task = asyncio.create_task(replica.run())
    await settle()
    return task


async def end(task) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def value(pair):
    return None if pair is None else pair.value


async def scenario(seed: int) -> int:
    """Reads and writes in any order; what is remembered once all has arrived is what stands."""
    rng = random.Random(seed)
    store = DelayedStore(rng)
    replica = ReadReplica(store, b"/d/", itself)
    task = asyncio.create_task(replica.run())
    reads: list[asyncio.Task] = []
    for number in range(120):
        chosen = rng.random()
        if chosen < 0.45:
            key = rng.choice(KEYS)
            change = Delete(key) if rng.random() < 0.3 else Put(key, b"%d" % number)
            store.write(Txn(then=[change]))
        elif chosen < 0.9:
            wanted = rng.sample(KEYS, rng.randint(1, 2))
            reads.append(asyncio.create_task(replica.read(wanted, fresh=rng.random() < 0.1)))
        elif chosen < 0.93:
            store.lose_history()
        for _ in range(rng.randrange(6)):
            await asyncio.sleep(0)
    answers = await asyncio.gather(*reads)
    for wanted, answer in zip(reads, answers, strict=True):
        assert not answer.stale
        assert len(answer.pairs) in (1, 2), wanted
    await settle()
    for key in KEYS:
        if key in replica._known:
            assert value(replica._known[key]) == value(store.model.state.get(key))
    known = len(replica)
    await end(task)
    return known


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_remembered_is_what_stands(seed):
    asyncio.run(scenario(seed))


def test_the_scenarios_remember_something():
    assert sum(asyncio.run(scenario(seed)) for seed in range(20)) > 10


async def test_absence_is_remembered_until_something_comes():
    store = DelayedStore()
    replica = ReadReplica(store, b"/d/", itself)
    task = await following(replica)
    assert (await replica.read(KEYS[:1])).pairs == [None]
    reads = store.reads
    assert (await replica.read(KEYS[:1])).pairs == [None]
    assert store.reads == reads
    store.write(Txn(then=[Put(KEYS[0], b"x")]))
    await settle()
    assert value((await replica.read(KEYS[:1])).pairs[0]) == b"x"
    await end(task)


async def test_fresh_reads_through():
    store = DelayedStore()
    replica = ReadReplica(store, b"/d/", itself)
    task = await following(replica)
    await replica.read(KEYS[:1])
    reads = store.reads
    await replica.read(KEYS[:1], fresh=True)
    assert store.reads == reads + 1
    await end(task)


async def test_while_the_store_is_away_what_is_known_is_stale_and_the_rest_is_not_there():
    store = DelayedStore()
    replica = ReadReplica(store, b"/d/", itself)
    task = await following(replica)
    await replica.read(KEYS[:1])
    store.away, store.health.connected = True, False
    assert (await replica.read(KEYS[:1])).stale
    with pytest.raises(StoreUnavailable):
        await replica.read(KEYS[1:2])
    with pytest.raises(StoreUnavailable):
        await replica.read(KEYS[:1], fresh=True)
    await end(task)


async def test_without_a_watch_nothing_is_remembered():
    store = DelayedStore()
    replica = ReadReplica(store, b"/d/", itself)
    await replica.read(KEYS[:1])
    assert len(replica) == 0
    task = await following(replica)
    await replica.read(KEYS[:1])
    assert len(replica) == 1
    await end(task)
    assert len(replica) == 0


async def test_the_keys_asked_for_last_are_kept():
    store = DelayedStore()
    replica = ReadReplica(store, b"/d/", itself, most=2)
    task = await following(replica)
    for key in KEYS[:3]:
        await replica.read([key])
    assert list(replica._known) == KEYS[1:3]
    await end(task)
