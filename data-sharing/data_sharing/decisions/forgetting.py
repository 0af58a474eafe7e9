"""Forgetting: deletes what rules and forecasts kept before their memory began anew, and what a rule
kept that does not decide any more, with its timers.

From the transaction of the reset on nobody reads it: its seal is another one. It is deleted in
steps, each a transaction of its own with so many cells and bytes at most, so that no event waits
for a memory of a million keys. How far it has come is part of the step; a server that is killed
goes on there.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3

import msgspec

from control_plane.errors import Unavailable
from data_sharing.database import Database
from data_sharing.decisions import memory_tables, sharing_tables, user_forgetting, worker_tables
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.rules.cell_cache import CellId, decoded
from data_sharing.sharing.policies import Memory

log = logging.getLogger(__name__)

EVERY_S = 1.0  # looks whether there is anything
RETRY_S = 1.0
CELLS_AT_ONCE = 500
BYTES_AT_ONCE = 1 << 20  # but for one cell


class Forgetting:
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
                if not await self.step():
                    await asyncio.sleep(EVERY_S)
            except Unavailable as error:
                log.error("what is forgotten stays on disk until it can be written: %s", error)
                await asyncio.sleep(RETRY_S)

    async def step(self) -> bool:
        """Some of it; whether there was anything."""
        if not self._database.read(_anything):
            return False
        await self._database.transact(self._some)
        return True

    def _some(self, db: sqlite3.Connection) -> None:
        """In a transaction."""
        self._worker.join_transaction(db)
        found = sharing_tables.first_to_sweep(db)
        if found is None:
            self._worker.drop_cells(self._worker.state.forgotten.sweep(db, self._cells_at_once))
            return
        memory, after = found
        alive = self._worker.rules.mark(memory)
        cells = sharing_tables.cells_behind(db, memory, after, self._cells_at_once)
        size, looked = 0, list[tuple[str, bytes]]()
        for key, content in cells:
            size += len(content)
            if looked and size > BYTES_AT_ONCE:
                break
            looked.append((key, content))
        dead = [
            CellId(*memory, key)
            for key, content in looked
            if alive is None or _mark(memory, content) != alive
        ]
        memory_tables.delete_cells(db, dead)
        self._worker.drop_cells(dead)
        is_over = len(looked) == len(cells) < self._cells_at_once
        if alive is None and memory.kind == "rule" and is_over:
            # Where it decides again, those of before mean nothing, but new ones may have come.
            gone = worker_tables.delete_timers(db, memory.tenant, memory.name, self._cells_at_once)
            is_over = gone < self._cells_at_once
        # The next step begins with a key that is behind all of these.
        behind = looked[-1][0] + "\0" if looked else after
        sharing_tables.set_swept(db, memory, None if is_over else behind)


def _anything(db: sqlite3.Connection) -> bool:
    return sharing_tables.first_to_sweep(db) is not None or user_forgetting.is_pending(db)


def _mark(memory: Memory, content: bytes) -> str | None:
    """What a cell was sealed with; None: it cannot be read, and never will be."""
    try:
        cell = decoded(memory.kind, content)
    except msgspec.DecodeError:
        cell = None
    if cell is None:
        return None
    found: str = cell.shape if memory.kind == "forecast" else cell.seal
    return found
