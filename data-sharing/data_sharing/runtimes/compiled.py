"""Compiled code on disk: made once when an application is installed, trusted only whole.

An entry is named by everything that goes into it, the artifact's SHA-256, wasmtime's version,
the engine's settings and the machine's architecture, and by the digest of what came out.
Running native code that somebody damaged would be running anything, so the digest is checked
before wasmtime maps the file; an entry that fails is made again. The folder is private to its
user: whoever can write there as this user could run code anyway.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from control_plane.files import replace_file
from control_plane.private_files import private_folder


class CompiledCache:
    """A folder of compiled artifacts, shared by processes of one user."""

    def __init__(self, folder: Path, settings: str) -> None:
        """`settings` names the engine's configuration; raises OSError where the folder
        cannot be made."""
        private_folder(folder)
        self._folder = folder
        self._made_by = f"{version('wasmtime')} {platform.machine()} {settings}".encode()

    def get(self, kind: str, sha256: str, compile_it: Callable[[], bytes]) -> Path:
        """The file of compiled code; compiles where there is none, or a damaged one."""
        parts = (kind.encode(), sha256.encode(), self._made_by)
        made_from = hashlib.sha256(b"\0".join(parts)).hexdigest()
        for path in self._folder.glob(f"{made_from}.*.compiled"):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if path.name == _name(made_from, digest):
                return path
            path.unlink(missing_ok=True)
        return self._write(made_from, compile_it())

    def _write(self, made_from: str, code: bytes) -> Path:
        path = self._folder / _name(made_from, hashlib.sha256(code).hexdigest())
        replace_file(path, code, mode=0o600)
        return path


def _name(made_from: str, digest: str) -> str:
    return f"{made_from}.{digest}.compiled"
