"""What the agents on this server are told of clients that left: all that matters, then each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.store.port import Put, Txn
from provisioner.ledger.departure import DepartureRecord, encode_departure
from provisioner.watching import departures
from provisioner.watching.departures import DepartureStream
from tests.support.fakes.delayed_store import DelayedStore
from tests.support.odd_keys import NAMES
from tests.support.watches_harness import WAIT_S, ClientWriter, WatchesHarness


@pytest.fixture
def store() -> DelayedStore:
    return DelayedStore()


@pytest.fixture
def writer(store: DelayedStore) -> ClientWriter:
    return ClientWriter(store.write)


@pytest.fixture
async def server(store: DelayedStore) -> AsyncIterator[WatchesHarness]:
    async with WatchesHarness(store).running() as running:
        async with asyncio.timeout(WAIT_S):
            await running.following.wait()
        yield running


async def hear(stream: DepartureStream, *clients: str) -> dict[str, tuple[int, str]]:
    """What is told until all of these clients were; twice does no harm."""
    heard: dict[str, tuple[int, str]] = {}
    async with asyncio.timeout(WAIT_S):
        while not set(clients) <= set(heard):
            await stream.ready.wait()
            for left in await stream.next_page():
                heard[left.client_id] = (left.departure.epoch, left.departure.unit)
    return heard


async def test_a_line_begins_with_all_that_still_matter_and_goes_on(writer, server):
    for client in ("alice", "bob", "carol"):
        writer.assign(client, "a")
    writer.move("alice", "b")
    stream = server.departures.open("a")
    assert await hear(stream, "alice") == {"alice": (2, "b")}
    writer.move("bob", "c")
    writer.release("carol", "hold-expired")
    writer.move("alice", "d")  # not from a
    heard = await hear(stream, "bob", "carol")
    assert (heard["bob"], heard["carol"]) == ((2, "c"), (1, ""))
    assert heard.get("alice") in (None, (2, "b"))
    assert not stream.ready.is_set()
    server.departures.close("a", stream)


async def test_many_departures_come_in_pages_and_none_is_missed(writer, server):
    for n in range(2_500):
        writer.assign(f"client-{n:04}", "a")
        writer.move(f"client-{n:04}", "b")
    stream = server.departures.open("a")
    first = await stream.next_page()
    assert len(first) == departures.PAGE
    writer.assign("0-behind-the-cursor", "a")
    writer.move("0-behind-the-cursor", "b")
    rest = {f"client-{n:04}" for n in range(1_000, 2_500)}
    heard = await hear(stream, *rest, "0-behind-the-cursor")
    assert heard["0-behind-the-cursor"] == (2, "b")


async def test_an_agent_that_takes_nothing_costs_a_bounded_amount(writer, server):
    stream = server.departures.open("a")
    await stream.next_page()
    writer.assign("early", "a")
    record = DepartureRecord(epoch=2, unit="b", cause="drained", at_ms=7)
    writer.move("early", "b")
    for n in range(departures.MAX_WAITING + 10):
        stream.append(f"t/client-{n}", record)
    assert len(stream._waiting) <= departures.MAX_WAITING
    assert await hear(stream, "early") == {"early": (2, "b")}  # lists what stands again


async def test_a_gap_in_history_makes_streams_list_again(store, writer, server):
    stream = server.departures.open("a")
    await stream.next_page()
    writer.assign("alice", "a")
    writer.move("alice", "b")
    store.lose_history()
    assert await hear(stream, "alice") == {"alice": (2, "b")}


async def test_while_the_store_is_away_nothing_is_lost(store, writer, server):
    writer.assign("alice", "a")
    writer.move("alice", "b")
    stream = server.departures.open("a")
    store.away = True
    with pytest.raises(Unavailable):
        await stream.next_page()
    store.away = False
    assert await hear(stream, "alice") == {"alice": (2, "b")}


async def test_a_damaged_departure_is_left_out(store, writer, server):
    store.write(Txn(then=[Put(keys.move("a", "t", "alice"), b"{nonsense")]))
    record = DepartureRecord(epoch=3, unit="b", cause="drained", at_ms=7)
    store.write(Txn(then=[Put(keys.move("a", "t", "bob"), encode_departure(record))]))
    assert await hear(server.departures.open("a"), "bob") == {"bob": (3, "b")}


async def test_departures_under_keys_that_are_nobodys_hold_up_no_other(store, writer, server):
    """In the list with which a stream begins, and in what follows."""
    prefix = keys.move("a", "", "").removesuffix(b"/")
    value = encode_departure(DepartureRecord(epoch=2, unit="b", cause="drained", at_ms=1))
    for name in NAMES.values():
        store.write(Txn(then=[Put(prefix + name, value)]))
    writer.assign("alice", "a")
    writer.move("alice", "b")
    stream = server.departures.open("a")
    assert (await hear(stream, "alice"))["alice"] == (2, "b")
    for name in NAMES.values():
        store.write(Txn(then=[Put(prefix + name + b"x", value)]))
    writer.assign("bob", "a")
    writer.move("bob", "b")
    assert (await hear(stream, "bob"))["bob"] == (2, "b")
