"""Retainer: deletes events past their retention, a little at a time, while the server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from control_plane.errors import ServiceError
from data_sharing.feeds.port import FeedLog, Retention

log = logging.getLogger(__name__)

EVERY_S = 10.0
PAUSE_S = 0.05  # between two rounds while there is more to let go


class Retainer:
    """wall_ms: Unix ms. every_s: between two rounds once nothing is left to delete; pause_s:
    while there is."""

    def __init__(
        self,
        feed_log: FeedLog,
        retention: Retention,
        *,
        wall_ms: Callable[[], int],
        every_s: float = EVERY_S,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._log = feed_log
        self._retention = retention
        self._wall_ms = wall_ms
        self._every_s = every_s
        self._pause_s = pause_s
        self.gone = 0  # events

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                gone = await self._log.trim(self._retention, self._wall_ms())
            except ServiceError as error:
                log.warning("old events stay for now: %s", error)
                gone = 0
            self.gone += gone
            await asyncio.sleep(self._pause_s if gone else self._every_s)
