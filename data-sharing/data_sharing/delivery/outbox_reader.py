"""OutboxReader: reads instructions without outcome from the outbox, each once, those of a tenant in
the order in which they were decided.

Of no tenant more is read than it has room for. A tenant without room is left behind, and others'
instructions behind its own are read on; once it has room again, what was left is read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from data_sharing.database import Database
from data_sharing.decisions import outbox
from data_sharing.decisions.outbox import InstructionState, StoredInstruction

PAGE = 64  # of which the event loop reads one at a time: a millisecond or two


class OutboxReader:
    """A place in the outbox: rows up to it have been read, but for those of tenants that were left
    behind. room: for how many more instructions of a tenant there is, now."""

    def __init__(self, database: Database, room: Callable[[str], int]) -> None:
        self._database = database
        self._room = room
        self._row = 0
        self._behind: dict[str, int] = {}  # by tenant, up to which row it has been read

    @property
    def behind(self) -> int:
        """Tenants of whom something was left."""
        return len(self._behind)

    def read(self) -> list[StoredInstruction] | None:
        """The next that may be sent; None: there is nothing further so far that has room. Those
        that await approval are left out: whoever approves them hands them over."""
        found = self._database.read(self._page)
        if found is None:
            return None
        return [one for one in found if one.state is not InstructionState.AWAITING_APPROVAL]

    def _page(self, db: sqlite3.Connection) -> list[StoredInstruction] | None:
        for tenant, after in self._behind.items():
            room = self._room(tenant)
            if room > 0:
                return self._left_of(db, tenant, after, min(PAGE, room))
        rows = outbox.open_rows_after(db, self._row, PAGE)
        if not rows:
            return None
        taken, left = list[int](), dict[str, int]()
        for row, tenant in rows:
            if tenant in self._behind:
                continue
            if tenant not in left:
                left[tenant] = self._room(tenant)
            if left[tenant] > 0:
                left[tenant] -= 1
                taken.append(row)
            else:
                self._behind[tenant] = row - 1
        self._row = rows[-1][0]
        return outbox.open_at(db, taken)

    def _left_of(
        self, db: sqlite3.Connection, tenant: str, after: int, limit: int
    ) -> list[StoredInstruction]:
        """The next of what was left of a tenant, which then goes behind the others."""
        del self._behind[tenant]
        rows = outbox.open_of_tenant(db, tenant, after, self._row, limit)
        if len(rows) == limit:
            self._behind[tenant] = rows[-1]
        return outbox.open_at(db, rows)
