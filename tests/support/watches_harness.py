"""What others do to clients, as the ledger writes it, and a server's watches over it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from control_plane import keys
from control_plane.store.port import Delete, Operation, Put, Txn, TxnResult
from provisioner.ledger.assignment_encoding import encode_assignment
from provisioner.ledger.departure import DepartureRecord, encode_departure, released
from provisioner.watching.clients import ClientWatches
from provisioner.watching.departures import DepartureFeed
from provisioner.watching.feed import MoveFeed
from provisioner.watching.watch import WatchEvent

WAIT_S = 20.0


class ClientWriter:
    """Writes what provisioners write; keeps the truth as (unit, epoch) by client."""

    def __init__(self, write: Callable[[Txn], TxnResult]) -> None:
        self._write = write
        self.homes: dict[str, tuple[str, int]] = {}
        self.written: dict[int, tuple[str, tuple[str, int] | None]] = {}  # by revision

    def assign(self, client: str, unit: str) -> int:
        """A client without a home gets one."""
        return self._put(client, unit, 1)

    def move(self, client: str, unit: str, cause: str = "drained") -> int:
        """A client with a home gets another one."""
        before, epoch = self.homes[client]
        departure = DepartureRecord(epoch=epoch + 1, unit=unit, cause=cause, at_ms=7)
        gone = Put(keys.move(before, "t", client), encode_departure(departure))
        return self._put(client, unit, epoch + 1, gone)

    def release(self, client: str, cause: str = "") -> int:
        """A client loses its home; with a cause, its unit is told."""
        unit, epoch = self.homes.pop(client)
        key = keys.assignment("t", client)
        writes: list[Operation] = [Delete(key)]
        if cause:
            record = DepartureRecord(epoch=epoch, unit="", cause=cause, at_ms=7)
            writes.append(Put(keys.move(unit, "t", client), encode_departure(record)))
        revision = self._write(Txn(then=[*writes, released([key])])).revision
        self.written[revision] = (client, None)
        return revision

    def _put(self, client: str, unit: str, epoch: int, *more: Operation) -> int:
        home = Put(keys.assignment("t", client), encode_assignment(unit, epoch, 7, ""))
        revision = self._write(Txn(then=[home, *more])).revision
        self.homes[client] = (unit, epoch)
        self.written[revision] = (client, (unit, epoch))
        return revision


class WatchesHarness:
    """One server's feed and those who listen to it."""

    def __init__(
        self,
        store: Any,
        *,
        limit: int = 1_000_000,
        keepalive_s: float = 3600.0,
        homeless_s: float = 0.01,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.following = following = asyncio.Event()
        self.clients = ClientWatches(
            store,
            following=following,
            limit=limit,
            clock=clock,
            jitter=lambda: 0.5,
            keepalive_s=keepalive_s,
            homeless_s=homeless_s,
        )
        self.departures = DepartureFeed(store)
        self.feed = MoveFeed(store, self.clients, self.departures, following=following)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[WatchesHarness]:
        async with asyncio.TaskGroup() as group:
            working = [self.feed.run, *self.clients.tasks().values()]
            tasks = [group.create_task(work()) for work in working]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()


async def soon(next_one: Any) -> WatchEvent:
    """The next message, or the test has failed."""
    async with asyncio.timeout(WAIT_S):
        event: WatchEvent = await next_one
        return event


async def until(condition: Callable[[], bool]) -> None:
    """Polls; the other side is tasks of the same loop."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


def watch(
    server: WatchesHarness, client: str = "alice", *, known_epoch: int = 0, revision: int = 0
) -> Any:
    """A stream of what becomes of a client of tenant t."""
    return server.clients.watch("t", client, known_epoch=known_epoch, revision=revision)
