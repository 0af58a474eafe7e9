"""Grants of expired sessions become free again; those of standing sessions are left alone."""

from __future__ import annotations

import asyncio
import logging

import pytest

from control_plane import keys
from control_plane.fleet.capacity import CapacityRecord, decode_capacity, encode_capacity
from control_plane.store.damaged import DamagedKeys
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Compacted, Page, Put, Store, Txn
from provisioner.ledger.reclaim import Reclaimer, reclaim_expired_sessions
from tests.support.odd_keys import write_odd_keys

log = logging.getLogger("tests.reclaim")


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    record = CapacityRecord(capacity=50, settled=2, grants={"gone": 10, "here": 5, "other@east": 7})
    await opened.commit(
        Txn(
            then=[
                Put(keys.capacity("near"), encode_capacity(record)),
                Put(keys.usage("near", "gone"), b"4"),
                Put(keys.usage("near", "here"), b"3"),
                Put(keys.session("here"), b""),
            ]
        )
    )
    yield opened
    await opened.close()


async def test_clients_of_an_expired_session_stay_and_its_slots_are_free(store):
    assert await reclaim_expired_sessions(store, DamagedKeys(log)) == 1
    record = decode_capacity((await store.get(keys.capacity("near"))).value)
    assert (record.settled, dict(record.grants)) == (6, {"here": 5, "other@east": 7})
    assert await store.get(keys.usage("near", "gone")) is None
    assert (await store.get(keys.usage("near", "here"))).value == b"3"


async def test_it_happens_once(store):
    assert [await reclaim_expired_sessions(store, DamagedKeys(log)) for _ in range(2)] == [1, 0]


async def test_a_reclaimer_that_is_woken_works_again_and_counts_what_came_of_it():
    calls, again = [], asyncio.Event()

    async def reclaim(damaged: DamagedKeys) -> int:
        calls.append(None)
        if len(calls) == 2:
            again.set()
        return 3

    reclaimer = Reclaimer(reclaim, jitter=lambda: 0.0)
    running = asyncio.create_task(reclaimer.run())
    reclaimer.wake()
    await asyncio.wait_for(again.wait(), 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert reclaimer.reclaimed in (3, 6)


class ReclaimedBetween:
    """The store; right before the capacity records are read, another server reclaims."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reclaimed = 0

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    async def range(self, prefix: bytes, **asked) -> Page:
        if prefix == keys.CAPACITY:
            self.reclaimed += await reclaim_expired_sessions(self._store, DamagedKeys(log))
        return await self._store.range(prefix, **asked)


async def test_what_another_server_reclaims_between_two_reads_is_left_to_it(store):
    """Read at two revisions it would look like usage without a grant."""
    between = ReclaimedBetween(store)
    assert await reclaim_expired_sessions(between, DamagedKeys(log)) == 0
    assert between.reclaimed == 1
    record = decode_capacity((await store.get(keys.capacity("near"))).value)
    assert record.settled == 6


async def test_a_revision_that_is_gone_is_read_anew_the_next_time():
    failures, again = [Compacted(7)], asyncio.Event()

    async def reclaim(damaged: DamagedKeys) -> int:
        if failures:
            raise failures.pop()
        again.set()
        return 1

    reclaimer = Reclaimer(reclaim, jitter=lambda: 0.0)
    running = asyncio.create_task(reclaimer.run())
    reclaimer.wake()
    await asyncio.wait_for(again.wait(), 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("capacity", "usage"),
    [
        pytest.param(b"no record", b"1", id="a-capacity-that-is-no-record"),
        pytest.param(b"{}", b"1", id="a-capacity-without-its-number"),
        pytest.param(b'{"capacity":9,"grants":{"\xff":1}}', b"1", id="a-name-that-is-no-utf-8"),
        pytest.param(b'{"capacity":9,"x":' + b"[" * 5_000, b"1", id="brackets-nested-deep"),
        pytest.param(
            encode_capacity(CapacityRecord(capacity=9, grants={"gone": 2})), b"3",
            id="more-usage-than-grant",
        ),
        pytest.param(
            encode_capacity(CapacityRecord(capacity=9)), b"3", id="usage-without-a-grant"
        ),
        pytest.param(
            encode_capacity(CapacityRecord(capacity=9, grants={"gone": 2})), b"many",
            id="a-usage-that-is-no-number",
        ),
        pytest.param(
            encode_capacity(CapacityRecord(capacity=9, grants={"gone": 2})), b"",
            id="an-empty-usage",
        ),
    ],
)  # fmt: skip
async def test_records_that_cannot_be_keep_nobody_elses_grants(store, capacity, usage):
    """They lie before the good unit and are left alone; nothing is raised."""
    await store.commit(
        Txn(then=[Put(keys.capacity("bad"), capacity), Put(keys.usage("bad", "gone"), usage)])
    )
    assert await reclaim_expired_sessions(store, DamagedKeys(log)) == 1
    record = decode_capacity((await store.get(keys.capacity("near"))).value)
    assert (record.settled, dict(record.grants)) == (6, {"here": 5, "other@east": 7})
    assert (await store.get(keys.capacity("bad"))).value == capacity
    assert (await store.get(keys.usage("bad", "gone"))).value == usage


@pytest.mark.parametrize("prefix", [keys.SESSIONS, keys.USAGE, keys.CAPACITY])
async def test_keys_that_are_nobodys_keep_nobodys_grants_and_are_named_once(store, prefix, caplog):
    await write_odd_keys(store, prefix)
    damaged = DamagedKeys(log)
    assert await reclaim_expired_sessions(store, damaged) == 1
    record = decode_capacity((await store.get(keys.capacity("near"))).value)
    assert (record.settled, dict(record.grants)) == (6, {"here": 5, "other@east": 7})
    named, told = list(damaged), len(caplog.records)
    assert any("xff" in one for one in named)
    assert await reclaim_expired_sessions(store, damaged) == 0
    assert (list(damaged), len(caplog.records)) == (named, told)
