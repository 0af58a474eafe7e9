"""Watch: one stream that follows one client's home.

What it has not sent yet is one value, the client's home now: a slow stream skips what is past
already, and never holds more.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from control_plane.errors import NotFound, ServiceError
from provisioner.watching.home_state import HomeState, is_news


class WatchEventKind(Enum):
    """What a stream sends."""

    HOME = "home"
    RELEASED = "released"
    KEEPALIVE = "keepalive"  # nothing new, after a silence
    TOUCHED = "touched"  # nothing new of the home; who follows more than that asked for it


class WatchEvent(NamedTuple):
    """One message. `revision`: to go on from after a break."""

    kind: WatchEventKind
    home: HomeState
    revision: int


class WatchedClient:
    """A client that somebody watches."""

    __slots__ = ("behind", "home", "name", "queued", "readers", "watches")

    def __init__(self, name: str) -> None:
        self.name = name
        self.home: HomeState | None = None  # None: not read yet
        self.behind = True  # whether the feed may have missed something of it
        self.queued = False  # for a read
        self.readers: list[asyncio.Future[None]] | None = None
        self.watches: list[Watch] = []


class WatchRegistry(Protocol):
    """What a stream needs of the watches of its server."""

    def register(self, watch: Watch, name: str, /) -> WatchedClient:
        """Adds a stream. Raises Exhausted, Unavailable."""
        ...

    def unregister(self, watch: Watch, client: WatchedClient, /) -> None:
        """Removes a stream."""
        ...

    def record_sent(self, watch: Watch, /) -> None:
        """The stream sends something now."""
        ...

    def revision_of(self, client: WatchedClient, /) -> int:
        """Up to where everything about the client is known."""
        ...

    async def read(self, client: WatchedClient, revision: int, /) -> None:
        """Reads the client; checks that what happened since `revision` is still known. Raises
        HistoryGone, Unavailable."""
        ...


class Watch:
    """One stream: enter it, then `next` for ever. Leaving it is all there is to clean up."""

    __slots__ = (
        "_client", "_ended", "_keepalive_due", "_known_epoch", "_name", "_registry", "_revision",
        "_sent_since", "_touched", "_waiter",
    )  # fmt: skip

    def __init__(self, registry: WatchRegistry, name: str, known_epoch: int, revision: int) -> None:
        self._registry = registry
        self._name = name
        self._known_epoch = known_epoch
        self._revision = revision
        self._client: WatchedClient | None = None
        self._sent_since = -1
        self._keepalive_due = False
        self._touched = False
        self._ended: ServiceError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Raises Exhausted, NotFound (it has no home and, so far as the caller said, had
        none), HistoryGone, Unavailable."""
        self._client = client = self._registry.register(self, self._name)
        try:
            await self._registry.read(client, self._revision)
            home = client.home
            assert home is not None, "a read that went well leaves a home"
            if home.homeless and not self._known_epoch:
                raise NotFound(
                    f"client {self._name.partition('/')[2]} has no assignment; provision it first"
                )
            if not is_news(home, self._known_epoch, self._revision):
                self._sent_since = home.since
        except BaseException:  # cancelled too: __aexit__ is not called for a failed entry
            self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    async def next(self) -> WatchEvent:
        """The next event, as soon as there is one. Raises Unavailable when the server
        ends."""
        while True:
            if self._ended is not None:
                raise self._ended
            event = self._event()
            if event is not None:
                self._keepalive_due = self._touched = False
                self._registry.record_sent(self)
                return event
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def wake(self) -> None:
        """Something may have changed."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def send_keepalive(self) -> None:
        """Sends a keepalive, unless there is something new to send."""
        self._keepalive_due = True
        self.wake()

    def touch(self) -> None:
        """Sends an event, be the home as it was."""
        self._touched = True
        self.wake()

    def end(self, error: ServiceError) -> None:
        """The next message is this error."""
        self._ended = error
        self.wake()

    def _event(self) -> WatchEvent | None:
        client = self._client
        assert client is not None, "next comes after enter"
        home = client.home
        assert home is not None, "enter has read it"
        if home.since != self._sent_since:
            self._sent_since = home.since
            kind = WatchEventKind.RELEASED if home.homeless else WatchEventKind.HOME
        elif self._touched:
            kind = WatchEventKind.TOUCHED
        elif self._keepalive_due:
            kind = WatchEventKind.KEEPALIVE
        else:
            return None
        return WatchEvent(kind, home, self._registry.revision_of(client))

    def _leave(self) -> None:
        if self._client is not None:
            self._registry.unregister(self, self._client)
            self._client = None
