"""Heartbeats: reads one agent's stream, and wakes between its requests for departures to send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import Enum

from homeport.api.fleet.v1 import fleet_pb2 as pb


class HeartbeatEvent(Enum):
    """What may come instead of a request."""

    NEWS = "departures are ready to be sent"
    END = "the agent ended the stream"
    SILENCE = "no request came in time"


class Heartbeats:
    """Use from one task; `close` it. A request that is being awaited is not lost when news
    comes first."""

    def __init__(self, requests: AsyncIterator[pb.HeartbeatRequest]) -> None:
        self._requests = aiter(requests)
        self._reading: asyncio.Task[pb.HeartbeatRequest | None] | None = None
        self._received_at = asyncio.get_running_loop().time()

    async def next(
        self, ttl_s: float, news: asyncio.Event | None
    ) -> pb.HeartbeatRequest | HeartbeatEvent:
        """The next request, or news; SILENCE when there was none for `ttl_s`. Raises what the
        stream raises."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="heartbeat")
        waiting = asyncio.create_task(news.wait(), name="news") if news is not None else None
        left_s = self._received_at + ttl_s - asyncio.get_running_loop().time()
        try:
            await asyncio.wait(
                [self._reading, waiting] if waiting else [self._reading],
                timeout=max(0.0, left_s),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            if waiting is not None:
                waiting.cancel()
        if self._reading.done():
            request = self._reading.result()
            self._reading = None
            self._received_at = asyncio.get_running_loop().time()
            return HeartbeatEvent.END if request is None else request
        return HeartbeatEvent.NEWS if news is not None and news.is_set() else HeartbeatEvent.SILENCE

    async def _read(self) -> pb.HeartbeatRequest | None:
        return await anext(self._requests, None)

    def close(self) -> None:
        """Reads no more."""
        if self._reading is not None:
            self._reading.cancel()
