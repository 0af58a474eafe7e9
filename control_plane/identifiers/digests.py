"""Digests: what an identifier is kept under in the store, which never sees its plain text.

The first 160 bits of HMAC-SHA256 over kind, 0 and normal form, in base32hex (RFC 4648, 7), behind
the epoch of the pepper. Each tenant's key is derived from the pepper by HKDF (RFC 5869), so that
equal identifiers of two tenants cannot be told. A hash would not do: there are 10¹⁰ telephone
numbers, and whoever has a copy of the store could try them all.

A pepper is changed by adding one of the next epoch: what is new is kept under it, what is there
is found under the one before until it has been claimed again.
"""

from __future__ import annotations

import base64
import hmac
from collections import OrderedDict
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from control_plane.identifiers.identifier import Identifier

MIN_PEPPER_BYTES = 32
DIGEST_BYTES = 20
_KEY_BYTES = 32
MOST_KEYS = 10_000  # derived keys that are remembered: one for each tenant and pepper
_PURPOSE = b"homeport directory identifiers v1\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pepper:
    """A secret of the directory. Raises ValueError where it is too short or has no epoch."""

    epoch: int  # 1, 2, …; later ones are newer
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.epoch < 1:
            raise ValueError(f"the epoch of a pepper is 1 or more, not {self.epoch}")
        if len(self.secret) < MIN_PEPPER_BYTES:
            raise ValueError(
                f"a pepper has {MIN_PEPPER_BYTES} random bytes or more, not {len(self.secret)}"
            )


class IdentifierDigests:
    """Digests under the current pepper, and under the previous one for as long as it is needed.
    One per server; not for several threads at once."""

    def __init__(
        self, current: Pepper, previous: Pepper | None = None, *, most_keys: int = MOST_KEYS
    ) -> None:
        """most_keys: derived keys that are remembered. Raises ValueError where the previous one
        is not older."""
        if previous is not None and previous.epoch >= current.epoch:
            raise ValueError(
                f"the previous pepper has the epoch {previous.epoch}, "
                f"which is not before {current.epoch}"
            )
        self._peppers = (current,) if previous is None else (current, previous)
        self._most_keys = most_keys
        self._keys: OrderedDict[tuple[int, str], bytes] = OrderedDict()

    def digest(self, tenant: str, identifier: Identifier) -> str:
        """Under which it is kept now: the epoch, '.', 32 characters of 0-9 a-v."""
        return self._digest(self._peppers[0], tenant, identifier)

    def digests(self, tenant: str, identifier: Identifier) -> tuple[str, ...]:
        """Under which it may be found: the current one first. One or two."""
        return tuple([self._digest(one, tenant, identifier) for one in self._peppers])

    def _digest(self, pepper: Pepper, tenant: str, identifier: Identifier) -> str:
        message = f"{identifier.kind}\0{identifier.normal}".encode()
        mac = hmac.digest(self._key(pepper, tenant), message, "sha256")[:DIGEST_BYTES]
        return f"{pepper.epoch}.{base64.b32hexencode(mac).decode().lower()}"

    def _key(self, pepper: Pepper, tenant: str) -> bytes:
        name = (pepper.epoch, tenant)
        key = self._keys.get(name)
        if key is None:
            info = _PURPOSE + tenant.encode()
            key = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(
                pepper.secret
            )
            self._keys[name] = key
            if len(self._keys) > self._most_keys:
                self._keys.popitem(last=False)
        return key
