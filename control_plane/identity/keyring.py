"""KeyRing: the fleet's ticket keys, with epochs and rotation that overlaps.

The newest key signs; older ones still verify until they retire, so tickets that are out
stay good. A unit never gets a master key: its own HS256 key is derived with HKDF-SHA256
(RFC 5869) from the master of an epoch, with the unit's id in `info`, so a unit could at
most forge tickets to itself.

The ring lives in the store under keys/ring, made by whichever server comes first, or in a
file that operators hand out themselves.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from control_plane import keys
from control_plane.errors import InvalidInput
from control_plane.store.port import Get, Put, Store, Txn, absent, unchanged

MASTER_BYTES = 32
_SALT = b"homeport ticket key v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEpoch:
    """The secrets of one epoch, base64. `retires_at`: Unix seconds after which its tickets
    are refused; None: it is the newest."""

    epoch: int  # from 1
    master: str  # 32 bytes: HS256 keys are derived from it
    ed25519: str  # 32 bytes: the private key's seed
    created_at: float
    retires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """All epochs that count, oldest first. The last one signs."""

    epochs: tuple[KeyEpoch, ...]

    @property
    def newest(self) -> KeyEpoch:
        """The epoch that signs."""
        return self.epochs[-1]

    def valid(self, now: float) -> tuple[KeyEpoch, ...]:
        """The epochs whose tickets are still good."""
        return tuple(e for e in self.epochs if e.retires_at is None or e.retires_at > now)


def new_epoch(number: int, *, now: float, random: Callable[[int], bytes]) -> KeyEpoch:
    """Fresh secrets. `random(n)` gives n bytes from a cryptographic source."""
    return KeyEpoch(
        epoch=number,
        master=base64.b64encode(random(MASTER_BYTES)).decode(),
        ed25519=base64.b64encode(random(32)).decode(),
        created_at=now,
    )


def rotated(
    ring: KeyRing, *, now: float, overlap_s: float, random: Callable[[int], bytes]
) -> KeyRing:
    """A ring whose new epoch signs; the one that signed until now retires after `overlap_s`,
    which should be at least the longest ticket TTL. Retired epochs are dropped."""
    kept = [
        replace(epoch, retires_at=now + overlap_s) if epoch.retires_at is None else epoch
        for epoch in ring.valid(now)
    ]
    return KeyRing(epochs=(*kept, new_epoch(ring.newest.epoch + 1, now=now, random=random)))


def unit_key(epoch: KeyEpoch, unit_id: str) -> bytes:
    """The HS256 key of one unit: 32 bytes."""
    info = f"unit {unit_id} epoch {epoch.epoch}".encode()
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=_SALT, info=info)
    return derive.derive(base64.b64decode(epoch.master))


def signing_key(epoch: KeyEpoch) -> Ed25519PrivateKey:
    """The Ed25519 key of an epoch."""
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(epoch.ed25519))


def public_bytes(epoch: KeyEpoch) -> bytes:
    """The raw public half: 32 bytes."""
    return signing_key(epoch).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(KeyRing)


def encode_ring(ring: KeyRing) -> bytes:
    """The ring as JSON."""
    return _encoder.encode(ring)


def decode_ring(content: bytes, source: str) -> KeyRing:
    """Raises InvalidInput that names the source."""
    try:
        ring = _decoder.decode(content)
    except msgspec.MsgspecError as error:
        raise InvalidInput("master_key_file", f"{source} is not a key ring: {error}") from error
    if not ring.epochs:
        raise InvalidInput("master_key_file", f"{source} holds no key")
    for epoch in ring.epochs:
        for secret in (epoch.master, epoch.ed25519):
            try:
                size = len(base64.b64decode(secret, validate=True))
            except ValueError:
                size = 0
            if size != 32:
                raise InvalidInput(
                    "master_key_file", f"{source}: epoch {epoch.epoch} needs 32-byte base64 keys"
                )
    return ring


def read_ring(path: Path) -> KeyRing:
    """A ring from a file that only its owner may read. Raises InvalidInput."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & 0o077:
            raise InvalidInput(
                "master_key_file",
                f"{path} can be read by others (mode {mode:o}); run `chmod 600 {path}`",
            )
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput("master_key_file", f"{path} cannot be read: {error}") from error
    return decode_ring(content, str(path))


async def load_or_create(
    store: Store, *, path: Path | None, now: float, random: Callable[[int], bytes]
) -> KeyRing:
    """The ring from `path`, else from the store, where the first server makes one."""
    if path is not None:
        return read_ring(path)
    fresh = KeyRing(epochs=(new_epoch(1, now=now, random=random),))
    result = await store.commit(
        Txn(
            compares=[absent(keys.KEY_RING)],
            then=[Put(keys.KEY_RING, encode_ring(fresh))],
            otherwise=[Get(keys.KEY_RING)],
        )
    )
    if result.succeeded:
        return fresh
    return decode_ring(result.results[0][0].value, "the store's keys/ring")


async def rotate_stored(
    store: Store, *, now: float, overlap_s: float, random: Callable[[int], bytes]
) -> KeyRing:
    """Rotates the ring in the store, once, whoever else tries at the same time."""
    while True:
        pair = await store.get(keys.KEY_RING)
        if pair is None:
            return await load_or_create(store, path=None, now=now, random=random)
        ring = rotated(
            decode_ring(pair.value, "the store's keys/ring"),
            now=now,
            overlap_s=overlap_s,
            random=random,
        )
        result = await store.commit(
            Txn(
                compares=[unchanged(keys.KEY_RING, pair.mod_revision)],
                then=[Put(keys.KEY_RING, encode_ring(ring))],
            )
        )
        if result.succeeded:
            return ring
