"""TicketIssuer: makes tickets, the signed and expiring form of an assignment.

A ticket is a JWT (RFC 7519, compact JWS) for one audience, the unit. HS256 by default, with
the unit's own key: 3 us, and only that unit can check it. EdDSA (RFC 8037) where gateways
or others must check too, with the key set of `jwks()`.

Claims: iss "homeport", aud unit, sub client id, tenant, epoch, iat, exp, hld where the client's
place is held until it is admitted, and first, when the client was first assigned, in Unix
milliseconds: a ticket of a client that was released proves nothing of its next life. Written by
template: what repeats for a unit is encoded once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import NamedTuple

from control_plane.identity import keyring
from control_plane.identity.jws import EDDSA, HS256, EddsaSigner, Hs256Signer, base64url
from control_plane.identity.keyring import KeyEpoch, KeyRing

TICKET_TYPE = "JWT"
ISSUER = "homeport"
_HELD = ',"hld":1'


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyingKey:
    """What somebody needs to check tickets of one kind and epoch."""

    key_id: str
    algorithm: str
    key: bytes = field(repr=False)  # HS256: the unit's secret; EdDSA: the raw public key
    expires_at: float | None = None  # Unix seconds; None: no end known


def hs256_key_id(epoch: int) -> str:
    """kid of a unit's derived key."""
    return f"u{epoch}"


def eddsa_key_id(epoch: int) -> str:
    """kid of the fleet's signing key."""
    return f"e{epoch}"


def _json_text(text: str) -> str:
    """A text inside JSON quotes, escaped where it must be."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return json.dumps(text)[1:-1]


class _UnitSigner(NamedTuple):
    """What all HS256 tickets of one unit and key epoch share."""

    claims: str  # up to the client's id
    signer: Hs256Signer


class _EpochSigner:
    """One key epoch, ready to sign."""

    __slots__ = ("eddsa", "epoch", "units")

    def __init__(self, epoch: KeyEpoch) -> None:
        self.epoch = epoch
        self.eddsa = EddsaSigner(
            keyring.signing_key(epoch), key_id=eddsa_key_id(epoch.epoch), typ=TICKET_TYPE
        )
        self.units: dict[str, _UnitSigner] = {}

    def is_of(self, epoch: KeyEpoch) -> bool:
        """Whether it would sign the same; when an epoch retires makes no difference."""
        mine = self.epoch
        return (epoch.epoch, epoch.master, epoch.ed25519) == (
            mine.epoch, mine.master, mine.ed25519
        )  # fmt: skip

    def prepare(self, unit_id: str) -> _UnitSigner:
        """Makes ready for a unit; from then on it is in `units`."""
        unit = self.units[unit_id] = _UnitSigner(
            claims=f'{{"iss":"{ISSUER}","aud":"{unit_id}","sub":"',
            signer=Hs256Signer(
                keyring.unit_key(self.epoch, unit_id),
                key_id=hs256_key_id(self.epoch.epoch),
                typ=TICKET_TYPE,
            ),
        )
        return unit


class TicketIssuer:
    """Signs with the ring's epoch whose time has come. `generation` changes with every
    `use`, so that agents can be told of new keys, also of one that does not sign yet."""

    def __init__(self, ring: KeyRing) -> None:
        self.generation = 0
        self._switching = Lock()  # signing threads may see that it is time, too
        self._signer = _EpochSigner(ring.signing(0.0))
        self.use(ring)

    @property
    def ring(self) -> KeyRing:
        """The keys in use."""
        return self._ring

    def use(self, ring: KeyRing) -> None:
        """From now on signs with this ring."""
        with self._switching:
            self._ring = ring
            self._switch_at = 0.0  # the next ticket, which brings the time, chooses the epoch
            self.generation += 1

    def _switch(self, now: float) -> None:
        with self._switching:
            epoch = self._ring.signing(now)
            if not self._signer.is_of(epoch):
                self._signer = _EpochSigner(epoch)
            self._switch_at = self._ring.next_switch(now)

    def issue(
        self,
        unit_id: str,
        tenant: str,
        client_id: str,
        epoch: int,
        now: float,
        ttl_s: float,
        *,
        held: bool = False,
        known_at: float | None = None,
        first_ms: int = 0,
    ) -> str:
        """An HS256 ticket. The ids have been checked; `now` is Unix seconds. known_at: when
        the assignment was known to be so, if that was before now; the unit refuses the
        ticket where the client left after that. first_ms: of the client's first assignment; 0:
        not known, left out."""
        if now >= self._switch_at:
            self._switch(now)
        issued_at = int(now if known_at is None else known_at)
        signer = self._signer
        claims, unit_signer = signer.units.get(unit_id) or signer.prepare(unit_id)
        return unit_signer.sign(
            f'{claims}{_json_text(client_id)}","tenant":"{tenant}","epoch":{epoch}'
            f"{_HELD if held else ''}{_first(first_ms)}"
            f"{_times(issued_at, int(now + ttl_s))}".encode()
        )

    def issue_eddsa(
        self,
        unit_id: str,
        tenant: str,
        client_id: str,
        epoch: int,
        now: float,
        ttl_s: float,
        *,
        held: bool = False,
        known_at: float | None = None,
        first_ms: int = 0,
    ) -> str:
        """The same, signed with Ed25519. May be called from any thread."""
        if now >= self._switch_at:
            self._switch(now)
        issued_at = int(now if known_at is None else known_at)
        return self._signer.eddsa.sign(
            f'{{"iss":"{ISSUER}","aud":"{unit_id}","sub":"{_json_text(client_id)}"'
            f',"tenant":"{tenant}","epoch":{epoch}{_HELD if held else ""}'
            f"{_first(first_ms)}{_times(issued_at, int(now + ttl_s))}".encode()
        )

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


def _first(first_ms: int) -> str:
    return f',"first":{first_ms}' if first_ms else ""


@lru_cache(maxsize=64)
def _times(issued_at: int, expires_at: int) -> str:
    """The end of the claims; the same for all tickets of a second and TTL."""
    return f',"iat":{issued_at},"exp":{expires_at}}}'
