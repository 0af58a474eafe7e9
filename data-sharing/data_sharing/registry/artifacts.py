"""Artifacts on disk, named by their SHA-256: written whole or not at all, read only when right.

One that no version names any more, or never did because the server stopped in between, costs
room and nothing else.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from control_plane.errors import DataLoss, NotFound
from control_plane.files import replace_file
from control_plane.printable import quoted
from control_plane.private_files import private_folder

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class Artifacts:
    """A folder. Everything blocks."""

    def __init__(self, folder: Path) -> None:
        private_folder(folder)
        self._folder = folder

    def put(self, content: bytes) -> str:
        """Durable once it returns; the SHA-256, hex. The same content twice is kept once."""
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._folder / sha256
        if path.exists() and path.stat().st_size == len(content):
            return sha256
        replace_file(path, content, durable=True, mode=0o600)
        return sha256

    def get(self, sha256: str) -> bytes:
        """Raises NotFound; DataLoss where what is there is not what was put."""
        if not _SHA256.match(sha256):
            raise NotFound(f"there is no artifact {quoted(sha256)}")
        try:
            content = (self._folder / sha256).read_bytes()
        except FileNotFoundError as error:
            raise NotFound(f"there is no artifact {sha256} here; submit it again") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DataLoss(f"the artifact {sha256} is damaged on disk; submit it again")
        return content

    def has(self, sha256: str) -> bool:
        """Whether it is there; `get` says whether it is whole."""
        return bool(_SHA256.match(sha256)) and (self._folder / sha256).is_file()
