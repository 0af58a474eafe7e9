"""ClientWatches: every stream that follows one client's home on this server.

A watch begins with a read and goes on with the feed; both carry revisions, so nothing falls
between them. A client without a home is read again every few seconds, because the feed does
not report new assignments. Why nothing is lost is argued in docs/decisions/0009-watches.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from control_plane import keys
from control_plane.errors import (
    Exhausted,
    HistoryGone,
    InvalidInput,
    ServiceError,
    Unavailable,
)
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import Compacted, Get, KeyValue, Store, Txn
from control_plane.turns import Turns
from provisioner.ledger.assignment import decode_assignment
from provisioner.ledger.departure import DepartureRecord
from provisioner.watching.home_state import HomeState, later
from provisioner.watching.watch import Watch, WatchedClient

KEEPALIVE_S = 15.0  # a stream that has nothing to send sends a keepalive this often
HOMELESS_S = 2.0  # how often a client without a home is looked up again
OPEN_S = 5.0  # until a new watch has been answered
TICK_S = 0.5
READS = 120  # clients in one transaction
WOKEN_AT_ONCE = 16  # streams that send a keepalive, before others have the event loop
QUEUED_AT_ONCE = 1_000  # clients that are to be read again, before others do
RETRY_S = 0.5
CHECKED_S = 10.0  # how long a revision that could be read counts as readable
ENDED_PER_S = 2_000  # streams that come back in each second after a server's end


class ClientWatches:
    """One per server; a MoveListener of its feed. `tasks` are the owner's.

    following: set once the feed has a position. limit: streams at once. clock: monotonic
    seconds; jitter: 0 to 1, new at each call, for delays that many get at once.
    """

    def __init__(
        self,
        store: Store,
        *,
        following: asyncio.Event,
        limit: int,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        keepalive_s: float = KEEPALIVE_S,
        homeless_s: float = HOMELESS_S,
    ) -> None:
        self._store = store
        self._following = following
        self._limit = limit
        self._clock = clock
        self._jitter = jitter
        self._keepalive_s = keepalive_s
        self._homeless_s = homeless_s
        self._clients: dict[str, WatchedClient] = {}
        self._homeless: dict[str, WatchedClient] = {}
        self._silent: dict[Watch, float] = {}  # since when; longest first
        self._to_read: Turns[WatchedClient] = Turns(_tenant_of)
        self._wake = asyncio.Event()
        self._position = 0
        self._gap = 0  # what is known as of before this revision may have been missed
        self._readable = (1 << 63, 0.0)  # the oldest revision that could be read, and when
        self._closed = False
        self.sent = 0  # messages so far

    def __len__(self) -> int:
        """Streams now."""
        return len(self._silent)

    def watch(self, tenant: str, client_id: str, *, known_epoch: int, revision: int) -> Watch:
        """A stream to enter. The ids have been checked. known_epoch and revision: of the last
        message that the caller saw, 0 where it saw none. Raises InvalidInput."""
        if revision < 0:
            raise InvalidInput("revision", "revision is below 0; leave it out, or send the last")
        return Watch(self, f"{tenant}/{client_id}", known_epoch, revision)

    def close(self) -> None:
        """Ends every stream; each is sent when to come back, to this server or another."""
        self._closed = True
        over_s = 0.2 + len(self._silent) / ENDED_PER_S
        for watch in self._silent:
            watch.end(self._ending(over_s))

    def end_matching(self, gone: Callable[[str], bool], error: Callable[[], ServiceError]) -> None:
        """Ends the streams of clients (tenant/client) that this server does not follow any more."""
        for name, client in list(self._clients.items()):
            if gone(name):
                for watch in client.watches:
                    watch.end(error())

    def _ending(self, over_s: float) -> Unavailable:
        return Unavailable(
            "this server is shutting down; watch again on another one",
            retry_after_s=over_s * self._jitter(),
        )

    def tasks(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What works for ever, by name."""
        return {
            "watch reader 1": self._read_all,
            "watch reader 2": self._read_all,
            "watch keepalives": self._tick,
        }

    # -- for streams: see WatchRegistry ------------------------------------------------------------

    def register(self, watch: Watch, name: str) -> WatchedClient:
        """Adds a stream. Raises Exhausted, Unavailable."""
        if self._closed:
            raise self._ending(1.0)
        if len(self._silent) >= self._limit:
            raise Exhausted(
                f"this server has {self._limit:,} watchers, as many as it takes; try another one",
                retry_after_s=1.0 + 4.0 * self._jitter(),
            )
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = WatchedClient(name)
        client.watches.append(watch)
        self._silent[watch] = self._clock()
        return client

    def unregister(self, watch: Watch, client: WatchedClient) -> None:
        """Removes a stream."""
        self._silent.pop(watch, None)
        client.watches.remove(watch)
        if not client.watches:
            self._clients.pop(client.name, None)
            self._homeless.pop(client.name, None)

    def record_sent(self, watch: Watch) -> None:
        """The stream sends something now."""
        self.sent += 1
        self._silent.pop(watch, None)
        self._silent[watch] = self._clock()

    def revision_of(self, client: WatchedClient) -> int:
        """Up to where everything about the client is known."""
        home = client.home
        assert home is not None, "asked of clients that were read"
        if client.behind or home.homeless:
            return home.as_of
        return max(home.as_of, self._position)

    async def read(self, client: WatchedClient, revision: int) -> None:
        """Reads the client; checks that what happened since `revision` is still known."""
        try:
            async with asyncio.timeout(OPEN_S):
                await self._following.wait()
                await self._read_now(client)
                await self._check_readable(client, revision)
        except TimeoutError as error:
            raise Unavailable(
                "the store is too slow; try again", retry_after_s=0.5 + self._jitter()
            ) from error

    async def _read_now(self, client: WatchedClient) -> None:
        reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if client.readers is None:
            client.readers = []
        client.readers.append(reader)
        self._queue_read(client)
        await reader

    async def _check_readable(self, client: WatchedClient, revision: int) -> None:
        if not revision:
            return
        home = client.home
        if home is not None and revision > max(home.as_of, self._position):
            raise HistoryGone(
                f"the store has not come to revision {revision}; watch again without a revision"
            )
        oldest, checked_at = self._readable
        now = self._clock()
        if revision >= oldest and now - checked_at < CHECKED_S:
            return
        try:
            await self._store.range(keys.RELEASED, limit=1, at_revision=revision, keys_only=True)
        except Compacted as gone:
            raise HistoryGone(
                f"history before revision {gone.compact_revision} is compacted; watch again "
                "without a revision, and compare with what you know"
            ) from gone
        self._readable = (revision, now)

    # -- from the feed: see MoveListener -----------------------------------------------

    def departed(self, unit: str, client: str, departure: DepartureRecord, revision: int) -> None:
        """See MoveListener."""
        watched = self._clients.get(client)
        if watched is not None:
            self._apply(
                watched,
                HomeState(
                    as_of=revision,
                    since=revision,
                    epoch=departure.epoch if departure.unit else 0,
                    unit=departure.unit,
                    at_ms=departure.at_ms,
                    cause=departure.cause,
                    first_ms=departure.first_ms,
                ),
            )

    def released(self, client: str, revision: int) -> None:
        """See MoveListener."""
        watched = self._clients.get(client)
        if watched is not None:
            self._apply(watched, HomeState(as_of=revision, since=revision))

    def reached(self, revision: int) -> None:
        """See MoveListener."""
        self._position = max(self._position, revision)

    def gap(self, revision: int) -> None:
        """See MoveListener."""
        self._gap = revision
        restored = revision < self._position  # from a backup: revisions begin again
        for client in self._clients.values():
            client.behind = True
            if restored and client.home is not None:
                client.home = client.home._replace(as_of=0)
            self._queue_read(client)
        self._position = revision

    def _apply(self, client: WatchedClient, observed: HomeState) -> None:
        known = client.home
        client.home = home = later(known, observed)
        if home.homeless:
            self._homeless[client.name] = client
        else:
            self._homeless.pop(client.name, None)
        if known is None or home.since != known.since:
            for watch in client.watches:
                watch.wake()

    # -- reading -----------------------------------------------------------------------

    def _queue_read(self, client: WatchedClient) -> None:
        if not client.queued:
            client.queued = True
            self._to_read.append(client)
            self._wake.set()

    async def _read_all(self) -> None:
        to_read = self._to_read
        while True:
            if not to_read:
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = [to_read.popleft() for _ in range(min(READS, len(to_read)))]
            for client in batch:
                client.queued = False  # whoever asks from here on wants a later read
            readers = [client.readers for client in batch]
            for client in batch:
                client.readers = None
            names = [client.name for client in batch]
            reads = [Get(keys.ASSIGNMENTS + name.encode()) for name in names]
            try:
                result = await self._store.commit(Txn(then=reads))
            except ServiceError as error:
                self._fail_reads(batch, readers, error)
                await asyncio.sleep(RETRY_S)
                continue
            except BaseException:  # nobody foresaw it; whoever waits hears of it all the same
                self._fail_reads(batch, readers, Unavailable("the client could not be read"))
                raise
            for client, waiting, found in zip(batch, readers, result.results, strict=True):
                self._apply_read(client, found[0] if found else None, result.revision)
                for reader in waiting or ():
                    if not reader.done():
                        reader.set_result(None)

    def _apply_read(self, client: WatchedClient, pair: KeyValue | None, revision: int) -> None:
        home = HomeState(as_of=revision, since=revision)
        if pair is not None:
            try:
                record = decode_assignment(pair.value)
            except UNREADABLE:
                pass  # a damaged record is nobody's home
            else:
                home = HomeState(
                    as_of=revision,
                    since=pair.mod_revision,
                    epoch=record.epoch,
                    unit=record.unit,
                    at_ms=record.at_ms,
                    first_ms=record.first_ms,
                )
        if revision >= self._gap:
            client.behind = False
        else:
            self._queue_read(client)
        if client.watches:
            self._apply(client, home)

    def _fail_reads(
        self,
        batch: list[WatchedClient],
        readers: list[list[asyncio.Future[None]] | None],
        error: ServiceError,
    ) -> None:
        """Whoever opens a watch gets the error; a client that has one is read again later."""
        retry = Unavailable(error.message, retry_after_s=0.5 + self._jitter())
        for client, waiting in zip(batch, readers, strict=True):
            for reader in waiting or ():
                if not reader.done():
                    reader.set_exception(retry)
            if client.watches and client.behind and client.home is not None:
                self._queue_read(client)

    async def _tick(self) -> None:
        read_at = self._clock()
        while True:
            await asyncio.sleep(min(TICK_S, self._keepalive_s / 2, self._homeless_s / 2))
            now = self._clock()
            for number, (watch, since) in enumerate(self._due_for_keepalive(now), 1):
                if self._silent.get(watch) == since:  # else it has just sent something, or left
                    watch.send_keepalive()
                if not number % WOKEN_AT_ONCE:
                    await asyncio.sleep(0)
            if now - read_at >= self._homeless_s:
                read_at = now
                for number, client in enumerate(list(self._homeless.values()), 1):
                    self._queue_read(client)
                    if not number % QUEUED_AT_ONCE:
                        await asyncio.sleep(0)

    def _due_for_keepalive(self, now: float) -> list[tuple[Watch, float]]:
        """Those that have been silent for long, and since when."""
        due: list[tuple[Watch, float]] = []
        for watch, since in self._silent.items():
            if now - since < self._keepalive_s:
                break
            due.append((watch, since))
        return due


def _tenant_of(client: WatchedClient) -> str:
    return client.name.partition("/")[0]
