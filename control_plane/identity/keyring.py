"""KeyRing: the fleet's ticket keys, with epochs and rotation that overlaps.

One epoch signs; the ones before it still verify until they retire, so tickets that are out
stay good, and the next one verifies before it signs, so units know it in time. A unit never
gets a master key: its own HS256 key is derived with HKDF-SHA256 (RFC 5869) from the master
of an epoch, with the unit's id in `info`, so a unit could at most forge tickets to itself.

The ring lives in the store under keys/ring, made by whichever server comes first, or in a
file that operators hand out themselves.
"""

from __future__ import annotations

import asyncio
import base64
import math
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from control_plane import keys
from control_plane.errors import InvalidInput, Refused
from control_plane.identity.key_wrapping import NoWrapping, Wrapping
from control_plane.printable import why_unreadable
from control_plane.store.port import Get, Put, Store, Txn, absent, unchanged

MASTER_BYTES = 32
IN_STORE = "the store's keys/ring"
PLAIN = NoWrapping()
_SALT = b"homeport ticket key v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyEpoch:
    """The secrets of one epoch, base64; times are Unix seconds. It signs from `signs_from`
    until the next epoch does, and its tickets are refused from `retires_at` (None: no end
    is known, because no epoch follows it yet)."""

    epoch: int  # from 1
    master: str = field(repr=False)  # 32 bytes: HS256 keys are derived from it
    ed25519: str = field(repr=False)  # 32 bytes: the private key's seed
    created_at: float
    retires_at: float | None = None
    signs_from: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """All epochs that count, oldest first; never empty."""

    epochs: tuple[KeyEpoch, ...]

    @property
    def newest(self) -> KeyEpoch:
        """The last epoch. It may be announced and not sign yet."""
        return self.epochs[-1]

    def signing(self, now: float) -> KeyEpoch:
        """The epoch that signs: the last one whose time has come."""
        for epoch in reversed(self.epochs):
            if epoch.signs_from <= now:
                return epoch
        return self.epochs[0]

    def next_switch(self, now: float) -> float:
        """When another epoch begins to sign, as far as is known; infinity: never."""
        signing = self.signing(now).epoch
        return min(
            (e.signs_from for e in self.epochs if e.epoch > signing and e.signs_from > now),
            default=math.inf,
        )

    def valid(self, now: float) -> tuple[KeyEpoch, ...]:
        """The epochs whose tickets are still good."""
        return tuple(e for e in self.epochs if e.retires_at is None or e.retires_at > now)


def new_epoch(
    number: int, *, now: float, random: Callable[[int], bytes], signs_from: float = 0.0
) -> KeyEpoch:
    """Fresh secrets. `random(n)` gives n bytes from a cryptographic source."""
    return KeyEpoch(
        epoch=number,
        master=base64.b64encode(random(MASTER_BYTES)).decode(),
        ed25519=base64.b64encode(random(32)).decode(),
        created_at=now,
        signs_from=signs_from,
    )


def rotated(
    ring: KeyRing,
    *,
    now: float,
    overlap_s: float,
    random: Callable[[int], bytes],
    announce_s: float = 0.0,
) -> KeyRing:
    """A ring with one more epoch, which signs `announce_s` from now; the one before it
    retires `overlap_s` later. Retired epochs are dropped.

    `announce_s` should outlast a few heartbeats, or units refuse the first new tickets;
    `overlap_s` the longest ticket TTL, or tickets end early. Both 0 after a leak.
    """
    starts_at = now + announce_s
    ends_at = starts_at + overlap_s
    kept = [
        replace(epoch, retires_at=min(ends_at, epoch.retires_at or ends_at))
        for epoch in ring.valid(now)
    ]
    following = new_epoch(ring.newest.epoch + 1, now=now, random=random, signs_from=starts_at)
    return KeyRing(epochs=(*kept, following))


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


def encode_ring(ring: KeyRing, wrapping: Wrapping = PLAIN) -> bytes:
    """The ring as JSON, wrapped."""
    return wrapping.wrap(_encoder.encode(ring))


