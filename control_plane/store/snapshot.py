"""Snapshot: what a server last saw of its store, in a file it can start from.

One line of JSON (format, version, length and SHA-256 of what follows), then the records as
they are stored. Written whole or not at all: to a scratch file, synced, renamed. It may hold
the fleet's ticket keys, so nobody but its owner may read it, and one that others can read is
not believed either. A file that is cut, altered, of another format or of another store
raises UnusableSnapshot; nothing of it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from control_plane.errors import ServiceError
from control_plane.files import replace_file
from control_plane.private_files import private_folder
from control_plane.store.port import KeyValue

FORMAT = "homeport-snapshot"
VERSION = 1
MAX_BYTES = 256 << 20  # a fleet of 10,000 units takes 10 MB


class UnusableSnapshot(ServiceError):
    """The file is no snapshot that this server may start from."""

    reason = "UNUSABLE_SNAPSHOT"


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen, and of which store. `endpoints` tell stores apart while the store is
    away, `cluster` (Health.cluster) once it has answered."""

    cluster: str
    endpoints: tuple[str, ...]
    confirmed_at: float  # Unix time at which the store last confirmed all of it, s
    revision: int  # of the store, then
    pairs: tuple[KeyValue, ...]

    def under(self, prefix: bytes) -> list[KeyValue]:
        """The records of one kind."""
        return [pair for pair in self.pairs if pair.key.startswith(prefix)]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The file's content."""
    body = _encode(snapshot)
    head = {
        "format": FORMAT,
        "version": VERSION,
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return json.dumps(head).encode() + b"\n" + body


def decode_snapshot(content: bytes, source: str) -> Snapshot:
    """Raises UnusableSnapshot that names the source."""
    line, newline, body = content.partition(b"\n")
    try:
        head = json.loads(line) if newline else None
    except (ValueError, RecursionError):
        head = None
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise UnusableSnapshot(f"{source} is not a snapshot of Homeport")
    if head.get("version") != VERSION:
        raise UnusableSnapshot(
            f"{source} has version {head.get('version')}; this server reads version {VERSION}"
        )
    if head.get("bytes") != len(body):
        raise UnusableSnapshot(
            f"{source} is cut: {len(body):,} of {head.get('bytes')} bytes are there"
        )
    if head.get("sha256") != hashlib.sha256(body).hexdigest():
        raise UnusableSnapshot(f"{source} is altered: its checksum does not fit")
    try:
        return _decode(body)
    except msgspec.MsgspecError as error:
        raise UnusableSnapshot(f"{source} cannot be read: {error}") from error


def read_snapshot(path: Path, *, endpoints: Sequence[str]) -> Snapshot | None:
    """The snapshot of the store at `endpoints`; None where there is no file. Raises
    UnusableSnapshot."""
    try:
        with path.open("rb") as file:
            told = os.fstat(file.fileno())
            if not stat.S_ISREG(told.st_mode) or told.st_size > MAX_BYTES:
                raise UnusableSnapshot(f"{path} is not a snapshot of Homeport")
            if stat.S_IMODE(told.st_mode) & 0o077:
                raise UnusableSnapshot(
                    f"{path} is open to others (mode {stat.S_IMODE(told.st_mode):o}), who may "
                    f"have changed it; delete it, or run `chmod 600 {path}` if you trust it"
                )
            content = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnusableSnapshot(f"{path} cannot be read: {error.strerror}") from error
    snapshot = decode_snapshot(content, str(path))
    if not set(snapshot.endpoints) & set(endpoints):
        raise UnusableSnapshot(
            f"{path} is of another store ({', '.join(snapshot.endpoints)}), "
            f"not of {', '.join(endpoints)}"
        )
    return snapshot


def write_snapshot(path: Path, content: bytes) -> None:
    """Puts the content in place of what stood there, for its owner alone; after a crash
    either of the two is there, whole. Raises OSError."""
    private_folder(path.parent)
    replace_file(path, content, durable=True, mode=0o600)


def in_order(pairs: Iterable[KeyValue]) -> tuple[KeyValue, ...]:
    """By key, so that equal content makes an equal file."""
    return tuple(sorted(pairs))
