"""DecisionRetention: deletes decisions, ended instructions and dead letters past their retention.

What belongs to an event goes with the event; the rest after a time of its own. A little in each
transaction, so that events that come in meanwhile do not wait.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from control_plane.errors import Unavailable
from data_sharing.database import Database
from data_sharing.decisions import (
    ancestry_tables,
    approval_tables,
    dead_letters,
    history,
    outbox,
    pause_tables,
    sharing_tables,
)
from data_sharing.decisions.worker import DecisionWorker

log = logging.getLogger(__name__)

EVERY_S = 30.0
ROWS_AT_ONCE = 2_000
DAY_MS = 86_400_000
READS_DAYS = 400  # for which it is kept who was shown what


class DecisionRetention:
    """keep_s: how long decisions and ended instructions are kept; wall_ms: Unix ms."""

    def __init__(
        self,
        database: Database,
        worker: DecisionWorker,
        *,
        keep_s: float,
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._worker = worker
        self._keep_ms = int(keep_s * 1000)
        self._wall_ms = wall_ms

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.trim()
            except Unavailable as error:
                log.error("what is too old is kept until the database can write: %s", error)

    async def trim(self) -> None:
        """Deletes all that is too old now. Raises Unavailable."""
        await self._worker.expire_state()
        while await self._database.transact(self._trim_some) >= ROWS_AT_ONCE:
            continue

    def _trim_some(self, db: sqlite3.Connection) -> int:
        """In a transaction; how many rows are gone."""
        before_ms = self._wall_ms() - self._keep_ms
        gone = history.trim(db, before_ms, ROWS_AT_ONCE)
        gone += outbox.trim(db, before_ms, ROWS_AT_ONCE)
        gone += approval_tables.trim(db, ROWS_AT_ONCE)
        gone += dead_letters.trim_instructions(db, before_ms, ROWS_AT_ONCE)
        first_day = self._wall_ms() // DAY_MS - READS_DAYS
        gone += sharing_tables.trim_reads(db, first_day, ROWS_AT_ONCE)
        for tenant, trimmed in db.execute("SELECT tenant, trimmed FROM feed_logs").fetchall():
            gone += history.trim_events(db, tenant, trimmed, ROWS_AT_ONCE)
            gone += ancestry_tables.trim(db, tenant, trimmed, ROWS_AT_ONCE)
            gone += dead_letters.trim_events(db, tenant, trimmed, ROWS_AT_ONCE)
            gone += pause_tables.trim_events(db, tenant, trimmed, ROWS_AT_ONCE)
        return gone
