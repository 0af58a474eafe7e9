"""ChannelPool: connections to servers, one per endpoint, a bounded number of idle ones kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from grpc import aio

MAX_CHANNELS = 64  # connections kept


class ChannelPool:
    """Use from one event loop; the channels used longest ago are closed when there are more
    than `max_channels`. connect: opens a channel to host:port."""

    def __init__(
        self, connect: Callable[[str], aio.Channel], *, max_channels: int = MAX_CHANNELS
    ) -> None:
        self._connect = connect
        self._max_channels = max_channels
        self._open: OrderedDict[str, aio.Channel] = OrderedDict()
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def channel(self, endpoint: str) -> AsyncIterator[aio.Channel]:
        """To the server at host:port; it stays open while it is used."""
        channel = self._open.get(endpoint)
        if channel is None:
            channel = self._open[endpoint] = self._connect(endpoint)
        self._open.move_to_end(endpoint)
        self._users[endpoint] = self._users.get(endpoint, 0) + 1
        try:
            yield channel
        finally:
            self._users[endpoint] -= 1
            if not self._users[endpoint]:
                del self._users[endpoint]
            await self._close_idle()

    async def _close_idle(self) -> None:
        idle = [endpoint for endpoint in self._open if endpoint not in self._users]
        for endpoint in idle[: max(0, len(self._open) - self._max_channels)]:
            await self._open.pop(endpoint).close()

    async def close(self) -> None:
        """Ends all connections."""
        channels = list(self._open.values())
        self._open.clear()
        for channel in channels:
            await channel.close()
