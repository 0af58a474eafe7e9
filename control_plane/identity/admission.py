"""TicketVerifier: what a unit makes of a ticket, offline.

A refusal is a result with a reason, never an exception, and each reason is a different one,
because the client has to do something different about it. The signature comes first:
nothing of a ticket that nobody signed is repeated or acted upon.
"""

from __future__ import annotations

import hmac
import json
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from control_plane.identity.tickets import EDDSA, HS256, ISSUER, VerifyingKey, from_base64url

MAX_TICKET_BYTES = 4096
LEEWAY_S = 5.0  # how far clocks may be apart


class Reason(StrEnum):
    ADMITTED = "admitted"
    MALFORMED = "malformed"
    FORGED = "forged"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_UNIT = "wrong-unit"
    FOREIGN_TENANT = "foreign-tenant"
    STALE_EPOCH = "stale-epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The outcome. Who the client is stands here only when the signature was good."""

    reason: Reason
    message: str
    tenant: str = ""
    client_id: str = ""
    epoch: int = 0
    expires_at: float = 0.0  # Unix seconds

    @property
    def admitted(self) -> bool:
        return self.reason is Reason.ADMITTED


class EpochMemory:
    """The highest epoch seen of each client, for the `size` clients seen last."""

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._seen: OrderedDict[tuple[str, str], int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def newest(self, tenant: str, client_id: str) -> int:
        """The highest epoch seen; 0 for a client not remembered."""
        return self._seen.get((tenant, client_id), 0)

    def remember(self, tenant: str, client_id: str, epoch: int) -> None:
        """Notes an epoch; the oldest memory goes when there are too many."""
        key = (tenant, client_id)
        self._seen[key] = max(epoch, self._seen.get(key, 0))
        self._seen.move_to_end(key)
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)


def _refused(reason: Reason, message: str) -> Admission:
    return Admission(reason=reason, message=message)


_MALFORMED = _refused(Reason.MALFORMED, "this is not a ticket; send the one you were given")
_FORGED = _refused(
    Reason.FORGED, "the ticket's signature does not hold; get a new one from the provisioner"
)

_ELSEWHERE = _refused(
    Reason.WRONG_UNIT, "the ticket is for another unit; connect to the endpoint that came with it"
)


class TicketVerifier:
    """Checks tickets for one unit. `tenants` empty: serves all."""

    def __init__(
        self,
        unit_id: str,
        keys: Sequence[VerifyingKey] = (),
        *,
        tenants: Collection[str] = (),
        leeway_s: float = LEEWAY_S,
        epochs: EpochMemory | None = None,
    ) -> None:
        self._unit_id = unit_id
        self._tenants = frozenset(tenants)
        self._leeway_s = leeway_s
        self.epochs = epochs if epochs is not None else EpochMemory()
        self.use(keys)

    def use(self, keys: Sequence[VerifyingKey]) -> None:
        """From now on these keys count, and no others."""
        self._keys = {(key.algorithm, key.key_id): key for key in keys}

    @property
    def has_keys(self) -> bool:
        return bool(self._keys)

    def verify(self, ticket: str, now: float) -> Admission:
        """What to make of `ticket` at `now` (Unix seconds)."""
        if not ticket.isascii() or not 0 < len(ticket) <= MAX_TICKET_BYTES:
            return _MALFORMED
        parts = ticket.split(".")
        if len(parts) != 3:
            return _MALFORMED
        try:
            header = json.loads(from_base64url(parts[0]))
            signature = from_base64url(parts[2])
            algorithm, key_id = header["alg"], header["kid"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return _MALFORMED
        if not isinstance(algorithm, str) or not isinstance(key_id, str):
            return _MALFORMED
        # The kind of key decides the algorithm, not the ticket: `none`, or an HMAC made
        # with a public key, finds no key here.
        key = self._keys.get((algorithm, key_id))
        if key is None or (key.expires_at is not None and key.expires_at < now):
            return _FORGED
        if not _signed(key, f"{parts[0]}.{parts[1]}".encode(), signature):
            return _ELSEWHERE if self._names_another(parts[1]) else _FORGED
        return self._judge(parts[1], now)

    def _names_another(self, payload: str) -> bool:
        """Whether a ticket that we cannot check says it is another unit's. Each unit has its
        own key, so a good ticket at the wrong door looks forged but for this. It is refused
        either way, and nothing it says is repeated."""
        try:
            audience = json.loads(from_base64url(payload))["aud"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return False
        return isinstance(audience, str) and audience != self._unit_id

    def _judge(self, payload: str, now: float) -> Admission:
        """Everything about a ticket whose signature is good."""
        try:
            claims = json.loads(from_base64url(payload))
            audience, issuer = claims["aud"], claims["iss"]
            tenant, client_id = str(claims["tenant"]), str(claims["sub"])
            epoch, issued_at = int(claims["epoch"]), float(claims["iat"])
            expires_at = float(claims["exp"])
        except (ValueError, KeyError, TypeError):
            return _MALFORMED
        reason, message = Reason.ADMITTED, "welcome"
        if issuer != ISSUER or audience != self._unit_id:
            reason = Reason.WRONG_UNIT
            message = f"the ticket is for unit {audience}; connect there"
        elif self._tenants and tenant not in self._tenants:
            reason = Reason.FOREIGN_TENANT
            message = f"this unit does not serve tenant {tenant}; get a new assignment"
        elif now > expires_at + self._leeway_s:
            reason = Reason.EXPIRED
            message = "the ticket has expired; get a fresh one from the provisioner"
        elif now < issued_at - self._leeway_s:
            reason = Reason.NOT_YET_VALID
            message = "the ticket is from the future; check the clocks of both sides"
        elif epoch < self.epochs.newest(tenant, client_id):
            reason = Reason.STALE_EPOCH
            message = "the client has moved since; ask the provisioner where to"
        else:
            self.epochs.remember(tenant, client_id, epoch)
        return Admission(
            reason=reason,
            message=message,
            tenant=tenant,
            client_id=client_id,
            epoch=epoch,
            expires_at=expires_at,
        )


def _signed(key: VerifyingKey, message: bytes, signature: bytes) -> bool:
    if key.algorithm == HS256:
        return hmac.compare_digest(hmac.digest(key.key, message, "sha256"), signature)
    if key.algorithm == EDDSA:
        try:
            Ed25519PublicKey.from_public_bytes(key.key).verify(signature, message)
        except InvalidSignature:
            return False
        return True
    return False
