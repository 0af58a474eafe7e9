"""ClientKeys: the secret keys by which clients prove, later, that they are themselves.

32 random bytes for each client of a tenant, made when they are first needed, in a file that its
owner alone may read. A server keeps a digest of the key, made when the client was. Without a
folder, and where a file can be neither read nor written, keys last as long as this object.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import tempfile
from base64 import urlsafe_b64encode
from contextlib import suppress
from pathlib import Path

from homeport.private_files import private_folder, read_own

KEY_BYTES = 32
MOST_IN_MEMORY = 10_000

log = logging.getLogger("homeport")

_KEY = re.compile(r"[A-Za-z0-9_-]{43}\n?", re.ASCII)


class ClientKeys:
    """Safe to share between threads and processes: of two that make the same key at once, one
    file stands, and both use it."""

    def __init__(self, folder: str | os.PathLike[str] | None) -> None:
        """The folder is made at the first key, with mode 0700; None: keys are not kept."""
        self.folder = Path(folder).expanduser() if folder is not None else None
        self._known: dict[tuple[str, str], str] = {}
        self._passing = secrets.token_bytes(KEY_BYTES)

    def path(self, tenant: str, client_id: str) -> Path | None:
        """Where the key of one client is, or would be; None: there is no folder."""
        if self.folder is None:
            return None
        name = json.dumps([tenant, client_id]).encode()
        return self.folder / f"{hashlib.sha256(name).hexdigest()[:40]}.key"

    def known(self, tenant: str, client_id: str) -> str | None:
        """The key where no file has to be read for it, else None."""
        if self.folder is None:
            return self._passing_key(tenant, client_id)
        return self._known.get((tenant, client_id))

    def key(self, tenant: str, client_id: str) -> str:
        """The client's key in base64url, 43 characters; made now if there is none."""
        found = self.known(tenant, client_id)
        if found is not None:
            return found
        path = self.path(tenant, client_id)
        assert path is not None, "without a folder every key is known"
        try:
            key = self._read_or_make(path)
        except (OSError, ValueError) as error:
            log.warning("the client's key %s is not used, one for now is made: %s", path, error)
            key = self._passing_key(tenant, client_id)
        if len(self._known) >= MOST_IN_MEMORY:
            self._known.clear()
        self._known[tenant, client_id] = key
        return key

    def _read_or_make(self, path: Path) -> str:
        """Raises OSError, ValueError."""
        with suppress(FileNotFoundError):
            return _decode(read_own(path))
        private_folder(path.parent)
        key = _encode(secrets.token_bytes(KEY_BYTES))
        handle, aside = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(key + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(aside, path)  # unlike a rename, never over the key that another has made
        except FileExistsError:
            return _decode(read_own(path))
        except OSError:  # a file system without links
            os.replace(aside, path)
        finally:
            with suppress(OSError):
                os.unlink(aside)
        return key

    def _passing_key(self, tenant: str, client_id: str) -> str:
        name = json.dumps([tenant, client_id]).encode()
        return _encode(hmac.digest(self._passing, name, "sha256"))


def _encode(key: bytes) -> str:
    return urlsafe_b64encode(key).rstrip(b"=").decode("ascii")


def _decode(content: bytes) -> str:
    """Raises ValueError for anything that was not written as a key."""
    text = content.decode("ascii")
    if _KEY.fullmatch(text) is None:
        raise ValueError("it holds no key")
    return text.rstrip("\n")
