"""Watches of clients over the model of the store: told once, in order, and nothing missed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from control_plane import keys
from control_plane.errors import Exhausted, HistoryGone, InvalidInput, NotFound, Unavailable
from control_plane.store.port import Put, Txn
from provisioner.watching.clients import WOKEN_AT_ONCE
from provisioner.watching.watch import Watch, WatchEvent, WatchEventKind
from tests.support.fakes.delayed_store import DelayedStore
from tests.support.watches_harness import (
    WAIT_S,
    ClientWriter,
    WatchesHarness,
    soon,
    until,
    watch,
)


@pytest.fixture
def store() -> DelayedStore:
    return DelayedStore()


@pytest.fixture
def writer(store: DelayedStore) -> ClientWriter:
    return ClientWriter(store.write)


@pytest.fixture
async def server(store: DelayedStore) -> AsyncIterator[WatchesHarness]:
    async with WatchesHarness(store).running() as running:
        yield running


def home(event: WatchEvent) -> tuple[WatchEventKind, str, int]:
    return event.kind, event.home.unit, event.home.epoch


async def test_a_watch_begins_with_the_home_and_goes_on_with_each_move(writer, server):
    writer.assign("alice", "a")
    async with watch(server) as stream:
        assert home(await soon(stream.next())) == (WatchEventKind.HOME, "a", 1)
        revision = writer.move("alice", "b", "drained")
        event = await soon(stream.next())
        assert home(event) == (WatchEventKind.HOME, "b", 2)
        assert (event.home.cause, event.revision) == ("drained", revision)


async def test_others_are_not_heard_of(writer, server):
    for client in ("alice", "bob"):
        writer.assign(client, "a")
    async with watch(server) as alice, watch(server, "bob") as bob:
        await soon(alice.next())
        await soon(bob.next())
        writer.move("bob", "b")
        writer.move("alice", "c")
        assert home(await soon(bob.next())) == (WatchEventKind.HOME, "b", 2)
        assert home(await soon(alice.next())) == (WatchEventKind.HOME, "c", 2)


async def test_both_of_two_watches_of_one_client_hear(writer, server):
    writer.assign("alice", "a")
    async with watch(server) as one, watch(server, known_epoch=1) as two:
        await soon(one.next())
        writer.move("alice", "b")
        assert (
            home(await soon(one.next()))
            == home(await soon(two.next()))
            == (WatchEventKind.HOME, "b", 2)
        )


@pytest.mark.parametrize("cause", ["", "hold-expired"])
async def test_a_release_is_told_once_with_its_cause_and_then_a_new_assignment(
    writer, server, cause
):
    writer.assign("alice", "a")
    async with watch(server) as stream:
        await soon(stream.next())
        revision = writer.release("alice", cause)
        event = await soon(stream.next())
        assert (event.kind, event.home.cause, event.revision) == (
            WatchEventKind.RELEASED,
            cause,
            revision,
        )
        writer.assign("alice", "b")
        assert home(await soon(stream.next())) == (WatchEventKind.HOME, "b", 1)


async def test_a_client_without_a_home_cannot_be_watched(server):
    with pytest.raises(NotFound, match="alice has no assignment; provision it first"):
        async with watch(server):
            pass
    assert len(server.clients) == 0


async def test_who_knew_a_home_that_is_gone_is_told_so_and_waits_for_the_next(writer, server):
    async with watch(server, known_epoch=3) as stream:
        assert (await soon(stream.next())).kind is WatchEventKind.RELEASED
        writer.assign("alice", "a")
        assert home(await soon(stream.next())) == (WatchEventKind.HOME, "a", 1)


async def test_what_is_known_already_is_not_told_again(writer, server):
    writer.assign("alice", "a")
    revision = writer.move("alice", "b")
    async with watch(server, known_epoch=2, revision=revision) as stream:
        writer.move("alice", "c")
        assert home(await soon(stream.next())) == (WatchEventKind.HOME, "c", 3)


async def test_the_revision_tells_the_same_epoch_of_two_lives_apart(writer, server):
    seen = writer.assign("alice", "a")
    writer.release("alice")
    writer.assign("alice", "b")
    async with watch(server, known_epoch=1, revision=seen) as stream:
        assert home(await soon(stream.next())) == (WatchEventKind.HOME, "b", 1)


async def test_a_revision_that_is_compacted_is_refused_with_what_to_do(store, writer, server):
    writer.assign("alice", "a")
    store.model.compacted = store.model.revision
    with pytest.raises(HistoryGone, match="watch again without a revision"):
        async with watch(server, known_epoch=1, revision=1):
            pass
    async with watch(server, known_epoch=1, revision=store.model.revision) as stream:
        writer.move("alice", "b")
        assert home(await soon(stream.next())) == (WatchEventKind.HOME, "b", 2)


async def test_a_revision_of_another_store_is_refused(writer, server):
    writer.assign("alice", "a")
    with pytest.raises(HistoryGone, match="has not come to revision 1000"):
        async with watch(server, revision=1000):
            pass


def test_a_negative_revision_is_refused(store):
    async def begin() -> None:
        watch(WatchesHarness(store), revision=-1)

    with pytest.raises(InvalidInput, match="revision is below 0"):
        asyncio.run(begin())


async def test_a_slow_reader_is_told_where_things_stand_and_not_each_step(writer, server):
    writer.assign("alice", "a")
    async with watch(server) as stream:
        await soon(stream.next())
        for n in range(500):
            writer.move("alice", f"unit-{n}")
        last = writer.move("alice", "home")
        async with watch(server, "alice", known_epoch=1) as behind_the_feed:
            await until(lambda: server.clients.revision_of(stream._client) >= last)
            await soon(behind_the_feed.next())
        assert home(await soon(stream.next())) == (WatchEventKind.HOME, "home", 502)


async def test_a_silent_stream_shows_signs_of_life_with_a_revision_to_go_on_from(store, writer):
    writer.assign("alice", "a")
    async with (
        WatchesHarness(store, keepalive_s=0.02).running() as server,
        watch(server) as stream,
    ):
        await soon(stream.next())
        writer.assign("bob", "a")
        revision = writer.move("bob", "b")
        while (event := await soon(stream.next())).revision < revision:
            assert event.kind is WatchEventKind.KEEPALIVE
        async with watch(server, known_epoch=1, revision=event.revision) as again:
            assert (await soon(again.next())).kind is WatchEventKind.KEEPALIVE


async def test_keepalives_of_many_streams_are_sent_a_few_at_a_time(store, monkeypatch):
    """In between others have the event loop."""
    passes, sent_in = 0, Counter[int]()

    async def count_passes() -> None:
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    def note(self: Watch) -> None:
        sent_in[passes] += 1

    watches = WatchesHarness(store, keepalive_s=0.02).clients
    for number in range(4 * WOKEN_AT_ONCE + 1):
        watches._silent[watches.watch("t", f"c{number}", known_epoch=0, revision=0)] = 0.0
    monkeypatch.setattr(Watch, "send_keepalive", note)
    tasks = [asyncio.create_task(count_passes()), asyncio.create_task(watches._tick())]
    try:
        await until(lambda: sum(sent_in.values()) >= 4 * WOKEN_AT_ONCE + 1)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert max(sent_in.values()) <= WOKEN_AT_ONCE


async def test_a_client_without_a_home_is_not_vouched_for_beyond_its_last_reading(store, writer):
    """Else it would go on from a revision that is past its new assignment."""
    writer.assign("alice", "a")
    writer.assign("bob", "a")
    slow = WatchesHarness(store, keepalive_s=0.02, homeless_s=3600.0)
    async with slow.running() as server, watch(server) as alice, watch(server, "bob") as bob:
        await soon(alice.next())
        writer.release("alice")
        while (await soon(alice.next())).kind is not WatchEventKind.RELEASED:
            pass
        writer.assign("alice", "b")
        writer.move("bob", "b")
        while (await soon(bob.next())).home.epoch != 2:
            pass
        event = await soon(alice.next())
        assert event.kind is WatchEventKind.KEEPALIVE
        async with watch(server, known_epoch=1, revision=event.revision) as again:
            assert home(await soon(again.next())) == (WatchEventKind.HOME, "b", 1)


async def test_a_gap_in_history_is_made_up_for_by_reading(store, writer, server):
    for client in ("alice", "bob", "carol"):
        writer.assign(client, "a")
    async with watch(server) as alice, watch(server, "bob") as bob, watch(server, "carol") as carol:
        for stream in (alice, bob, carol):
            await soon(stream.next())
        begun = store.watches
        writer.move("alice", "b")
        writer.release("bob")
        store.lose_history()  # before anything of this was delivered
        assert home(await soon(alice.next())) == (WatchEventKind.HOME, "b", 2)
        assert (await soon(bob.next())).kind is WatchEventKind.RELEASED
        writer.move("carol", "c")
        assert home(await soon(carol.next())) == (WatchEventKind.HOME, "c", 2)
        assert store.watches == begun + 1


async def test_one_watch_of_the_store_and_few_reads_serve_everybody(store, writer, server):
    async with asyncio.timeout(WAIT_S):
        streams = []
        for n in range(1000):
            writer.assign(f"client-{n}", "a")
        reads = store.reads

        async def open_one(n: int) -> None:
            stream = watch(server, f"client-{n}")
            await stream.__aenter__()
            await stream.next()
            streams.append(stream)

        async with asyncio.TaskGroup() as group:
            for n in range(1000):
                group.create_task(open_one(n))
        assert store.watches == 1
        assert store.reads - reads <= 20
        assert len(server.clients) == 1000
        for stream in streams:
            await stream.__aexit__(None, None, None)
        assert len(server.clients) == 0


async def test_a_server_takes_only_so_many_and_says_when_to_come_back(store, writer):
    writer.assign("alice", "a")
    async with WatchesHarness(store, limit=1).running() as server, watch(server) as stream:
        await soon(stream.next())
        with pytest.raises(Exhausted, match="1 watchers") as refused:
            async with watch(server):
                pass
        assert refused.value.retry_after_s == 3.0
        assert len(server.clients) == 1


async def test_a_server_that_ends_sends_everybody_elsewhere(writer, server):
    writer.assign("alice", "a")
    async with watch(server) as stream:
        await soon(stream.next())
        waiting = asyncio.create_task(stream.next())
        await asyncio.sleep(0)
        server.clients.close()
        with pytest.raises(Unavailable, match="watch again on another one") as ended:
            await soon(waiting)
        assert ended.value.retry_after_s is not None
        with pytest.raises(Unavailable):
            async with watch(server):
                pass


async def test_while_the_store_is_away_new_watches_are_told_and_others_stand(store, writer, server):
    writer.assign("alice", "a")
    async with watch(server) as stream:
        await soon(stream.next())
        store.away = True
        with pytest.raises(Unavailable) as refused:
            async with watch(server):
                pass
        assert refused.value.retry_after_s is not None
        store.away = False
        writer.move("alice", "b")
        assert home(await soon(stream.next())) == (WatchEventKind.HOME, "b", 2)


async def test_damaged_news_are_left_out_and_counted(store, writer, server):
    writer.assign("alice", "a")
    async with watch(server) as stream:
        await soon(stream.next())
        for key in (keys.move("a", "t", "alice"), keys.RELEASED, keys.MOVES + b"a/t/\xff"):
            store.write(Txn(then=[Put(key, b"{nonsense")]))
        writer.move("alice", "b")
        assert home(await soon(stream.next())) == (WatchEventKind.HOME, "b", 2)
        assert server.feed.damaged == 3
