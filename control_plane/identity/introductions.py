"""Introductions: "for this viewer, to that account at your unit", signed for the unit.

Whoever resolves an identifier is given one by the control plane, and shows it to the unit where the
account is at home; so units need no keys of each other. A JWT made with the receiving unit's own
ticket key, good for ten minutes, that the unit checks offline. It is typed apart from tickets and
orders (RFC 8725, section 3.11: another `typ`, another `iss`), so none passes for another. A refusal
is a result with a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec

from control_plane.identity import keyring
from control_plane.identity.admission import LEEWAY_S, AdmissionReason, TicketVerifier
from control_plane.identity.departures import Departed
from control_plane.identity.jws import HS256, UNREADABLE, Hs256Signer
from control_plane.identity.keyring import KeyEpoch
from control_plane.identity.tickets import TicketIssuer, hs256_key_id

INTRODUCTION_ISSUER = "homeport-introductions"
INTRODUCTION_TYPE = "homeport-introduction+jwt"
INTRODUCTION_TTL_S = 600.0
MOST_SIGNERS = 20_000  # that are kept: some 500 bytes each


class IntroductionFlaw(StrEnum):
    """Why an introduction is refused."""

    MALFORMED = "malformed"
    FORGED = "forged"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WRONG_UNIT = "wrong-unit"
    STALE_EPOCH = "stale-epoch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """A good introduction: for this viewer, to that account at its home of this epoch."""

    tenant: str
    account: str
    epoch: int  # of the account's assignment
    viewer: str  # an account of the same tenant; empty: nobody in particular
    from_unit: str  # whose client the viewer is; empty: not a unit's
    first_ms: int = 0  # when this life of the account's client began, Unix ms; 0: not known
    expires_at: float  # Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class IntroductionRefusal:
    """Why an introduction is worth nothing here."""

    flaw: IntroductionFlaw
    message: str
    departed: Departed | None = None  # of a stale epoch: where the account went


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Claims(msgspec.Struct):
    iss: str
    aud: str
    sub: str
    tenant: str
    epoch: _Count
    viewer: str
    unit: str
    iat: _Count
    exp: _Count
    first: _Count = 0


_read_claims = msgspec.json.Decoder(_Claims).decode
_write_claims = msgspec.json.Encoder().encode


class IntroductionIssuer:
    """Makes introductions with the keys of the tickets."""

    def __init__(self, issuer: TicketIssuer) -> None:
        self._issuer = issuer
        self._signers: dict[tuple[int, str, str], Hs256Signer] = {}  # by epoch, its key, unit

    def make(
        self,
        unit_id: str,
        tenant: str,
        account: str,
        epoch: int,
        now: float,
        *,
        viewer: str = "",
        from_unit: str = "",
        first_ms: int = 0,
    ) -> str:
        """An introduction to an account at its home `unit_id`, good for INTRODUCTION_TTL_S from
        `now` (Unix seconds). first_ms: when this life of the account's client began, Unix ms; 0:
        not known. The ids have been checked."""
        key_epoch = self._issuer.ring.signing(now)
        claims = _Claims(
            iss=INTRODUCTION_ISSUER,
            aud=unit_id,
            sub=account,
            tenant=tenant,
            epoch=epoch,
            viewer=viewer,
            unit=from_unit,
            iat=int(now),
            exp=int(now + INTRODUCTION_TTL_S),
            first=first_ms,
        )
        signer = self._signers.get((key_epoch.epoch, key_epoch.master, unit_id))
        return (signer or self._signer(key_epoch, unit_id)).sign(_write_claims(claims))

    def _signer(self, epoch: KeyEpoch, unit_id: str) -> Hs256Signer:
        """Deriving a key takes longer than signing with it; a signer is kept for each unit."""
        if len(self._signers) >= MOST_SIGNERS:
            self._signers.clear()
        made = self._signers[epoch.epoch, epoch.master, unit_id] = Hs256Signer(
            keyring.unit_key(epoch, unit_id),
            key_id=hs256_key_id(epoch.epoch),
            typ=INTRODUCTION_TYPE,
        )
        return made


def _refusal(flaw: IntroductionFlaw, message: str) -> IntroductionRefusal:
    return IntroductionRefusal(flaw=flaw, message=message)


_UNOPENED = {
    AdmissionReason.MALFORMED: _refusal(
        IntroductionFlaw.MALFORMED, "this is not an introduction; resolve the account for one"
    ),
    AdmissionReason.FORGED: _refusal(
        IntroductionFlaw.FORGED,
        "the introduction's signature does not hold; resolve the account again",
    ),
    AdmissionReason.WRONG_UNIT: _refusal(
        IntroductionFlaw.WRONG_UNIT,
        "the introduction is for another unit; show it at the endpoint that came with it",
    ),
}


def check_introduction(
    introduction: str, verifier: TicketVerifier, unit_id: str, now: float
) -> Introduction | IntroductionRefusal:
    """An introduction as the unit that it was made for reads it with its ticket keys, or why it is
    refused. `now` is Unix seconds."""
    opened = verifier.open(introduction, now)
    if isinstance(opened, AdmissionReason):
        return _UNOPENED[opened]
    header, content = opened
    if header.typ != INTRODUCTION_TYPE or header.alg != HS256:
        return _UNOPENED[AdmissionReason.MALFORMED]
    try:
        claims = _read_claims(content)
    except UNREADABLE:
        return _UNOPENED[AdmissionReason.MALFORMED]
    if claims.iss != INTRODUCTION_ISSUER:
        return _UNOPENED[AdmissionReason.MALFORMED]
    if claims.aud != unit_id:
        return _UNOPENED[AdmissionReason.WRONG_UNIT]
    if now > claims.exp + LEEWAY_S:
        return _refusal(
            IntroductionFlaw.EXPIRED, "the introduction has expired; resolve the account again"
        )
    if now < claims.iat - LEEWAY_S:
        return _refusal(
            IntroductionFlaw.NOT_YET_VALID,
            "the introduction is from the future; check the clocks of both sides",
        )
    departed = verifier.departures.find(claims.tenant, claims.sub)
    if departed is not None and departed.ends(claims.epoch, claims.iat, claims.first):
        return IntroductionRefusal(
            flaw=IntroductionFlaw.STALE_EPOCH,
            message="the account has moved since; resolve it again",
            departed=departed,
        )
    return Introduction(
        tenant=claims.tenant,
        account=claims.sub,
        epoch=claims.epoch,
        viewer=claims.viewer,
        from_unit=claims.unit,
        first_ms=claims.first,
        expires_at=float(claims.exp),
    )
