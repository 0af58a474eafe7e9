"""The embedded store's file without the store: read while a server has it, or made anew.

SQLite lets any number of processes read beside the one that writes, each as of one commit
(https://sqlite.org/wal.html). Nothing here writes to a file that a server may have.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

from control_plane.errors import Refused
from control_plane.private_files import make_private
from control_plane.store.embedded.tables import LAYOUT, StoreReader, prepare
from control_plane.store.port import Page

WAIT_S = 10.0  # for whoever is checkpointing the file


class StoreFile:
    """A context manager: inside it, a store's file as of the commit that was the last when it was
    entered, whatever is written meanwhile."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        """Raises Refused where there is no such file, or it is no store."""
        if not self._path.is_file():
            raise Refused(f"there is no store at {self._path}; name the one of the servers")
        where = f"{self._path.absolute().as_uri()}?mode=ro"
        self._db = sqlite3.connect(where, uri=True, isolation_level=None, timeout=WAIT_S)
        try:
            self._db.execute("BEGIN")
            if self._db.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
                raise Refused(f"{self._path} is not a Homeport store of this version")
            self._reader = StoreReader(self._db)
            self.revision = self._reader.number("revision")
        except sqlite3.Error as error:
            self._db.close()
            raise Refused(f"{self._path} cannot be read as a Homeport store: {error}") from error
        except BaseException:  # whatever it was, nobody else can close it
            self._db.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._db.close()

    async def range(
        self,
        prefix: bytes,
        *,
        start_after: bytes | None = None,
        limit: int = 0,
        at_revision: int = 0,
    ) -> Page:
        """As of a store, always at `revision`."""
        wanted = limit + 1 if limit else 0
        found = self._reader.page(prefix, start_after, wanted, self.revision, False)
        more = bool(limit) and len(found) > limit
        return Page(items=found[:limit] if limit else found, revision=self.revision, more=more)


def make_store_file(path: Path, *, revision: int) -> None:
    """A new store, in which nothing is yet and whose first write has the revision after this one.
    Every revision up to it counts as compacted, so that whoever watched another store lists again.
    Raises OSError, sqlite3.Error."""
    make_private(path)
    db = sqlite3.connect(path, isolation_level=None)
    try:
        prepare(db)
        db.execute(
            "UPDATE numbers SET value = ? WHERE name IN ('revision', 'compacted')", (revision,)
        )
    finally:
        db.close()
