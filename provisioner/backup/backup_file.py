"""BackupFile: what a store held at one revision, in one file of its own.

A SQLite file with a row for each key and one that says what it is: when and of which revision it
was taken, how many keys there are, and a digest over all of them, so that one that is cut short,
altered or of something else is found out before anything of it is used. For its owner alone: it
holds the ticket keys. Knows nothing of what the keys mean.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from control_plane.errors import FaultyFile, Refused
from control_plane.files import sync_folder
from control_plane.private_files import make_private

APPLICATION = 0x48506261  # PRAGMA application_id: "HPba"
LAYOUT = 1  # PRAGMA user_version
_SCHEMA = f"""
CREATE TABLE about (document TEXT NOT NULL);
CREATE TABLE pairs (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {LAYOUT};
"""

Pair: TypeAlias = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a backup is of. store: its kind; cluster: which etcd, by its own id, else empty;
    revision: of the store; taken_ms: Unix ms; pairs: keys in it; left_out: keys that ended with
    their holders and are not in it; digest: SHA-256 over all pairs, hex."""

    store: str
    revision: int
    taken_ms: int
    pairs: int
    left_out: int
    digest: str
    cluster: str = ""


class BackupWriter:
    """Writes beside `path`, where nothing is until `finish`. `discard` at the end in any case."""

    def __init__(self, path: Path) -> None:
        """Raises Refused where there is something; OSError."""
        if path.exists():
            raise Refused(f"{path} is there already; name a file that is not")
        self._path = path
        self._scratch = path.with_name(f".{path.name}.{os.getpid()}")
        self._scratch.unlink(missing_ok=True)
        make_private(self._scratch)
        self._db = sqlite3.connect(self._scratch, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")  # one that is cut short is thrown away
        self._db.execute("PRAGMA synchronous = OFF")  # `finish` syncs
        self._db.executescript(_SCHEMA)
        self._db.execute("BEGIN")
        self._digest = _Digest()

    def add(self, pairs: Iterable[Pair]) -> None:
        """In the order of their keys. Raises OSError where the disk is full."""
        kept = list(pairs)
        try:
            self._db.executemany("INSERT INTO pairs VALUES (?, ?)", kept)
        except sqlite3.OperationalError as error:
            raise OSError(f"{self._path} cannot be written: {error}") from error
        for pair in kept:
            self._digest.add(pair)

    def finish(
        self, *, store: str, cluster: str, revision: int, taken_ms: int, left_out: int
    ) -> About:
        """The file is there, and on disk. Raises Refused where somebody else has put one there
        meanwhile; OSError."""
        about = About(
            store=store,
            cluster=cluster,
            revision=revision,
            taken_ms=taken_ms,
            pairs=self._digest.pairs,
            left_out=left_out,
            digest=self._digest.hex(),
        )
        try:
            self._db.execute("INSERT INTO about VALUES (?)", (msgspec.json.encode(about).decode(),))
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise OSError(f"{self._path} cannot be written: {error}") from error
        self._db.close()
        with self._scratch.open("rb") as file:
            os.fsync(file.fileno())
        try:
            os.link(self._scratch, self._path)
        except FileExistsError as error:
            raise Refused(f"{self._path} is there already; name a file that is not") from error
        sync_folder(self._path.parent)
        return about

    def discard(self) -> None:
        """What is not finished is gone. Idempotent."""
        self._db.close()
        self._scratch.unlink(missing_ok=True)


class BackupFile:
    """One that was taken before. A context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> BackupFile:
        """Raises FaultyFile where there is none, or it is not whole."""
        if not self._path.is_file():
            raise FaultyFile("file", f"there is no backup at {self._path}")
        where = f"{self._path.absolute().as_uri()}?mode=ro&immutable=1"
        self._db = sqlite3.connect(where, uri=True, isolation_level=None)
        try:
            self.about = self._check()
        except (sqlite3.Error, msgspec.MsgspecError, TypeError) as error:
            self._db.close()
            raise self._faulty(f"cannot be read as a backup: {error}") from error
        except BaseException:  # whatever it was, nobody else can close it
            self._db.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._db.close()

    def pairs(self) -> Iterator[Pair]:
        """All of them, in the order of their keys."""
        yield from self._db.execute("SELECT key, value FROM pairs ORDER BY key")

    def under(self, prefix: bytes) -> Iterator[Pair]:
        """Those whose keys begin so."""
        yield from self._db.execute(
            "SELECT key, value FROM pairs WHERE key >= ? AND substr(key, 1, ?) = ? ORDER BY key",
            (prefix, len(prefix), prefix),
        )

    def _check(self) -> About:
        made_by = self._db.execute("PRAGMA application_id").fetchone()[0]
        layout = self._db.execute("PRAGMA user_version").fetchone()[0]
        if made_by != APPLICATION:
            raise self._faulty("is no backup of a store; name what `homeport backup store` wrote")
        if layout != LAYOUT:
            raise self._faulty(f"is of layout {layout}, this version reads {LAYOUT}")
        rows = self._db.execute("SELECT document FROM about").fetchall()
        if len(rows) != 1:
            raise self._faulty("does not say what it is of; take another one")
        about = msgspec.json.decode(rows[0][0], type=About)
        digest = _Digest()
        for pair in self.pairs():
            digest.add(pair)
        if (digest.pairs, digest.hex()) != (about.pairs, about.digest):
            raise self._faulty("is damaged: its content is not what was written; take another one")
        return about

    def _faulty(self, why: str) -> FaultyFile:
        return FaultyFile("file", f"{self._path} {why}")


class _Digest:
    """SHA-256 over pairs, each part behind its length in 8 bytes, so that nothing can move from
    one to the next."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.pairs = 0

    def add(self, pair: Pair) -> None:
        self.pairs += 1
        for part in pair:
            self._hash.update(len(part).to_bytes(8, "big"))
            self._hash.update(part)

    def hex(self) -> str:
        return self._hash.hexdigest()
