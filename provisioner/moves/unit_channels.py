"""UnitChannels: connections to units, one per endpoint, a bounded number of idle ones kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from grpc import aio

from control_plane.serving.channel_pool import MAX_CHANNELS, ChannelPool
from homeport.api.unit.v1 import unit_pb2_grpc as pb_grpc


class UnitChannels:
    """Use from one event loop; see ChannelPool. connect: opens a channel to host:port."""

    def __init__(
        self, connect: Callable[[str], aio.Channel], *, max_channels: int = MAX_CHANNELS
    ) -> None:
        self._pool = ChannelPool(connect, max_channels=max_channels)

    @asynccontextmanager
    async def stub(self, endpoint: str) -> AsyncIterator[pb_grpc.UnitServiceStub]:
        """A stub for the unit at host:port; its channel stays open while it is used."""
        async with self._pool.channel(endpoint) as channel:
            yield pb_grpc.UnitServiceStub(channel)

    async def close(self) -> None:
        """Ends all connections."""
        await self._pool.close()
