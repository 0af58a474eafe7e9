"""DirectoryConnection: a connection to the directory, at one of the servers that a unit was given.

It stands at the server that answered last. Another one is taken where that cannot be reached, or
where whoever uses it says so; what is under way over the one before comes to its end there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from grpc import aio

CONNECT_S: Final = 2.0  # to one server


class DirectoryConnection:
    """servers: host:port, one or more; connect: opens a channel to one."""

    def __init__(
        self,
        servers: Sequence[str],
        connect: Callable[[str], aio.Channel],
        *,
        connect_s: float = CONNECT_S,
    ) -> None:
        self._servers = list(servers)
        self._connect = connect
        self._connect_s = connect_s
        self._turn = 0
        self._channel: aio.Channel | None = None
        self._users: dict[aio.Channel, int] = {}

    @property
    def servers(self) -> int:
        """How many there are to try."""
        return len(self._servers)

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[aio.Channel | None]:
        """A channel that stands, open for as long as it is used; None: this server cannot be
        reached, and the next one is next."""
        if self._channel is None:
            self._channel = self._connect(self._servers[self._turn % len(self._servers)])
        channel = self._channel
        self._users[channel] = self._users.get(channel, 0) + 1
        try:
            try:
                async with asyncio.timeout(self._connect_s):
                    await channel.channel_ready()
            except TimeoutError:
                self.leave(channel)
                yield None
            else:
                yield channel
        finally:
            self._users[channel] -= 1
            if not self._users[channel]:
                del self._users[channel]
                if channel is not self._channel:
                    await channel.close()

    def leave(self, channel: aio.Channel) -> None:
        """Takes the next server from now on, unless somebody else did already."""
        if self._channel is channel:
            self._channel = None
            self._turn += 1

    async def close(self) -> None:
        """Ends it."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()
