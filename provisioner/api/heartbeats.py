"""Beats: what comes from one agent's stream, beat by beat, and the news that comes between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import Enum

from homeport.api.fleet.v1 import fleet_pb2 as pb


class HeartbeatEvent(Enum):
    """What may come instead of a beat."""

    NEWS = "there is something to tell"
    END = "the agent says goodbye"
    SILENCE = "no beat came in time"


class Heartbeats:
    """Use from one task; `close` it. A beat that is being waited for is not lost when news
    comes first."""

    def __init__(self, requests: AsyncIterator[pb.HeartbeatRequest]) -> None:
        self._requests = aiter(requests)
        self._reading: asyncio.Task[pb.HeartbeatRequest | None] | None = None
        self._heard_at = asyncio.get_running_loop().time()

    async def next(
        self, ttl_s: float, news: asyncio.Event | None
    ) -> pb.HeartbeatRequest | HeartbeatEvent:
        """The next beat, or news; SILENCE when there was no beat for `ttl_s`. Raises what the
        stream raises."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="beat")
        telling = asyncio.create_task(news.wait(), name="news") if news is not None else None
        left_s = self._heard_at + ttl_s - asyncio.get_running_loop().time()
        try:
            await asyncio.wait(
                [self._reading, telling] if telling else [self._reading],
                timeout=max(0.0, left_s),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            if telling is not None:
                telling.cancel()
        if self._reading.done():
            beat = self._reading.result()
            self._reading = None
            self._heard_at = asyncio.get_running_loop().time()
            return HeartbeatEvent.END if beat is None else beat
        return HeartbeatEvent.NEWS if news is not None and news.is_set() else HeartbeatEvent.SILENCE

    async def _read(self) -> pb.HeartbeatRequest | None:
        return await anext(self._requests, None)

    def close(self) -> None:
        """Reads no more."""
        if self._reading is not None:
            self._reading.cancel()
