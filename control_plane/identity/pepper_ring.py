"""PepperRing: the directory's own secrets, under which identifiers are kept in the store.

The newest pepper is what is new kept under, the one before it is still looked up. It is no ticket
key: those rotate in hours, a pepper by claiming again. The ring lives in the store under
keys/pepper, made by whichever server comes first, or in a file that operators hand out themselves;
wrapped as ticket keys are, where there is a wrapping key. Every server of a fleet has the same one.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from control_plane import keys
from control_plane.errors import InvalidInput, Unavailable
from control_plane.identifiers.digests import IdentifierDigests, Pepper
from control_plane.identity.key_wrapping import Wrapping
from control_plane.printable import why_unreadable
from control_plane.store.port import Get, OutcomeUnknown, Put, Store, StoreUnavailable, Txn, absent

log = logging.getLogger(__name__)

PEPPER_BYTES = 32
IN_STORE = "the store's keys/pepper"
MOST_BYTES = 64 * 1024
RETRY_S = 1.0
_SETTING = "directory_pepper_file"
_PURPOSE = b"homeport directory secrets v1\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPepper:
    """One secret of the ring."""

    epoch: int  # 1, 2, …
    secret: str = field(repr=False)  # 32 bytes or more, base64


@dataclass(frozen=True, slots=True, kw_only=True)
class PepperRing:
    """One or more, oldest first. The last two count."""

    peppers: tuple[StoredPepper, ...]


class DirectorySecrets:
    """What a server needs of a ring: the digests of identifiers, and a key for what the directory
    signs itself. Not for several threads at once. Raises ValueError for a ring that is none."""

    def __init__(self, ring: PepperRing) -> None:
        if any(after.epoch <= before.epoch for before, after in pairwise(ring.peppers)):
            raise ValueError("epochs must count upwards")
        found = [
            Pepper(epoch=one.epoch, secret=base64.b64decode(one.secret, validate=True))
            for one in ring.peppers[-2:]
        ]
        if not found:
            raise ValueError("it holds no pepper")
        previous, current = (None, *found)[-2:]
        assert current is not None
        self.digests = IdentifierDigests(current, previous)
        self._keys = {
            one.epoch: HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(
                one.secret
            )
            for one in found
        }
        self.epoch = current.epoch

    def mac(self, purpose: str, message: bytes, *, epoch: int = 0) -> bytes | None:
        """HMAC-SHA256 over purpose, 0 and message, under a key of that epoch (0: the current
        one); None: that epoch does not count any more."""
        key = self._keys.get(epoch or self.epoch)
        if key is None:
            return None
        return hmac.digest(key, purpose.encode() + b"\0" + message, "sha256")


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(PepperRing)


def decode_ring(content: bytes, source: str, wrapping: Wrapping) -> DirectorySecrets:
    """Raises InvalidInput that names the source."""
    plain = wrapping.unwrap(content, source)
    try:
        return DirectorySecrets(_decoder.decode(plain))
    except ValueError as error:  # msgspec's errors and base64's among them
        raise InvalidInput(_SETTING, f"{source} is no ring of peppers: {error}") from error


def read_ring(path: Path, wrapping: Wrapping) -> DirectorySecrets:
    """A ring from a file that others may neither read nor write. Raises InvalidInput."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o027:  # a group may read: so secrets are handed to containers
                raise InvalidInput(
                    _SETTING,
                    f"{path} can be read by others (mode {mode:o}); run `chmod 600 {path}`",
                )
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InvalidInput(_SETTING, f"{path} cannot be read: {why_unreadable(error)}") from error
    if len(content) > MOST_BYTES:
        raise InvalidInput(_SETTING, f"{path} has more than {MOST_BYTES:,} bytes")
    return decode_ring(content, str(path), wrapping)


class PepperSource:
    """One per server: `start`, then `run`, a task of the owner's. path None: the store's ring.
    random(n): n bytes from a cryptographic source."""

    def __init__(
        self,
        store: Store,
        path: Path | None,
        *,
        wrapping: Wrapping,
        random: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._path = path
        self._wrapping = wrapping
        self._random = random
        self._secrets: DirectorySecrets | None = None

    @property
    def secrets(self) -> DirectorySecrets:
        """Raises Unavailable as long as the store has not been read."""
        if self._secrets is None:
            raise Unavailable(
                "the directory's pepper is not read yet, the store is away; try again"
            )
        return self._secrets

    async def start(self) -> None:
        """Reads the ring, and makes it where there is none. Raises InvalidInput,
        StoreUnavailable, OutcomeUnknown; after the last two `run` does so."""
        if self._path is not None:
            self._secrets = await asyncio.to_thread(read_ring, self._path, self._wrapping)
            return
        secret = base64.b64encode(self._random(PEPPER_BYTES)).decode()
        fresh = _encode(PepperRing(peppers=(StoredPepper(epoch=1, secret=secret),)))
        wrapped = await asyncio.to_thread(self._wrapping.wrap, fresh)
        result = await self._store.commit(
            Txn(
                compares=[absent(keys.PEPPER_RING)],
                then=[Put(keys.PEPPER_RING, wrapped)],
                otherwise=[Get(keys.PEPPER_RING)],
            )
        )
        stored = wrapped if result.succeeded else result.results[0][0].value
        self._secrets = await asyncio.to_thread(decode_ring, stored, IN_STORE, self._wrapping)

    async def run(self) -> None:
        """Reads the ring once the store is there, where `start` could not."""
        while self._secrets is None:
            try:
                await self.start()
            except (StoreUnavailable, OutcomeUnknown):
                await asyncio.sleep(RETRY_S)
