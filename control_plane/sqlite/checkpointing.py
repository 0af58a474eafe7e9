"""Checkpointing: brings what is in the write-ahead log of a file into the file, beside the
transactions and not within one.

SQLite does it at the end of a transaction where nobody else has: at 32 MiB of log that takes some
hundred milliseconds, for which all that comes next waits. Here a connection and a thread of its own
do most of it, while others commit: passive checkpoints wait for nobody and nobody waits for them.
The log begins anew where a transaction finds all of it in the file, so once it is long the last few
transactions are still brought in by one of them.
"""

from __future__ import annotations

import logging
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from control_plane.sqlite.connection import connect

log = logging.getLogger(__name__)

COMMITS = 32  # between two checkpoints


class Checkpointing:
    """Of one file, which is there. page_bytes: of its connections; commits: as COMMITS; called:
    what names of threads call the file."""

    def __init__(
        self, path: Path, *, page_bytes: int, called: str = "database", commits: int = COMMITS
    ) -> None:
        self._path, self._page_bytes, self._commits = path, page_bytes, commits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{called} checkpoints")
        self._db: sqlite3.Connection | None = None
        self._since = 0  # commits
        self._under_way: Future[None] | None = None
        self.done = 0  # checkpoints

    def committed(self) -> None:
        """A transaction is on disk. Begins a checkpoint where it is time for one."""
        self._since += 1
        if self._since < self._commits:
            return
        if self._under_way is None or self._under_way.done():
            self._since = 0
            self._under_way = self._thread.submit(self._checkpoint)

    def close(self) -> None:
        """Waits for the one that is under way."""
        self._thread.shutdown()
        if self._db is not None:
            self._db.close()

    def _checkpoint(self) -> None:
        try:
            if self._db is None:
                self._db = connect(self._path, page_bytes=self._page_bytes)
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self.done += 1
        except Exception as error:  # noqa: BLE001  # a transaction does it, sooner or later
            log.warning("%s: its log is not brought into the file now: %s", self._path, error)
