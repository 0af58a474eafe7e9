"""AccountImport: an account on its way into a unit.

Its rows go to an owner of their own, in small transactions, while what the unit kept before
stands; the commit changes whose rows count, in one. What is dropped or cut short is deleted in the
background. Nothing is seen of it before.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator

from control_plane import faultpoints
from control_plane.errors import DataLoss
from control_plane.handoff.chunks import StateTooLarge
from control_plane.sqlite.rows import insert
from deployment_units.services.state import owners
from deployment_units.services.state.database import UnitDatabase
from deployment_units.services.state.owners import OwnerState
from deployment_units.services.state.parts import Row, Table
from deployment_units.services.state.port import NewerStateKept
from deployment_units.services.state.stream import FRAME_BYTES, ArrivingRow, StreamReader

_AT_ONCE = 32  # rows in one statement; between two of them the clock is looked at


class AccountImport:
    """An Import. wall_ms: Unix ms; on_begin, on_end: hear of the owner that it fills, once each;
    on_end only where on_begin did."""

    def __init__(
        self,
        database: UnitDatabase,
        *,
        tenant: str,
        account: str,
        epoch: int,
        most_bytes: int,
        wall_ms: Callable[[], int],
        on_begin: Callable[[int], None],
        on_end: Callable[[int], None],
    ) -> None:
        self._database = database
        self._number = 0  # of its owner, once that is there
        self._tenant = tenant
        self._account = account
        self._epoch = epoch
        self._most_bytes = most_bytes
        self._wall_ms = wall_ms
        self._on_begin = on_begin
        self._on_end = on_end
        self._reader = StreamReader(database.parts)
        self._bytes = 0
        self._over = False

    async def begin(self) -> None:
        """Makes the owner. Raises NewerStateKept, StoreUnavailable."""
        await self._database.transact(self._add)

    async def append(self, data: bytes) -> None:
        """See the port; raises DataLoss and UnknownState as well, for what is no state that this
        unit can read, and StateTooLarge."""
        self._bytes += len(data)
        if self._bytes > self._most_bytes + FRAME_BYTES:
            raise StateTooLarge(
                f"the account is larger than the {self._most_bytes} bytes that this unit keeps"
            )
        rows = deque(self._reader.feed(data))
        while rows:
            try:
                done = await self._database.transact(lambda db: self._slice(db, rows))
            except (sqlite3.IntegrityError, OverflowError) as error:
                raise DataLoss(f"the state contradicts itself: {error}") from error
            for _ in range(done):
                rows.popleft()

    async def commit(self) -> None:
        self._reader.finish()
        faultpoints.passing("import.flip.before")
        await self._database.transact(self._flip)
        faultpoints.passing("import.flip.after")
        self._end()

    def abort(self) -> None:
        self._end()

    def _add(self, db: sqlite3.Connection) -> None:
        kept = owners.find(db, self._tenant, self._account)
        if kept is not None and kept.epoch > self._epoch:
            raise NewerStateKept(self._epoch, kept.epoch)
        if self._over:  # whoever wanted it has gone
            return
        self._number = owners.add(
            db, self._tenant, self._account,
            epoch=self._epoch, state=OwnerState.ARRIVING, now_ms=self._wall_ms(),
        )  # fmt: skip
        # Before anybody sees the owner: what arrives and is nobody's is deleted.
        self._on_begin(self._number)

    def _slice(self, db: sqlite3.Connection, rows: deque[ArrivingRow]) -> int:
        """Writes rows from the first on, for as long as a slice lasts; how many."""
        done = 0

        def batches() -> Iterator[None]:
            nonlocal done
            for table, batch in _batches(rows):
                into = f"{table.name} (owner, {table.names})"
                insert(db, into, [(self._number, *row) for row in batch])
                done += len(batch)
                yield

        self._database.in_slice(batches())
        return done

    def _flip(self, db: sqlite3.Connection) -> None:
        """From now on the account's rows are those that arrived. Raises NewerStateKept."""
        now_ms = self._wall_ms()
        before = owners.find(db, self._tenant, self._account)
        if before is not None:
            if before.epoch > self._epoch:
                raise NewerStateKept(self._epoch, before.epoch)
            owners.become(db, before.number, OwnerState.GONE, now_ms=now_ms)
        owners.become(
            db, self._number, OwnerState.LIVE, now_ms=now_ms, first_ms=self._reader.first_ms
        )

    def _end(self) -> None:
        if not self._over:
            self._over = True
            if self._number:
                self._on_end(self._number)


def _batches(rows: deque[ArrivingRow]) -> Iterator[tuple[Table, list[Row]]]:
    """Rows of one table together, in their order."""
    batch: list[Row] = []
    table: Table | None = None
    for row in rows:
        if table is not None and (row.table is not table or len(batch) == _AT_ONCE):
            yield table, batch
            batch = []
        table = row.table
        batch.append(row.values)
    if table is not None:
        yield table, batch
