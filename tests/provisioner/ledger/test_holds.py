"""Held places over a real store: confirmed in groups, given back when nobody comes, and no
client that came ever loses its place, whoever races whom."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from control_plane import keys
from control_plane.store.port import Get, Put, Store, Txn
from provisioner.ledger.departure import decode_departure
from provisioner.ledger.departure_lease import SHARED_S, DepartureLease
from provisioner.ledger.hold_expiry import HoldAges, HoldRelease
from provisioner.ledger.holds import hold
from tests.support.held_places import (
    HOLD_S,
    Provisioner,
    held,
    housed,
    provisioners,
    store_of_two_units,
)
from tests.support.judge.recorder import replay
from tests.support.ledger_operations import clients_at
from tests.support.odd_keys import write_odd_keys


@pytest.fixture
async def store(tmp_path):
    async with store_of_two_units(tmp_path) as one:
        yield one


async def test_a_place_is_held_from_the_very_transaction_that_gave_it(store) -> None:
    async with provisioners(store) as (one,):
        assert await one.provision("alice") == ("new", "a")
        assert await held(store) == {"alice"}
        home = await store.get(keys.assignment("t", "alice"))
        assert (await store.get(keys.hold("t", "alice"))).mod_revision == home.mod_revision


async def test_nobody_came_so_the_place_is_free_again_and_the_unit_is_told(store) -> None:
    async with provisioners(store) as (one,):
        await one.provision("alice")
        await one.expiry.expire_due()
        one.now += HOLD_S - 1.0
        assert await one.expiry.expire_due() == 0
        assert await housed(store) == {"alice"}
        one.now += 1.0
        assert await one.expiry.expire_due() == 1
        assert await housed(store) == set()
        assert await held(store) == set()
        assert await clients_at(store, "a") == (0, 0)
        left = await store.get(keys.move("a", "t", "alice"))
        departure = decode_departure(left.value)
        assert (departure.unit, departure.cause, departure.epoch) == ("", "hold-expired", 1)
        assert left.lease > 0
        assert await one.provision("alice", "b") == ("new", "b")


async def test_a_client_that_came_keeps_its_place_for_ever(store) -> None:
    async with provisioners(store) as (one,):
        await one.provision("alice")
        await one.expiry.expire_due()
        await one.confirm("alice")
        one.now += 100 * HOLD_S
        assert await one.expiry.expire_due() == 0
        assert await housed(store) == {"alice"}


class StoreInterrupted:
    """The store; `then` happens once, right after a look read which assignments stand."""

    def __init__(self, store: Store, then) -> None:
        self._store = store
        self._then = then

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    async def commit(self, txn: Txn, *, timeout_s: float | None = None):
        result = await self._store.commit(txn, timeout_s=timeout_s)
        if txn.then and all(isinstance(one, Get) for one in txn.then):
            then, self._then = self._then, None
            if then is not None:
                await then()
        return result


async def confirm_late(one: Provisioner) -> tuple[int, set[str]]:
    """Alice comes after she was seen absent and before it takes her place."""
    await one.provision("alice")
    late = one.new_expiry(StoreInterrupted(one.store, lambda: one.confirm("alice")))
    await late.expire_due()
    one.now += HOLD_S
    return await late.expire_due(), await housed(one.store)


async def test_a_client_that_comes_at_the_last_moment_keeps_its_place(store) -> None:
    async with provisioners(store) as (one,):
        assert await confirm_late(one) == (0, {"alice"})
        assert await clients_at(store, "a") == (1, 1)


async def test_without_the_guard_she_would_lose_it(store, monkeypatch) -> None:
    """Shows that the test above can fail."""
    build = HoldRelease.__init__

    def unguarded(self, *arguments, **named) -> None:
        build(self, *arguments, **named)
        self.guards = ()

    monkeypatch.setattr(HoldRelease, "__init__", unguarded)
    async with provisioners(store) as (one,):
        assert await confirm_late(one) == (1, set())


async def test_a_client_that_left_and_came_back_meanwhile_is_a_new_one(store) -> None:
    """Its new hold has its whole time before it."""
    async with provisioners(store) as (one,):
        await one.provision("alice")
        await one.expiry.expire_due()
        one.now += HOLD_S - 1.0
        await one.leave("alice")
        await one.provision("alice")
        one.now += 2.0
        assert await one.expiry.expire_due() == 0
        one.now += HOLD_S
        assert await one.expiry.expire_due() == 1


async def test_holds_that_belong_to_nobody_are_removed_and_nothing_else(store) -> None:
    """Of a client that was released, and of one that was moved since."""
    async with provisioners(store) as (one,):
        for name in ("gone", "moved", "waits"):
            await one.provision(name)
        await one.leave("gone")
        moved = await store.get(keys.assignment("t", "moved"))
        await store.commit(Txn(then=[Put(moved.key, moved.value)]))
        await one.expiry.expire_due()
        await one.confirm("waits")
        one.now += HOLD_S
        assert await one.expiry.expire_due() == 0
        assert one.expiry.orphans == 2
        assert await held(store) == set()
        assert await housed(store) == {"moved", "waits"}


async def test_a_tenant_that_holds_no_more_gives_its_clients_their_places(store) -> None:
    async with provisioners(store) as (one,):
        await one.provision("alice")
        one.hold_s = 0.0
        await one.expiry.expire_due()
        one.now += 1.0
        assert await one.expiry.expire_due() == 0
        assert await held(store) == set()
        assert await housed(store) == {"alice"}


@pytest.mark.parametrize("seed", range(6))
async def test_whoever_races_whom_the_ledger_adds_up_and_nobody_who_came_is_sent_away(
    store, seed
) -> None:
    """Two provisioners look, confirm, assign and release at once, with clocks of their own;
    then the history is replayed."""
    rng = random.Random(seed)
    crowd = [f"c{n}" for n in range(12)]
    async with provisioners(store, 2) as both:

        async def live(one: Provisioner) -> None:
            for _ in range(40):
                deed = rng.random()
                who = rng.sample(crowd, 3)
                if deed < 0.4:
                    await asyncio.gather(*(one.provision(name, rng.choice("ab")) for name in who))
                elif deed < 0.6:
                    await one.confirm(*who)
                elif deed < 0.7:
                    await one.leave(who[0])
                else:
                    one.now += rng.uniform(0.0, HOLD_S)
                    await one.expiry.expire_due()

        async with asyncio.timeout(60.0), asyncio.TaskGroup() as group:
            for one in both * 2:
                group.create_task(live(one))
        assert sum(one.expiry.expired for one in both) > 0
    history = await replay(store)
    assert history.violations == []
    assert await wrongly_sent_away(store) == []


async def wrongly_sent_away(store: Store) -> list[str]:
    """Departures whose client had no hold, of its very assignment, just before."""
    end = (await store.range(keys.ROOT.encode(), limit=1)).revision
    homes: dict[bytes, int] = {}
    holds: dict[bytes, int] = {}
    wrong: list[str] = []
    async for batch in store.watch(keys.ROOT.encode(), from_revision=1):
        for _, events in itertools.groupby(batch.events, lambda event: event.kv.mod_revision):
            changes = list(events)
            for event in changes:
                if event.kv.key.startswith(keys.MOVES) and not event.deleted:
                    client = event.kv.key.rpartition(b"/")[2].decode()
                    home = homes.get(keys.assignment("t", client))
                    if home is None or holds.get(keys.hold("t", client)) != home:
                        wrong.append(client)
            for event in changes:
                for prefix, kept in ((keys.ASSIGNMENTS, homes), (keys.HOLDS, holds)):
                    if event.kv.key.startswith(prefix):
                        if event.deleted:
                            kept.pop(event.kv.key, None)
                        else:
                            kept[event.kv.key] = event.kv.mod_revision
        if batch.revision >= end:
            return wrong
    raise AssertionError("the watch ended")


def test_age_is_counted_from_the_first_sight_of_this_very_hold() -> None:
    seen = HoldAges(limit=2)
    assert seen.age_s(b"a", 5, 10.0) == 0.0
    assert seen.age_s(b"a", 5, 12.0) == 2.0
    assert seen.age_s(b"a", 6, 13.0) == 0.0
    assert seen.age_s(b"a", 6, 14.0) == 1.0
    assert seen.age_s(b"b", 1, 14.0) == 0.0
    assert seen.age_s(b"c", 1, 14.0) == 0.0
    assert seen.age_s(b"c", 1, 99.0) == 0.0
    seen.keep({b"a"})
    assert len(seen) == 1
    assert seen.age_s(b"c", 1, 100.0) == 0.0
    assert seen.age_s(b"c", 1, 101.0) == 1.0


async def test_a_hold_names_the_unit_and_when_for_whoever_reads_the_store() -> None:
    put = hold("t", "alice", "a", until_ms=1234)
    assert put.value == b'{"until_ms":1234,"unit":"a"}'
    assert put.key == keys.hold("t", "alice")


async def test_keys_that_are_nobodys_hold_up_no_other_hold(store, caplog) -> None:
    """They stay as they are, and are named once; the place that nobody came for is free again."""
    async with provisioners(store) as (one,):
        await one.provision("alice")
        odd = await write_odd_keys(store, keys.HOLDS)
        for _ in range(3):
            await one.expiry.expire_due()
            one.now += HOLD_S + 1
        assert await housed(store) == set()
        assert {pair.key for pair in (await store.range(keys.HOLDS)).items} >= {
            key for key in odd if b"/alice" not in key
        }
        assert len(caplog.records) == len(list(one.expiry.damaged)) > 0


async def test_departures_share_a_lease_that_outlives_every_ticket(store) -> None:
    now, longest = [0.0], [600.0]
    lease = DepartureLease(store, longest_ticket_s=lambda: longest[0], clock=lambda: now[0])
    first = await lease.current()
    now[0] = SHARED_S - 1.0
    assert await lease.current() == first
    assert await store.lease_keep_alive(first) >= 600.0 + SHARED_S
    longest[0] = 7200.0
    second = await lease.current()
    assert second != first
    now[0] += SHARED_S
    assert await lease.current() != second
