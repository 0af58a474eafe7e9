"""MemoryCounting: counts what rules and forecasts remember in a file that is older than its counts,
once, a few cells in each transaction; and reads what tenants keep, for metrics.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from control_plane.errors import Unavailable
from data_sharing.database import Database
from data_sharing.decisions import memory_tables
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.decisions.worker_state import MOST_TENANTS_TOLD
from data_sharing.rules.memory_uses import MemoryUse

log = logging.getLogger(__name__)

CELLS_AT_ONCE = 1_000
RETRY_S = 1.0
EVERY_S = 10.0


class MemoryCounting:
    """Of one worker. cells_at_once: of a step."""

    def __init__(
        self, database: Database, worker: DecisionWorker, *, cells_at_once: int = CELLS_AT_ONCE
    ) -> None:
        self._database, self._worker = database, worker
        self._cells_at_once = cells_at_once

    async def run(self) -> None:
        """Until cancelled. Raises Conflict where another worker has taken over."""
        while True:
            try:
                is_over = await self.step()
                self._worker.state.remembered = self._database.read(_of_tenants)
                await asyncio.sleep(EVERY_S if is_over else 0)
            except Unavailable as error:
                log.error("what rules remember is counted when it can be written: %s", error)
                await asyncio.sleep(RETRY_S)

    async def step(self) -> bool:
        """Some of it; whether that was the last."""
        if self._database.read(memory_tables.counted_to) is None:
            return True
        return await self._database.transact(self._some)

    def _some(self, db: sqlite3.Connection) -> bool:
        self._worker.join_transaction(db)
        is_over = memory_tables.count_some(db, self._cells_at_once)
        self._worker.state.uses.forget()
        return is_over


def _of_tenants(db: sqlite3.Connection) -> list[tuple[str, MemoryUse]]:
    return memory_tables.tenants(db, MOST_TENANTS_TOLD)
