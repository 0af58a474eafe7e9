"""Watching the fleet: everything, then changes, and after a break what was missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from control_plane import keys
from control_plane.errors import Exhausted, HistoryGone, InvalidInput, Unavailable
from control_plane.store.port import Delete, Put, Txn, range_all
from provisioner.watching.fleet import FleetChanges, FleetWatches
from tests.support.fakes.delayed_store import DelayedStore
from tests.support.supervision import FailFast
from tests.support.watches_harness import WAIT_S, until


class Fleet:
    """Units as plain texts, `unit=what it looks like`, and a server's watches over them."""

    def __init__(self, **how: float) -> None:
        self.store = DelayedStore()
        self.watches: FleetWatches[str] = FleetWatches(
            self.store,
            read=self._read,
            fingerprint=lambda unit: unit.partition(" ")[
                0
            ].encode(),  # what follows is a mere heartbeat
            limit=int(how.pop("limit", 10)),
            jitter=lambda: 0.5,
            supervisor=FailFast(),
            gather_s=0.001,
            **how,
        )

    async def _read(self, revision: int) -> tuple[dict[str, str], int]:
        page = await range_all(self.store, keys.UNITS, at_revision=revision)
        return {
            pair.key[len(keys.UNITS) :].decode(): pair.value.decode() for pair in page.items
        }, page.revision

    def put(self, unit: str, looks: str) -> int:
        return self.store.write(Txn(then=[Put(keys.unit(unit), looks.encode())])).revision

    def remove(self, unit: str) -> int:
        return self.store.write(Txn(then=[Delete(keys.unit(unit))])).revision

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Fleet]:
        task = asyncio.create_task(self.watches.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def soon(stream: AsyncIterator[FleetChanges[str]]) -> FleetChanges[str]:
    async with asyncio.timeout(WAIT_S):
        return await anext(stream)


async def test_all_units_come_first_and_then_each_change():
    async with Fleet().running() as fleet:
        fleet.put("a", "a1")
        fleet.put("b", "b1")
        async with aclosing(fleet.watches.stream(0)) as stream:
            first = await soon(stream)
            assert (first.units, first.removed) == (["a1", "b1"], [])
            fleet.put("b", "b2")
            assert (await soon(stream)).units == ["b2"]
            revision = fleet.remove("a")
            assert await soon(stream) == FleetChanges([], ["a"], revision)
            fleet.put("a", "a3")
            assert (await soon(stream)).units == ["a3"]


async def test_an_empty_fleet_is_told_too():
    async with Fleet().running() as fleet, aclosing(fleet.watches.stream(0)) as stream:
        first = await soon(stream)
        assert (first.units, first.removed) == ([], [])


async def test_a_heartbeat_alone_is_no_change():
    async with Fleet().running() as fleet:
        fleet.put("a", "a1 beat 1")
        async with aclosing(fleet.watches.stream(0)) as stream:
            await soon(stream)
            fleet.put("a", "a1 beat 2")
            fleet.put("b", "b1")
            assert (await soon(stream)).units == ["b1"]


async def test_after_a_break_what_was_missed_is_told():
    async with Fleet().running() as fleet:
        for unit in "abc":
            fleet.put(unit, f"{unit}1")
        async with aclosing(fleet.watches.stream(0)) as stream:
            seen = (await soon(stream)).revision
        fleet.remove("a")
        fleet.put("b", "b2")
        fleet.put("d", "d1")
        async with aclosing(fleet.watches.stream(seen)) as stream:
            missed = await soon(stream)
        assert (missed.units, missed.removed) == (["b2", "d1"], ["a"])


async def test_nobody_watching_costs_nothing_and_the_next_sees_what_happened_since():
    async with Fleet().running() as fleet:
        fleet.put("a", "a1")
        for looks in ("a2", "a3"):
            async with aclosing(fleet.watches.stream(0)) as stream:
                await soon(stream)
            begun = fleet.store.watches
            fleet.put("a", looks)
            await asyncio.sleep(0)
            assert fleet.store.watches == begun
        async with aclosing(fleet.watches.stream(0)) as stream:
            assert (await soon(stream)).units == ["a3"]


async def test_a_slow_stream_is_told_where_things_stand():
    async with Fleet().running() as fleet:
        fleet.put("a", "a0")
        async with (
            aclosing(fleet.watches.stream(0)) as slow,
            aclosing(fleet.watches.stream(0)) as quick,
        ):
            await soon(slow)
            await soon(quick)
            for n in range(1, 6):
                fleet.put("a", f"a{n}")
                while (await soon(quick)).units != [f"a{n}"]:
                    pass
            assert (await soon(slow)).units == ["a5"]


@pytest.mark.parametrize(
    ("revision", "error", "words"),
    [
        pytest.param(1, HistoryGone, "watch again without a revision", id="compacted"),
        pytest.param(1000, HistoryGone, "has not come to revision 1000", id="of-another-store"),
        pytest.param(-1, InvalidInput, "revision is below 0", id="negative"),
    ],
)
async def test_a_revision_that_cannot_be_gone_on_from_is_refused(revision, error, words):
    async with Fleet().running() as fleet:
        for n in range(5):
            fleet.put("a", f"a{n}")
        fleet.store.model.compacted = fleet.store.model.revision
        with pytest.raises(error, match=words):
            await soon(fleet.watches.stream(revision))
        assert len(fleet.watches) == 0


async def test_history_lost_under_a_stream_loses_it_nothing():
    async with Fleet().running() as fleet:
        fleet.put("a", "a1")
        async with aclosing(fleet.watches.stream(0)) as stream:
            await soon(stream)
            fleet.put("a", "a2")
            fleet.store.lose_history()
            assert (await soon(stream)).units == ["a2"]


async def test_a_store_that_is_away_is_waited_for():
    async with Fleet().running() as fleet:
        fleet.put("a", "a1")
        async with aclosing(fleet.watches.stream(0)) as stream:
            await soon(stream)
            fleet.store.away = True
            fleet.put("a", "a2")
            fleet.store.away = False
            assert (await soon(stream)).units == ["a2"]


async def test_a_silent_stream_shows_signs_of_life():
    quick = Fleet(keepalive_s=0.01)
    async with quick.running(), aclosing(quick.watches.stream(0)) as stream:
        first = await soon(stream)
        assert await soon(stream) == FleetChanges([], [], first.revision)


async def test_there_is_a_limit_and_an_end():
    async with Fleet(limit=1).running() as fleet, aclosing(fleet.watches.stream(0)) as stream:
        await soon(stream)
        with pytest.raises(Exhausted):
            await soon(fleet.watches.stream(0))
        waiting = asyncio.create_task(soon(stream))
        await asyncio.sleep(0)
        fleet.watches.close()
        with pytest.raises(Unavailable, match="another one"):
            await waiting
        await until(lambda: len(fleet.watches) == 0)
        with pytest.raises(Unavailable):
            await soon(fleet.watches.stream(0))
