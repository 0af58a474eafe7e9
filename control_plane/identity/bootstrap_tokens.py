"""Bootstrap tokens: each lets one client in, once.

`boot.<id>.<secret>`: the id names the record, the secret is 32 random bytes in base64url of which
the record has the SHA-256 alone. The record goes in the transaction that makes the client, so two
clients cannot share one; it ends by itself with its lease.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from types import MappingProxyType

import msgspec

from control_plane import keys
from control_plane.errors import InvalidInput
from control_plane.identity.jws import base64url
from control_plane.store.port import Delete, Put, Store, Txn

MAX_COUNT = 1_000
MIN_TTL_S, MAX_TTL_S = 60.0, 90 * 86_400.0
PREFIX = "boot."
ID_BYTES, SECRET_BYTES = 10, 32
PUTS = 100  # in one transaction
_NONE: Mapping[str, str] = MappingProxyType({})
_FORM = re.compile(r"boot\.([0-9a-f]{20})\.([A-Za-z0-9_-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapRecord:
    """A token that was not used."""

    sha256: str  # of the secret's text, hex
    expires_at: float  # Unix seconds
    attributes: dict[str, str] = field(default_factory=dict)  # that its client is made with


_decode = msgspec.json.Decoder(BootstrapRecord).decode


def record_key(tenant: str, token: str) -> bytes | None:
    """Where the record of a token would be; None: it is no such token."""
    found = _FORM.fullmatch(token)
    return keys.bootstrap_token(tenant, found[1]) if found else None


def good_record(record: bytes, token: str, now: float) -> BootstrapRecord | None:
    """The record, where it is that of this token, which is not over yet. now: Unix seconds."""
    found = _FORM.fullmatch(token)
    if found is None:
        return None
    try:
        kept = _decode(record)
    except msgspec.MsgspecError:
        return None
    is_of = compare_digest(kept.sha256, _digest(found[2]))
    return kept if is_of and now < kept.expires_at else None


class BootstrapTokens:
    """Issues and revokes them. random(n): n bytes from a cryptographic source; wall: Unix
    seconds."""

    def __init__(
        self, store: Store, *, random: Callable[[int], bytes], wall: Callable[[], float]
    ) -> None:
        self._store = store
        self._random = random
        self._wall = wall

    async def issue(
        self, tenant: str, count: int, ttl_s: float, attributes: Mapping[str, str] = _NONE
    ) -> Sequence[str]:
        """New tokens, which are told nowhere else. attributes: checked. Raises InvalidInput,
        StoreUnavailable, OutcomeUnknown; then some may be there that nobody has
        heard of, until they end."""
        if not 1 <= count <= MAX_COUNT:
            raise InvalidInput("count", f"count is {count:,}; 1 to {MAX_COUNT:,} at a time")
        if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
            raise InvalidInput("ttl", f"ttl is {ttl_s:g} s; it must be 60 s to 90 days")
        expires_at = self._wall() + ttl_s
        lease = await self._store.lease_grant(math.ceil(ttl_s))
        tokens: list[str] = []
        puts: list[Put] = []
        for _ in range(count):
            name = self._random(ID_BYTES).hex()
            secret = base64url(self._random(SECRET_BYTES)).decode()
            tokens.append(f"{PREFIX}{name}.{secret}")
            record = BootstrapRecord(
                sha256=_digest(secret), expires_at=expires_at, attributes=dict(attributes)
            )
            at = keys.bootstrap_token(tenant, name)
            puts.append(Put(at, msgspec.json.encode(record), lease))
        for start in range(0, count, PUTS):
            await self._store.commit(Txn(then=puts[start : start + PUTS]))
        return tokens

    async def revoke(self, tenant: str) -> None:
        """All of a tenant's that were not used. Idempotent."""
        await self._store.commit(Txn(then=[Delete(keys.bootstrap_token(tenant, ""), prefix=True)]))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
