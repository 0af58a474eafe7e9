"""A measured store: its calls are counted by how they ended, and its watches say how late they
are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from control_plane import keys
from control_plane.errors import OutcomeUnknown, StoreUnavailable
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.measured import MOST_PREFIXES, MeasuredStore, StoreStatistics, WatchLag
from control_plane.store.port import Get, LeaseLost, Put, Txn

KEY = keys.UNITS + b"dublin"


class Clock:
    """Moves when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def measured(tmp_path: Path) -> AsyncIterator[tuple[MeasuredStore, StoreStatistics, Clock]]:
    clock = Clock()
    statistics = StoreStatistics(clock=clock)
    store = MeasuredStore(await EmbeddedStore.open(tmp_path / "store.db"), statistics)
    yield store, statistics, clock
    await store.close()


async def test_calls_are_counted_by_operation_and_outcome(measured) -> None:
    store, statistics, _ = measured
    await store.get(KEY)
    await store.commit(Txn(creates=[(KEY, b"x")]))
    await store.commit(Txn(then=[Get(KEY)]))
    await store.range(keys.UNITS)
    lease = await store.lease_grant(5)
    await store.lease_keep_alive(lease)
    await store.lease_revoke(lease)
    with pytest.raises(LeaseLost):
        await store.lease_keep_alive(lease)
    assert statistics.calls == {
        ("get", "ok"): 1, ("commit", "ok"): 1, ("read", "ok"): 1, ("range", "ok"): 1,
        ("lease_grant", "ok"): 1, ("lease_keep_alive", "ok"): 1, ("lease_revoke", "ok"): 1,
        ("lease_keep_alive", "lease_lost"): 1,
    }  # fmt: skip
    assert sum(statistics.seconds["lease_keep_alive",].counts) == 2


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (StoreUnavailable("away"), "unavailable"),
        (OutcomeUnknown("who knows"), "unknown"),
        (RuntimeError("a defect"), "error"),
        (asyncio.CancelledError(), "error"),
    ],
    ids=["away", "outcome-unknown", "a-defect", "given-up"],
)
async def test_what_goes_wrong_is_counted_and_passed_on(error, outcome: str) -> None:
    class Failing:
        async def get(self, key: bytes, **_: Any) -> None:
            raise error

    statistics = StoreStatistics(clock=Clock())
    with pytest.raises(type(error)):
        await MeasuredStore(Failing(), statistics).get(KEY)
    assert statistics.calls == {("get", outcome): 1}


async def test_a_watch_is_late_by_the_time_until_it_delivers_our_own_write(measured) -> None:
    store, statistics, clock = measured
    async with aclosing(store.watch(keys.UNITS, from_revision=1)) as watch:
        first = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
        written = await store.commit(Txn(then=[Put(KEY, b"1")]))
        delivered = await first
        while delivered.revision < written.revision:
            delivered = await anext(watch)
        lag = statistics.watches["units"]
        assert lag.behind_s(clock()) == 0.0
        assert sum(lag.lags.counts) == 1
        await store.commit(Txn(then=[Put(KEY, b"2")]))
        clock.now += 7.0
        assert lag.behind_s(clock()) == 7.0  # nobody took it
        await anext(watch)
        assert lag.behind_s(clock()) == 0.0
        assert lag.lags.total == 7.0
    assert lag.open == 0


async def test_a_write_that_nobody_watches_is_waited_for_by_nobody(measured) -> None:
    store, statistics, clock = measured
    await store.commit(Txn(then=[Put(KEY, b"1")]))
    async with aclosing(store.watch(keys.TENANTS, from_revision=1)):
        await store.commit(Txn(then=[Put(KEY, b"2")]))
        clock.now += 50.0
        assert all(not one.behind_s(clock()) for one in statistics.watches.values())


def test_a_write_that_was_delivered_before_its_answer_is_not_late() -> None:
    lag = WatchLag()
    lag.delivered(10, 5.0)
    lag.wrote(9, 6.0)
    assert (lag.behind_s(99.0), lag.lags.total, sum(lag.lags.counts)) == (0.0, 0.0, 1)


def test_after_the_last_watch_has_ended_nothing_is_late() -> None:
    lag = WatchLag()
    lag.open = 2
    lag.wrote(9, 6.0)
    lag.ended()
    assert lag.behind_s(8.0) == 2.0
    lag.ended()
    assert lag.behind_s(8.0) == 0.0


def test_clusters_are_told_apart_and_names_are_bounded() -> None:
    statistics = StoreStatistics(clock=Clock())
    a = statistics.watch_lag(keys.MOVES, "a")
    assert statistics.watch_lag(keys.MOVES, "b") is not a
    assert statistics.watch_lag(keys.MOVES, "a") is a
    for number in range(2 * MOST_PREFIXES):
        statistics.watch_lag(f"{keys.ROOT}x{number}/".encode(), "")
    assert len(statistics.watches) == MOST_PREFIXES