def decode_ring(content: bytes, source: str, wrapping: Wrapping = PLAIN) -> KeyRing:
    """Raises InvalidInput that names the source."""
    plain = wrapping.unwrap(content, source)
    try:
        ring = _decoder.decode(plain)
    except msgspec.MsgspecError as error:
        raise InvalidInput("master_key_file", f"{source} is not a key ring: {error}") from error
    if not ring.epochs:
        raise InvalidInput("master_key_file", f"{source} holds no key")
    if any(after.epoch <= epoch.epoch for epoch, after in pairwise(ring.epochs)):
        raise InvalidInput("master_key_file", f"{source}: epochs must count upwards")
    if ring.newest.retires_at is not None:
        raise InvalidInput("master_key_file", f"{source}: the last epoch must not retire")
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


def read_ring(path: Path, wrapping: Wrapping = PLAIN) -> KeyRing:
    """A ring from a file that others may neither read nor write. Raises InvalidInput."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & 0o027:  # a group may read: so secrets are handed to containers
            raise InvalidInput(
                "master_key_file",
                f"{path} can be read by others (mode {mode:o}); run `chmod 600 {path}`",
            )
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            "master_key_file", f"{path} cannot be read: {why_unreadable(error)}"
        ) from error
    return decode_ring(content, str(path), wrapping)


async def load_or_create(
    store: Store,
    *,
    path: Path | None,
    now: float,
    random: Callable[[int], bytes],
    wrapping: Wrapping = PLAIN,
) -> KeyRing:
    """The ring from `path`, else from the store, where the first server makes one."""
    if path is not None:
        return await asyncio.to_thread(read_ring, path, wrapping)
    fresh = KeyRing(epochs=(new_epoch(1, now=now, random=random),))
    result = await store.commit(
        Txn(
            compares=[absent(keys.KEY_RING)],
            then=[Put(keys.KEY_RING, await asyncio.to_thread(encode_ring, fresh, wrapping))],
            otherwise=[Get(keys.KEY_RING)],
        )
    )
    if result.succeeded:
        return fresh
    stored = result.results[0][0].value
    return await asyncio.to_thread(decode_ring, stored, IN_STORE, wrapping)


class Rotation(NamedTuple):
    """The ring that stands in the store after a call, and whether it was this call that rotated
    it."""

    ring: KeyRing
    rotated: bool


async def rotate_stored(
    store: Store,
    *,
    now: float,
    overlap_s: float,
    random: Callable[[int], bytes],
    announce_s: float = 0.0,
    replacing: int | None = None,
    most_epochs: int | None = None,
    wrapping: Wrapping = PLAIN,
) -> Rotation:
    """Rotates the ring in the store.

    With `replacing`, nothing changes where that is not the newest epoch any more: of several
    servers that see the same ring come of age one rotates, and a call whose outcome is unknown
    may be repeated. Without it each call rotates. Raises Refused where `most_epochs` count
    already; StoreUnavailable, OutcomeUnknown.
    """
    while True:
        pair = await store.get(keys.KEY_RING)
        if pair is None:
            made = await load_or_create(store, path=None, now=now, random=random, wrapping=wrapping)
            return Rotation(made, False)
        ring = await asyncio.to_thread(decode_ring, pair.value, IN_STORE, wrapping)
        if replacing is not None and ring.newest.epoch != replacing:
            return Rotation(ring, False)
        following = rotated(
            ring, now=now, overlap_s=overlap_s, random=random, announce_s=announce_s
        )
        if most_epochs is not None and len(following.valid(now)) > most_epochs:
            first = min(epoch.retires_at or math.inf for epoch in ring.valid(now))
            raise Refused(
                f"{most_epochs} epochs of ticket keys count already; the next one ends in "
                f"{first - now:.0f} s, rotate after that"
            )
        result = await store.commit(
            Txn(
                compares=[unchanged(keys.KEY_RING, pair.mod_revision)],
                then=[
                    Put(keys.KEY_RING, await asyncio.to_thread(encode_ring, following, wrapping))
                ],
            )
        )
        if result.succeeded:
            return Rotation(following, True)
