"""GeoReloader: a new geo file counts while calls go on; a broken one is refused and the old
one keeps serving.

Polls the file's identity every few seconds; when it changed, reads and verifies the new
content in a thread and then swaps one attribute. Readers hold the database they began with.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TypeAlias

from provisioner.geo.database import GeoDatabase, GeoDatabaseError, sidecar_of

log = logging.getLogger(__name__)

INTERVAL_S = 2.0
_Stamp: TypeAlias = tuple[int, int, int]  # inode, time of the last write, size


class GeoReloader:
    """Call it for the database to use now."""

    def __init__(
        self, path: Path | None, database: GeoDatabase, *, interval_s: float = INTERVAL_S
    ) -> None:
        self._path = path
        self._database = database
        self._interval_s = interval_s
        self._seen = _identity(path)
        self.swaps = 0
        self.refusals = 0
        self.last_refusal = ""

    @classmethod
    def open(cls, path: Path | None, *, interval_s: float = INTERVAL_S) -> GeoReloader:
        """With the file as it is now; None: the bundled one, which never changes. Raises
        GeoDatabaseError."""
        before = _identity(path)
        reloader = cls(path, GeoDatabase.open(path), interval_s=interval_s)
        reloader._seen = before  # a file that came while this one was read is seen as new
        return reloader

    def __call__(self) -> GeoDatabase:
        return self._database

    async def poll(self) -> bool:
        """Checks the file once; True when a new one is in use."""
        identity = _identity(self._path)
        if identity == self._seen or identity is None:
            return False
        self._seen = identity
        try:
            fresh = await asyncio.to_thread(GeoDatabase.open, self._path)
        except GeoDatabaseError as error:
            self.refusals += 1
            self.last_refusal = str(error)
            log.error("keeping the old geo database: %s", error)
            return False
        if _identity(self._path) != identity:
            self._seen = None  # written while it was read: read it again
        self._database = fresh
        self.swaps += 1
        log.info("geo database of %d serves now", fresh.build_epoch)
        return True

    async def run(self) -> None:
        """Polls for ever."""
        while True:
            await asyncio.sleep(self._interval_s)
            if self._path is not None:
                await self.poll()


def _identity(path: Path | None) -> tuple[_Stamp, _Stamp | None] | None:
    """What changes when a file or its checksum is replaced or written; None when it is not
    there. The checksum counts too: whoever writes it second had the file refused before."""
    if path is None:
        return None
    stamp = _stamp(path)
    return None if stamp is None else (stamp, _stamp(sidecar_of(path)))


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
