"""ArtifactCopies: artifacts in the database as well, where the database is what another server is
built of.

A folder is one machine's. So what is put there is also kept in rows, in pieces, and a server that
has the rows and not the files writes these before it serves.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from control_plane.sqlite.schema import Schema
from data_sharing.database import Database
from data_sharing.registry.artifacts import Artifacts

SCHEMA = Schema(
    part="artifact_copies",
    steps=(
        (
            """CREATE TABLE artifact_pieces (
                 sha256 TEXT NOT NULL, number INTEGER NOT NULL, content BLOB NOT NULL,
                 PRIMARY KEY (sha256, number)) WITHOUT ROWID""",
        ),
    ),
)
PIECE_BYTES = 256 << 10


class ArtifactCopies:
    """folder: that of `artifacts`."""

    def __init__(self, database: Database, artifacts: Artifacts, folder: Path) -> None:
        self._database = database
        self._artifacts = artifacts
        self._folder = folder

    async def keep(self, sha256: str, content: bytes) -> None:
        """One that was put. Raises Unavailable."""
        await self._database.transact(lambda db: _put(db, sha256, content))

    async def restore(self) -> None:
        """Files of all rows, and rows of all files. Raises Unavailable, OSError."""
        kept = set(self._database.read(_names))
        here = set(await asyncio.to_thread(_files, self._folder))
        for sha256 in sorted(kept - here):
            content = self._database.read(lambda db, of=sha256: _get(db, of))  # type: ignore[misc]
            await asyncio.to_thread(self._artifacts.put, content)
        for sha256 in sorted(here - kept):
            await self.keep(sha256, await asyncio.to_thread(self._artifacts.get, sha256))


def _files(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir() if len(one.name) == 64]


def _names(db: sqlite3.Connection) -> Iterator[str]:
    rows = db.execute("SELECT sha256 FROM artifact_pieces WHERE number = 0").fetchall()
    return (sha256 for (sha256,) in rows)


def _put(db: sqlite3.Connection, sha256: str, content: bytes) -> None:
    db.executemany(
        "INSERT OR IGNORE INTO artifact_pieces VALUES (?, ?, ?)",
        [
            (sha256, number, content[start : start + PIECE_BYTES])
            for number, start in enumerate(range(0, max(1, len(content)), PIECE_BYTES))
        ],
    )


def _get(db: sqlite3.Connection, sha256: str) -> bytes:
    rows = db.execute(
        "SELECT content FROM artifact_pieces WHERE sha256 = ? ORDER BY number", (sha256,)
    )
    return b"".join(content for (content,) in rows)
