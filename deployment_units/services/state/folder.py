"""FolderState: client state in files, one for each client, whole or not at all.

    DIR/<tenant>/<client id in base32>     the epoch in 8 bytes, then the service's bytes
    DIR/.incoming/                         imports under way; emptied at start

An import is written to a scratch file, synced, renamed over the old one, and the folder
synced: after a crash either the old state stands or the new one. One process per folder.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import Lock
from typing import BinaryIO, TypeVar

from control_plane.data_folder import DataFolder
from control_plane.errors import Unavailable
from control_plane.files import sync_folder
from control_plane.private_files import open_private, private_folder
from deployment_units.services.state.port import Import, NewerStateKept

PART_BYTES = 256 * 1024
_EPOCH = struct.Struct(">Q")
_T = TypeVar("_T")
DATA_FOLDER = DataFolder(flag="--state-dir", parts=("*/",), earlier={".incoming": None})


class FolderState:
    """A ClientState. Raises Unavailable when the folder cannot be used, Refused where it is
    somebody else's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / ".incoming"
        self._numbers = itertools.count()
        self._replacing = Lock()  # looking at the epoch and replacing the file are one step
        try:
            DATA_FOLDER.take(folder)
            private_folder(self._incoming)
            for left_over in self._incoming.iterdir():
                left_over.unlink()
        except OSError as error:
            raise _out_of_order("use", folder, error) from error

    async def export(self, tenant: str, client_id: str) -> AsyncIterator[bytes]:
        # An open file goes on showing what it showed, whatever is renamed over its name.
        source = await self.work("read", lambda: _opened(self._file(tenant, client_id)))
        if source is None:
            return
        try:
            while part := await self.work("read", lambda: source.read(PART_BYTES)):
                yield part
        finally:
            source.close()

    async def begin(self, tenant: str, client_id: str, epoch: int) -> Import:
        path = self._file(tenant, client_id)
        scratch = self._incoming / str(next(self._numbers))

        def create() -> BinaryIO:
            _check(path, epoch)
            sink = os.fdopen(open_private(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb")
            sink.write(_EPOCH.pack(epoch))
            return sink

        sink = await self.work("write", create)
        return _FolderImport(self, path, scratch, sink, epoch)

    async def forget(self, tenant: str, client_id: str, epoch: int) -> None:
        path = self._file(tenant, client_id)

        def remove() -> None:
            with self._replacing:
                kept = _epoch_of(path)
                if kept is not None and kept <= epoch:
                    path.unlink()
                    sync_folder(path.parent)

        await self.work("write", remove)

    def replace(self, path: Path, scratch: Path, sink: BinaryIO, epoch: int) -> None:
        """The scratch file becomes the client's. Raises NewerStateKept, OSError."""
        sink.flush()
        os.fsync(sink.fileno())
        with self._replacing:
            _check(path, epoch)
            if not path.parent.exists():
                private_folder(path.parent)
                sync_folder(path.parent.parent)
            scratch.replace(path)
            sync_folder(path.parent)

    async def work(self, what: str, do: Callable[[], _T]) -> _T:
        """Runs `do` in a thread. Raises Unavailable for what the disk says."""
        try:
            return await asyncio.to_thread(do)
        except OSError as error:
            raise _out_of_order(what, self._folder, error) from error

    def _file(self, tenant: str, client_id: str) -> Path:
        name = base64.b32hexencode(client_id.encode()).decode().rstrip("=").lower()
        return self._folder / tenant / name


class _FolderImport:
    def __init__(
        self, state: FolderState, path: Path, scratch: Path, sink: BinaryIO, epoch: int
    ) -> None:
        self._state = state
        self._path = path
        self._scratch = scratch
        self._sink = sink
        self._epoch = epoch

    async def append(self, data: bytes) -> None:
        await self._state.work("write", lambda: self._sink.write(data))

    async def commit(self) -> None:
        await self._state.work(
            "write",
            lambda: self._state.replace(self._path, self._scratch, self._sink, self._epoch),
        )

    def abort(self) -> None:
        # Of a commit that a thread is still at, this makes one that has happened or one that
        # fails: both are whole.
        self._scratch.unlink(missing_ok=True)
        try:
            self._sink.close()
        except (OSError, ValueError):  # what could not be written out is dropped anyway
            return


def _opened(path: Path) -> BinaryIO | None:
    """The file behind its epoch; None where there is none."""
    try:
        source = path.open("rb")
    except FileNotFoundError:
        return None
    source.seek(_EPOCH.size)
    return source


def _epoch_of(path: Path) -> int | None:
    try:
        with path.open("rb") as source:
            epoch: int = _EPOCH.unpack(source.read(_EPOCH.size))[0]
            return epoch
    except FileNotFoundError:
        return None
    except struct.error as error:
        raise OSError(f"{path} is not a client's state") from error


def _check(path: Path, epoch: int) -> None:
    """Raises NewerStateKept."""
    kept = _epoch_of(path)
    if kept is not None and kept > epoch:
        raise NewerStateKept(epoch, kept)


def _out_of_order(what: str, folder: Path, error: OSError) -> Unavailable:
    return Unavailable(f"cannot {what} client state in {folder}: {error.strerror or error}")
