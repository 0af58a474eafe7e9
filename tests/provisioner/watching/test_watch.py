"""One stream over watches of a server that do as the test says."""

from __future__ import annotations

import asyncio

import pytest

from control_plane.errors import Exhausted, HistoryGone, NotFound, Unavailable
from provisioner.watching.home_state import HomeState
from provisioner.watching.watch import Watch, WatchedClient, WatchEventKind

AT_A = HomeState(as_of=10, since=10, epoch=1, unit="a")
AT_B = HomeState(as_of=20, since=20, epoch=2, unit="b")
GONE = HomeState(as_of=30, since=30)


class FakeRegistry:
    """A WatchRegistry of one client, whose home the test sets."""

    def __init__(self, home: HomeState = AT_A) -> None:
        self.client = WatchedClient("t/alice")
        self.client.home = home
        self.full = self.compacted = False
        self.sent = 0

    def register(self, watch, name):
        if self.full:
            raise Exhausted("full", retry_after_s=1.0)
        self.client.watches.append(watch)
        return self.client

    def unregister(self, watch, client):
        client.watches.remove(watch)

    def record_sent(self, watch):
        self.sent += 1

    def revision_of(self, client):
        return client.home.as_of

    async def read(self, client, revision):
        if self.compacted:
            raise HistoryGone("compacted")

    def observe(self, home: HomeState) -> None:
        self.client.home = home
        for watch in self.client.watches:
            watch.wake()


def opened(registry: FakeRegistry, *, known_epoch: int = 0, revision: int = 0) -> Watch:
    return Watch(registry, "t/alice", known_epoch, revision)


async def next_event(watch: Watch):
    async with asyncio.timeout(5.0):
        return await watch.next()


async def test_it_sends_the_home_it_finds_and_then_each_change():
    registry = FakeRegistry()
    async with opened(registry) as watch:
        assert await next_event(watch) == (WatchEventKind.HOME, AT_A, 10)
        waiting = asyncio.create_task(watch.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        registry.observe(AT_B)
        assert await waiting == (WatchEventKind.HOME, AT_B, 20)
        registry.observe(GONE)
        assert await next_event(watch) == (WatchEventKind.RELEASED, GONE, 30)
    assert registry.sent == 3


async def test_a_slow_stream_skips_what_is_past():
    registry = FakeRegistry()
    async with opened(registry) as watch:
        registry.observe(AT_B)
        registry.observe(GONE)
        assert (await next_event(watch)).home is GONE


async def test_what_the_caller_has_seen_is_not_sent_again():
    registry = FakeRegistry()
    async with opened(registry, known_epoch=1, revision=10) as watch:
        watch.send_keepalive()
        assert (await next_event(watch)).kind is WatchEventKind.KEEPALIVE


async def test_a_change_goes_before_a_keepalive_that_is_due_and_settles_it():
    registry = FakeRegistry()
    async with opened(registry) as watch:
        watch.send_keepalive()
        assert (await next_event(watch)).kind is WatchEventKind.HOME
        waiting = asyncio.create_task(watch.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()


async def test_the_end_of_the_server_is_the_next_message():
    registry = FakeRegistry()
    async with opened(registry) as watch:
        await next_event(watch)
        waiting = asyncio.create_task(watch.next())
        await asyncio.sleep(0)
        watch.end(Unavailable("this server is shutting down"))
        with pytest.raises(Unavailable, match="shutting down"):
            await waiting
        with pytest.raises(Unavailable, match="shutting down"):
            await next_event(watch)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param({"full": True}, Exhausted, id="the-server-has-no-room"),
        pytest.param({"compacted": True}, HistoryGone, id="the-revision-is-gone"),
        pytest.param({}, NotFound, id="the-client-has-no-home-and-the-caller-knows-none"),
    ],
)
async def test_a_stream_that_cannot_begin_leaves_nothing_behind(change, error):
    registry = FakeRegistry(AT_A if change else GONE)
    for name, value in change.items():
        setattr(registry, name, value)
    with pytest.raises(error):
        async with opened(registry):
            raise AssertionError("it began")
    assert registry.client.watches == []


async def test_a_caller_that_knew_a_home_is_sent_its_release():
    registry = FakeRegistry(GONE)
    async with opened(registry, known_epoch=2) as watch:
        assert (await next_event(watch)).kind is WatchEventKind.RELEASED
    assert registry.client.watches == []
