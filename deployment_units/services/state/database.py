"""UnitDatabase: the one SQLite file of a unit, `unit.db`, with the tables of all its services.

Written by group commit (see control_plane.sqlite.engine). What is long, such as an import or the
deletion of an account, is done in slices that end by the clock, so that others are served between.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from control_plane.data_folder import SQLITE, DataFolder
from control_plane.errors import Refused, Unavailable
from control_plane.sqlite.engine import Engine
from deployment_units.services.state import owners
from deployment_units.services.state.parts import Part, Row, Table, prepare

FILE = "unit.db"
FILES = ".incoming"  # what FolderState has in its folder
DATA_FOLDER = DataFolder(flag="--state-dir", parts=(f"{FILE}*",), earlier={FILE: SQLITE})
PAGE_BYTES = 4096
GROUP_S = 0.02  # after so long no work is added to a transaction
SLICE_S = 0.01  # of work that is long
READ_S = 0.002  # of reading: whoever reads does something with the rows
_AT_ONCE = 32  # rows between two looks at the clock


class UnitDatabase(Engine):
    """See the module. Within a running event loop."""

    def __init__(
        self, folder: Path, parts: Sequence[Part], *, monotonic: Callable[[], float]
    ) -> None:
        """Opens or creates the file in the folder. monotonic: seconds, by which slices end. Raises
        Refused where it is in use, a newer Homeport's or somebody else's; Unavailable when the
        folder cannot be used."""
        self.parts = {part.name: part for part in sorted(parts, key=lambda part: part.name)}
        self._monotonic = monotonic
        try:
            DATA_FOLDER.take(folder)
        except OSError as error:
            raise Unavailable(
                f"cannot keep accounts in {folder}: {error.strerror or error}"
            ) from error
        if (folder / FILES).exists():
            raise Refused(
                f"{folder} keeps client state in files, without accounts; leave out --accounts, or "
                "name another --state-dir"
            )
        super().__init__(
            folder / FILE,
            prepare=lambda db: self._prepare(db),
            page_bytes=PAGE_BYTES,
            called="unit database",
            group_s=GROUP_S,
        )

    def _prepare(self, db: sqlite3.Connection) -> None:
        prepare(db, [owners.SCHEMA], list(self.parts.values()))
        # Imports that the last process did not come to the end of.
        db.execute("UPDATE owners SET state = 'gone' WHERE state = 'arriving'")

    def rows(self, table: Table, number: int, after: Row) -> tuple[list[Row], bool]:
        """An owner's rows behind the key `after`, empty: from the first on, as many as can be read
        within READ_S; and whether there may be more. Blocks."""
        end = self._monotonic() + READ_S
        found: list[Row] = []
        with self.snapshot():
            for row in self.reader.execute(*_from(table, number, after)):
                found.append(row)
                if len(found) % _AT_ONCE == 0 and self._monotonic() >= end:
                    return found, True
        return found, False

    def in_slice(self, one_after_another: Iterator[object]) -> bool:
        """Takes the steps of some work until its slice is over; whether it came to its end. Inside
        a work of the engine."""
        end = self._monotonic() + SLICE_S
        return all(self._monotonic() < end for _ in one_after_another)

    async def delete(self, number: int) -> None:
        """Removes an owner that is gone, with all its rows. Raises StoreUnavailable."""

        def batches(db: sqlite3.Connection) -> Iterator[None]:
            for part in self.parts.values():
                for table in part.tables:
                    while db.execute(_some_of(table), (number, number, _AT_ONCE)).rowcount:
                        yield
            owners.remove(db, number)

        while not await self.transact(lambda db: self.in_slice(batches(db))):
            pass


def _from(table: Table, number: int, after: Row) -> tuple[str, tuple[object, ...]]:
    behind = f" AND ({table.key_names}) > ({', '.join('?' * table.key)})" if after else ""
    some = f"SELECT {table.names} FROM {table.name} WHERE owner = ?{behind}"
    return f"{some} ORDER BY {table.key_names}", (number, *after[: table.key])


def _some_of(table: Table) -> str:
    return (
        f"DELETE FROM {table.name} WHERE owner = ? AND ({table.key_names}) IN"
        f" (SELECT {table.key_names} FROM {table.name} WHERE owner = ? LIMIT ?)"
    )
