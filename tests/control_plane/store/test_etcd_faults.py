"""Writes while etcd is killed: each is applied at most once, and nobody is told otherwise."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from console.local.etcd_process import EtcdCluster
from control_plane.store.etcd import EtcdStore
from control_plane.store.port import (
    OutcomeUnknown,
    Put,
    StoreUnavailable,
    Txn,
)
from tests.support.etcd import StartEtcd

COUNT = Txn(then=[Put(b"counter", b"")])  # the key's version counts how often it was applied


async def applied(store: EtcdStore) -> int:
    """How often COUNT was applied."""
    counter = await store.get(b"counter", timeout_s=20.0)
    return counter.version if counter else 0


async def test_a_write_in_flight_when_etcd_dies_is_unknown_and_never_repeated(
    own_etcd: StartEtcd,
) -> None:
    """etcd is frozen first, so that the write is surely with it when it dies."""
    cluster = own_etcd()
    member = cluster.members[0]
    store = await EtcdStore.connect(cluster.endpoints)
    member.freeze()
    write = asyncio.ensure_future(store.commit(COUNT))
    done, _ = await asyncio.wait([write], timeout=0.05)
    assert not done, "a frozen etcd answers nothing"
    member.kill()
    with pytest.raises(OutcomeUnknown):
        await write
    await asyncio.to_thread(cluster.restart, member)
    assert await applied(store) == 0
    await store.close()


async def test_every_write_that_was_acknowledged_is_there_and_no_other_is_there_twice(
    own_etcd: StartEtcd,
) -> None:
    cluster = own_etcd()
    member = cluster.members[0]
    store = await EtcdStore.connect(cluster.endpoints, timeout_s=2.0)
    acknowledged = unknown = 0
    stopping = asyncio.Event()
    enough = asyncio.Semaphore(0)  # one for each acknowledged write

    async def keep_writing() -> None:
        nonlocal acknowledged, unknown
        while not stopping.is_set():
            try:
                await store.commit(COUNT)
                acknowledged += 1
                enough.release()
            except OutcomeUnknown:
                unknown += 1
            except StoreUnavailable:
                await asyncio.sleep(0.01)  # etcd is being restarted

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(keep_writing())
        for _ in range(3):
            for _ in range(20):
                await enough.acquire()
            member.kill()
            await asyncio.to_thread(cluster.restart, member)
        stopping.set()
    assert acknowledged <= await applied(store) <= acknowledged + unknown
    assert unknown > 0
    await store.close()


async def test_three_members_survive_the_death_of_the_one_in_use(own_etcd: StartEtcd) -> None:
    cluster = own_etcd(size=3)
    # A write that was passed on to a leader that died is lost, and etcd says so after 6 s.
    store = await EtcdStore.connect(cluster.endpoints, timeout_s=1.0)
    await store.commit(COUNT)
    watch = store.watch(b"counter", from_revision=1)
    assert (await anext(watch)).events[0].kv.version == 1
    cluster.members[0].kill()
    while True:
        try:
            await store.commit(COUNT)
            break
        except StoreUnavailable:
            continue
        except OutcomeUnknown:
            assert await applied(store) in (1, 2)
            if await applied(store) == 2:
                break
    assert await applied(store) == 2
    assert (await anext(watch)).events[0].kv.version == 2
    await store.close()


async def test_a_member_without_a_quorum_answers_nothing_and_applies_nothing(
    own_etcd: StartEtcd,
) -> None:
    cluster = own_etcd(size=3)
    store = await EtcdStore.connect(cluster.endpoints[:1])
    await store.commit(COUNT)
    for member in cluster.members[1:]:
        member.kill()
    with pytest.raises(StoreUnavailable):
        await store.get(b"counter", timeout_s=0.5)
    with pytest.raises(OutcomeUnknown):
        await store.commit(COUNT, timeout_s=0.5)
    await store.close()


async def test_a_full_etcd_says_so_and_may_have_applied_the_last_straw(tmp_path: Path) -> None:
    """Why NO_SPACE is an unknown outcome: the write that exceeds the quota is applied and
    refused. Which one that is nobody is told, so the number of keys is only bounded."""
    with EtcdCluster(tmp_path / "small", quota_bytes=1 << 20) as cluster:
        store = await EtcdStore.connect(cluster.endpoints)
        acknowledged = 0

        async def fill() -> None:
            nonlocal acknowledged
            for number in range(1_000):
                await store.commit(Txn(then=[Put(b"k%03d" % number, b"v" * 100_000)]))
                acknowledged += 1

        with pytest.raises(OutcomeUnknown, match="over its quota"):
            await fill()
        page = await store.range(b"k", keys_only=True)
        assert len(page.items) in (acknowledged, acknowledged + 1)
        with pytest.raises(OutcomeUnknown, match="over its quota"):
            await store.commit(Txn(then=[Put(b"l", b"v")]))
        assert await store.get(b"l") is None  # plain reads go on
        await store.close()
