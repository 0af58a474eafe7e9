"""TicketIssuer: makes tickets, the signed and expiring form of an assignment.

A ticket is a JWT (RFC 7519, compact JWS) for one audience, the unit. HS256 by default, with
the unit's own key: 3 us, and only that unit can check it. EdDSA (RFC 8037) where gateways
or others must check too, with the key set of `jwks()`.

Claims: iss "homeport", aud unit, sub client id, tenant, epoch, iat, exp. Written by
template: what repeats for a unit is encoded once.
"""

from __future__ import annotations

import base64
import hmac
import json
from binascii import b2a_base64
from dataclasses import dataclass
from functools import lru_cache

from control_plane.identity import keyring
from control_plane.identity.keyring import KeyRing

HS256 = "HS256"
EDDSA = "EdDSA"
ISSUER = "homeport"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyingKey:
    """What somebody needs to check tickets of one kind and epoch."""

    key_id: str
    algorithm: str
    key: bytes  # HS256: the unit's secret; EdDSA: the raw public key
    expires_at: float | None = None  # Unix seconds; None: no end known


def base64url(content: bytes) -> bytes:
    """RFC 4648 section 5, without padding."""
    encoded = b2a_base64(content, newline=False)
    return encoded.translate(_URL).rstrip(b"=")


_URL = bytes.maketrans(b"+/", b"-_")


def hs256_key_id(epoch: int) -> str:
    """kid of a unit's derived key."""
    return f"u{epoch}"


def eddsa_key_id(epoch: int) -> str:
    """kid of the fleet's signing key."""
    return f"e{epoch}"


def _header(algorithm: str, key_id: str) -> bytes:
    return base64url(json.dumps({"alg": algorithm, "kid": key_id, "typ": "JWT"},
                                separators=(",", ":")).encode())  # fmt: skip


def _json_text(text: str) -> str:
    """A text inside JSON quotes, escaped where it must be."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return json.dumps(text)[1:-1]


class TicketIssuer:
    """Signs with the ring's newest epoch. `generation` changes with every `use`, so that
    agents can be told of new keys."""

    def __init__(self, ring: KeyRing) -> None:
        self.generation = 0
        self.use(ring)

    def use(self, ring: KeyRing) -> None:
        """From now on signs with this ring."""
        self._ring = ring
        self.generation += 1
        epoch = ring.newest
        self._hs256_header = _header(HS256, hs256_key_id(epoch.epoch)) + b"."
        self._eddsa_header = _header(EDDSA, eddsa_key_id(epoch.epoch)) + b"."
        self._eddsa_key = keyring.signing_key(epoch)
        self._units: dict[str, tuple[bytes, str]] = {}

    def _unit(self, unit_id: str) -> tuple[bytes, str]:
        """(key, start of the claims) of a unit."""
        found = self._units.get(unit_id)
        if found is None:
            key = keyring.unit_key(self._ring.newest, unit_id)
            found = self._units[unit_id] = (key, f'{{"iss":"{ISSUER}","aud":"{unit_id}","sub":"')
        return found

    def issue(
        self, unit_id: str, tenant: str, client_id: str, epoch: int, now: float, ttl_s: float
    ) -> str:
        """An HS256 ticket. The ids have been checked; `now` is Unix seconds."""
        key, start = self._unit(unit_id)
        claims = (
            f'{start}{_json_text(client_id)}","tenant":"{tenant}","epoch":{epoch}'
            f"{_times(int(now), int(now + ttl_s))}"
        ).encode()
        message = self._hs256_header + base64url(claims)
        signature = base64url(hmac.digest(key, message, "sha256"))
        return (message + b"." + signature).decode("ascii")

    def issue_eddsa(
        self, unit_id: str, tenant: str, client_id: str, epoch: int, now: float, ttl_s: float
    ) -> str:
        """The same, signed with Ed25519. May be called from any thread."""
        claims = (
            f'{{"iss":"{ISSUER}","aud":"{unit_id}","sub":"{_json_text(client_id)}"'
            f',"tenant":"{tenant}","epoch":{epoch}{_times(int(now), int(now + ttl_s))}'
        ).encode()
        message = self._eddsa_header + base64url(claims)
        return (message + b"." + base64url(self._eddsa_key.sign(message))).decode("ascii")

    def keys_for(self, unit_id: str, now: float = 0.0) -> list[VerifyingKey]:
        """Every key that a unit needs to check its tickets, oldest first."""
        found: list[VerifyingKey] = []
        for epoch in self._ring.valid(now):
            found.append(
                VerifyingKey(
                    key_id=hs256_key_id(epoch.epoch),
                    algorithm=HS256,
                    key=keyring.unit_key(epoch, unit_id),
                    expires_at=epoch.retires_at,
                )
            )
            found.append(
                VerifyingKey(
                    key_id=eddsa_key_id(epoch.epoch),
                    algorithm=EDDSA,
                    key=keyring.public_bytes(epoch),
                    expires_at=epoch.retires_at,
                )
            )
        return found

    def jwks(self, now: float = 0.0) -> dict[str, list[dict[str, str]]]:
        """The public keys as an RFC 7517 key set."""
        return {
            "keys": [
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "alg": EDDSA,
                    "use": "sig",
                    "kid": eddsa_key_id(epoch.epoch),
                    "x": base64url(keyring.public_bytes(epoch)).decode(),
                }
                for epoch in self._ring.valid(now)
            ]
        }


@lru_cache(maxsize=64)
def _times(issued_at: int, expires_at: int) -> str:
    """The end of the claims; the same for all tickets of a second and TTL."""
    return f',"iat":{issued_at},"exp":{expires_at}}}'


def from_base64url(text: str) -> bytes:
    """Raises ValueError for anything that is not unpadded base64url."""
    if not text.isascii() or any(c in text for c in "+/="):
        raise ValueError("not base64url")
    decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64url(decoded).decode() != text:
        raise ValueError("not canonical base64url")
    return decoded
