"""Watches of clients under any interleaving of writes, breaks and readers."""

from __future__ import annotations

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.errors import HistoryGone, NotFound
from provisioner.watching.watch import WatchEvent, WatchEventKind
from tests.support.fakes.delayed_store import DelayedStore
from tests.support.watches_harness import ClientWriter, WatchesHarness, until, watch

CLIENTS = ("alice", "bob")
deeds = st.lists(
    st.tuples(
        st.sampled_from(["change", "change", "release", "break", "break", "lose"]),
        st.sampled_from(CLIENTS),
        st.sampled_from([0, 0, 1, 3, 10, 20, 60]),  # turns of the loop afterwards
    ),
    min_size=1,
    max_size=60,
)


class Follower:
    """A client that watches, breaks off now and then, and goes on from what it saw last."""

    def __init__(self, server: WatchesHarness, name: str) -> None:
        self._server = server
        self.name = name
        self.heard: list[WatchEvent] = []
        self.homeless = True
        self.epoch = 0
        self.revision = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Unless it watches already."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        while True:
            try:
                async with watch(
                    self._server, self.name, known_epoch=self.epoch, revision=self.revision
                ) as stream:
                    while True:
                        event = await stream.next()
                        self.heard.append(event)
                        self.homeless = event.home.homeless
                        self.epoch = event.home.epoch or self.epoch
                        self.revision = event.revision
            except NotFound:
                self.homeless = True
                await asyncio.sleep(0)
            except HistoryGone:
                self.epoch = self.revision = 0  # as the contract says: anew, without a revision

    async def break_off_or_go_on(self) -> None:
        if self._task is None:
            self.begin()
        else:
            await self.end()

    async def end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def knows(self) -> tuple[str, int] | None:
        if self.homeless:
            return None
        return self.heard[-1].home.unit, self.heard[-1].home.epoch


async def interleave(script: list[tuple[str, str, int]], seed: int) -> None:
    rng = random.Random(seed)
    store = DelayedStore(rng)
    writer = ClientWriter(store.write)
    for client in CLIENTS:
        writer.assign(client, "a")
    async with WatchesHarness(store).running() as server:
        followers = {client: Follower(server, client) for client in CLIENTS}
        for follower in followers.values():
            follower.begin()
        for n, (deed, client, turns) in enumerate(script):
            if deed == "change" and client in writer.homes:
                writer.move(client, f"unit-{n}")
            elif deed == "change":
                writer.assign(client, f"unit-{n}")
            elif deed == "release" and client in writer.homes:
                writer.release(client, rng.choice(["", "hold-expired"]))
            elif deed == "break":
                await followers[client].break_off_or_go_on()
            elif deed == "lose":
                store.lose_history()
            for _ in range(turns):
                await asyncio.sleep(0)
        for follower in followers.values():
            follower.begin()
        try:
            await until(
                lambda: all(f.knows == writer.homes.get(f.name) for f in followers.values())
            )
        finally:
            for follower in followers.values():
                await follower.end()
    for follower in followers.values():
        told_at, since = 0, 0
        for event in follower.heard:
            assert event.revision >= told_at, "revisions go back"
            told_at = event.revision
            if event.kind is WatchEventKind.HOME:
                assert event.home.since >= since, "an older home was told after a newer one"
                since = event.home.since
                truth = (follower.name, (event.home.unit, event.home.epoch))
                assert writer.written[event.home.since] == truth


@settings(max_examples=50, deadline=None)
@given(script=deeds, seed=st.integers(0, 2**32))
def test_whatever_happens_each_watcher_hears_only_truth_in_order_and_ends_at_it(script, seed):
    asyncio.run(interleave(script, seed))
