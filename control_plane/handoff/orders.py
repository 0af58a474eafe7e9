"""Orders: signed instructions to one unit to export, import or forget a client's state.

An order is a JWT made for one unit with that unit's own ticket key, good for a minute and
for one action. It is typed apart from tickets (RFC 8725, section 3.11: another `typ`, another
`iss`), so neither ever passes for the other. A refusal is a result with a reason.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec

from control_plane.identity import keyring
from control_plane.identity.admission import LEEWAY_S, AdmissionReason, TicketVerifier
from control_plane.identity.jws import HS256, UNREADABLE, Hs256Signer
from control_plane.identity.tickets import TicketIssuer, hs256_key_id

ORDER_ISSUER = "homeport-orders"
ORDER_TYPE = "homeport-order+jwt"
ORDER_TTL_S = 60.0


class OrderAction(StrEnum):
    """What a unit is to do with the state."""

    EXPORT = "export"
    IMPORT = "import"
    FORGET = "forget"


class OrderFlaw(StrEnum):
    """Why an order is refused."""

    MALFORMED = "malformed"
    FORGED = "forged"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_UNIT = "wrong-unit"
    WRONG_ACTION = "wrong-act"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A good order: this action, for this client, towards the assignment of this epoch."""

    action: OrderAction
    tenant: str
    client_id: str
    epoch: int  # of the assignment that the client has after the move
    expires_at: float  # Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRefusal:
    """Why an order is not followed."""

    flaw: OrderFlaw
    message: str


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Claims(msgspec.Struct):
    iss: str
    aud: str
    sub: str
    tenant: str
    epoch: _Count
    act: str
    iat: _Count
    exp: _Count


_read_claims = msgspec.json.Decoder(_Claims).decode


class OrderIssuer:
    """Makes orders with the keys of the tickets."""

    def __init__(self, issuer: TicketIssuer) -> None:
        self._issuer = issuer

    def make(
        self, action: OrderAction, unit_id: str, tenant: str, client_id: str, epoch: int, now: float
    ) -> str:
        """An order for one unit, good for ORDER_TTL_S from `now` (Unix seconds). The ids have
        been checked."""
        key_epoch = self._issuer.ring.signing(now)
        claims = {
            "iss": ORDER_ISSUER,
            "aud": unit_id,
            "sub": client_id,
            "tenant": tenant,
            "epoch": epoch,
            "act": action.value,
            "iat": int(now),
            "exp": int(now + ORDER_TTL_S),
        }
        signer = Hs256Signer(
            keyring.unit_key(key_epoch, unit_id),
            key_id=hs256_key_id(key_epoch.epoch),
            typ=ORDER_TYPE,
        )
        return signer.sign(json.dumps(claims, separators=(",", ":")).encode())


_FLAWS = {
    AdmissionReason.MALFORMED: OrderRefusal(
        flaw=OrderFlaw.MALFORMED, message="this is not an order of the control plane"
    ),
    AdmissionReason.FORGED: OrderRefusal(
        flaw=OrderFlaw.FORGED,
        message="the order's signature does not hold; make it with the unit's current key",
    ),
    AdmissionReason.WRONG_UNIT: OrderRefusal(
        flaw=OrderFlaw.WRONG_UNIT, message="the order is for another unit; send it there"
    ),
}


def check_order(
    order: str, action: OrderAction, verifier: TicketVerifier, unit_id: str, now: float
) -> Order | OrderRefusal:
    """An order as the unit that was to do `action` reads it with its ticket keys, or why it is
    refused. `now` is Unix seconds."""
    opened = verifier.open(order, now)
    if isinstance(opened, AdmissionReason):
        return _FLAWS[opened]
    header, content = opened
    if header.typ != ORDER_TYPE or header.alg != HS256:
        return _FLAWS[AdmissionReason.MALFORMED]
    try:
        claims = _read_claims(content)
        meant = OrderAction(claims.act)
    except UNREADABLE:
        return _FLAWS[AdmissionReason.MALFORMED]
    if claims.iss != ORDER_ISSUER:
        return _FLAWS[AdmissionReason.MALFORMED]
    if claims.aud != unit_id:
        return _FLAWS[AdmissionReason.WRONG_UNIT]
    if now > claims.exp + LEEWAY_S:
        return OrderRefusal(
            flaw=OrderFlaw.EXPIRED, message="the order has expired; make a fresh one"
        )
    if now < claims.iat - LEEWAY_S:
        return OrderRefusal(
            flaw=OrderFlaw.NOT_YET_VALID,
            message="the order is from the future; check the clocks of both sides",
        )
    if meant is not action:
        return OrderRefusal(
            flaw=OrderFlaw.WRONG_ACTION, message=f"the order is to {meant}, not to {action}"
        )
    return Order(
        action=action,
        tenant=claims.tenant,
        client_id=claims.sub,
        epoch=claims.epoch,
        expires_at=float(claims.exp),
    )
