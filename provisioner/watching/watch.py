"""Watch: one stream that follows one client's home.

What it has not been told yet is one value, the client's standing now: a slow stream skips what
is past already, and never holds more.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from control_plane.errors import NotFound, ServiceError
from provisioner.watching.home_state import HomeState, is_news


class Kind(Enum):
    """What a stream is told."""

    HOME = "home"
    RELEASED = "released"
    SIGN_OF_LIFE = "sign of life"


class Told(NamedTuple):
    """One message. `revision`: to go on from after a break."""

    kind: Kind
    standing: HomeState
    revision: int


class WatchedClient:
    """A client that somebody watches."""

    __slots__ = ("behind", "name", "queued", "readers", "standing", "watches")

    def __init__(self, name: str) -> None:
        self.name = name
        self.standing: HomeState | None = None
        self.behind = True  # whether the feed may have missed something of it
        self.queued = False  # for a read
        self.readers: list[asyncio.Future[None]] | None = None
        self.watches: list[Watch] = []


class Hub(Protocol):
    """What a stream asks of the server it is on."""

    def join(self, watch: Watch, name: str, /) -> WatchedClient:
        """Takes a stream in. Raises Exhausted, Unavailable."""
        ...

    def part(self, watch: Watch, client: WatchedClient, /) -> None:
        """Lets a stream go."""
        ...

    def heard(self, watch: Watch, /) -> None:
        """It is told something now."""
        ...

    def revision_of(self, client: WatchedClient, /) -> int:
        """Up to where everything about the client is known."""
        ...

    async def read(self, client: WatchedClient, revision: int, /) -> None:
        """Reads the client; checks that it can be told what happened since `revision`. Raises
        HistoryGone, Unavailable."""
        ...


class Watch:
    """One stream: enter it, then `next` for ever. Leaving it is all there is to clean up."""

    __slots__ = (
        "_client", "_due", "_ended", "_hub", "_known_epoch", "_name", "_revision", "_told_since",
        "_waiter",
    )  # fmt: skip

    def __init__(self, hub: Hub, name: str, known_epoch: int, revision: int) -> None:
        self._hub = hub
        self._name = name
        self._known_epoch = known_epoch
        self._revision = revision
        self._client: WatchedClient | None = None
        self._told_since = -1
        self._due = False
        self._ended: ServiceError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Raises Exhausted, NotFound (it has no home and, so far as the caller said, had
        none), HistoryGone, Unavailable."""
        self._client = client = self._hub.join(self, self._name)
        try:
            await self._hub.read(client, self._revision)
            standing = client.standing
            assert standing is not None, "a read that went well leaves a standing"
            if standing.homeless and not self._known_epoch:
                raise NotFound(
                    f"client {self._name.partition('/')[2]} has no assignment; provision it first"
                )
            if not is_news(standing, self._known_epoch, self._revision):
                self._told_since = standing.since
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

    async def next(self) -> Told:
        """What there is to tell, as soon as there is. Raises Unavailable when the server
        ends."""
        while True:
            if self._ended is not None:
                raise self._ended
            told = self._news()
            if told is not None:
                self._due = False
                self._hub.heard(self)
                return told
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

    def show_life(self) -> None:
        """It has been silent for long enough."""
        self._due = True
        self.wake()

    def end(self, error: ServiceError) -> None:
        """The next message is this error."""
        self._ended = error
        self.wake()

    def _news(self) -> Told | None:
        client = self._client
        assert client is not None, "next comes after enter"
        standing = client.standing
        assert standing is not None, "enter has read it"
        if standing.since != self._told_since:
            self._told_since = standing.since
            kind = Kind.RELEASED if standing.homeless else Kind.HOME
        elif self._due:
            kind = Kind.SIGN_OF_LIFE
        else:
            return None
        return Told(kind, standing, self._hub.revision_of(client))

    def _leave(self) -> None:
        if self._client is not None:
            self._hub.part(self, self._client)
            self._client = None
