"""OutboxReader: reads instructions without outcome from the outbox, in the order in which they
were decided, each once."""

from __future__ import annotations

import sqlite3

from data_sharing.database import Database
from data_sharing.decisions import outbox
from data_sharing.decisions.outbox import InstructionState, StoredInstruction

PAGE = 256


class OutboxReader:
    """A place in the outbox: rows up to it have been read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._row = 0

    def read(self) -> list[StoredInstruction] | None:
        """The next that may be sent; None: there is nothing further so far. Those that await
        approval are left out: whoever approves them hands them over."""

        def page(db: sqlite3.Connection) -> tuple[list[StoredInstruction], int]:
            return outbox.open_after(db, self._row, PAGE)

        found, last = self._database.read(page)
        if not last:
            return None
        self._row = last
        return [one for one in found if one.state is not InstructionState.AWAITING_APPROVAL]
