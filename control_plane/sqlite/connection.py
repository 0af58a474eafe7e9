"""Connections to a SQLite file that this process owns: how they are set up, and the lock."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from control_plane.errors import Refused
from control_plane.private_files import make_private, mend_file, open_private, private_folder

CHECKPOINT_BYTES = 32 << 20  # of the write-ahead log, about; then its pages go into the file


def connect(path: Path, *, page_bytes: int, read_only: bool = False) -> sqlite3.Connection:
    """In autocommit mode: transactions are begun and ended by hand. What is committed is on disk.
    page_bytes: of a file that is new; an old one keeps its own. May be used by one thread at a
    time, whichever. The file and those beside it are for this user alone. Raises sqlite3.Error,
    OSError; Refused where the file is somebody else's."""
    make_private(path)  # SQLite makes what it keeps beside it with the mode of the file
    for beside in ("-wal", "-shm"):
        mend_file(path.with_name(path.name + beside))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA page_size = {page_bytes}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")  # where savepoints keep pages
    connection.execute("PRAGMA cache_size = -65536")  # 64 MiB
    connection.execute("PRAGMA mmap_size = 268435456")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_BYTES // page_bytes}")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


class FileLock:
    """The lock beside a file, `<name>.lock`: held by the one process that owns the file."""

    def __init__(self, path: Path, called: str) -> None:
        """Takes the lock; makes the folder where there is none. Raises Refused, which calls the
        file `called`, when another process has it."""
        private_folder(path.parent)
        lock = path.with_name(path.name + ".lock")
        self._descriptor = open_private(lock, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise Refused(
                f"the {called} {path} is in use by another process; stop that one, "
                "or use another --data-dir"
            ) from error

    def release(self) -> None:
        """Once."""
        os.close(self._descriptor)
