"""OutboxWriter: writes to the outbox that must happen, however long the disk fails."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from typing import TypeAlias

from control_plane.errors import Unavailable
from data_sharing.database import Database
from data_sharing.delivery.retry_policy import backoff_ms

log = logging.getLogger(__name__)

Schedule: TypeAlias = Callable[[int, Callable[[], None]], None]
"""(after so many ms, what)."""
DISK_RETRIES = 3  # the back-off of a disk that fails is that of the third retry


class OutboxWriter:
    """jitter: 0 to 1, new at each call."""

    def __init__(
        self, database: Database, schedule: Schedule, *, jitter: Callable[[], float]
    ) -> None:
        self._database = database
        self._schedule = schedule
        self._jitter = jitter

    def write(self, work: Callable[[sqlite3.Connection], None], *, of: str = "") -> None:
        """Tries until it is on disk. It must do no harm when it is done twice. of: the tenant,
        whose turn it is then."""

        def done(future: asyncio.Future[None]) -> None:
            if future.cancelled():
                return
            failure = future.exception()
            if isinstance(failure, Unavailable):
                log.error("the outbox waits for the disk: %s", failure)
                self.retry_later(lambda: self.write(work, of=of))
            elif failure is not None:
                log.error("the outbox cannot be written", exc_info=failure)

        self._database.submit(work, of=of).add_done_callback(done)

    def retry_later(self, action: Callable[[], None]) -> None:
        """After the back-off of a disk that fails."""
        self._schedule(backoff_ms(DISK_RETRIES, self._jitter()), action)
