"""Compiled code on disk: made once when an application is installed, trusted only whole.

An entry is named by everything that goes into it: the artifact's SHA-256, wasmtime's version,
the engine's settings and the machine's architecture. Running native code that somebody changed
would be running anything, so the entry's own digest is checked before wasmtime sees it, and the
folder is private to its user; an entry that fails is compiled again. Whoever can write there as
this user could run code anyway.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import platform
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

MAGIC = b"homeport-compiled-1\n"


class CompiledCache:
    """A folder of compiled artifacts, shared by processes of one user."""

    def __init__(self, folder: Path, settings: str) -> None:
        """`settings` names the engine's configuration; raises OSError where the folder
        cannot be made."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._made_by = f"{version('wasmtime')} {platform.machine()} {settings}".encode()

    def path(self, kind: str, sha256: str) -> Path:
        """Where an artifact's code is kept."""
        name = hashlib.sha256(b"\0".join((kind.encode(), sha256.encode(), self._made_by)))
        return self._folder / f"{name.hexdigest()}.compiled"

    def get(self, kind: str, sha256: str, compile_it: Callable[[], bytes]) -> bytes:
        """The compiled code; compiles and keeps it where there is none, or a damaged one."""
        path = self.path(kind, sha256)
        code = _read(path)
        if code is None:
            code = compile_it()
            self._write(path, code)
        return code

    def _write(self, path: Path, code: bytes) -> None:
        # Another process may write the same entry: each renames a file of its own.
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(MAGIC + hashlib.sha256(code).digest() + code)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _read(path: Path) -> bytes | None:
    """None where there is no entry, or not the one that was written."""
    try:
        entry = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, code = entry[len(MAGIC) : len(MAGIC) + 32], entry[len(MAGIC) + 32 :]
    whole = hmac.compare_digest(hashlib.sha256(code).digest(), digest)
    return code if entry.startswith(MAGIC) and whole else None
