"""Credentials: what a caller shows as bearer, and of which form it is.

Forms are told apart here alone, before anything is looked up or verified. Tokens that Homeport
issues have a form that typing errors and secret scanners are told by:

    hp_ and 58 of a-z 2-7    256 random bits and their CRC-32, in base32 (RFC 4648)
"""

from __future__ import annotations

import binascii
import re
import zlib
from base64 import b32decode, b32encode
from enum import StrEnum

from control_plane.errors import Unauthenticated

TOKEN_BYTES = 32
MAX_CREDENTIAL_BYTES = 8 << 10
PREFIX = "hp_"
GROUP_PREFIX = "hmac."
ENROLMENT_PREFIXES = (GROUP_PREFIX, "boot.")
_CHECKSUM_BYTES = 4
_ISSUED = re.compile(r"hp_[a-z2-7]{58}")
_JWT = re.compile(r"ey[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")  # ey: {" in base64url


class CredentialForm(StrEnum):
    TOKEN = "token"  # looked up by its digest
    JWT = "jwt"
    ENROLMENT = "enrolment"  # a client's: of a group of its tenant, or for one use


# Members are looked up in their class at 0.1 us each, more than a check that a call is made of.
TOKEN, JWT, ENROLMENT = CredentialForm


def credential_form(text: str) -> CredentialForm:
    """Of a bearer's text, by its looks alone."""
    if text.startswith(ENROLMENT_PREFIXES):
        return ENROLMENT
    return JWT if _JWT.fullmatch(text) else TOKEN


def bearer_in(authorization: str | bytes) -> str:
    """What is shown as bearer in the value of `authorization`. Raises Unauthenticated where it is
    shown in another way, or is too long to be any."""
    text = authorization.decode("latin-1") if isinstance(authorization, bytes) else authorization
    if len(text) > MAX_CREDENTIAL_BYTES:
        raise Unauthenticated(f"authorization is longer than {MAX_CREDENTIAL_BYTES:,} bytes")
    kind, _, bearer = text.partition(" ")
    bearer = bearer.strip()
    # RFC 6750, section 2.1: of ASCII; HTTP hands other bytes on as what cannot be encoded again.
    if (kind != "Bearer" and kind.lower() != "bearer") or not bearer or not bearer.isascii():
        raise Unauthenticated("authorization must be `Bearer <token>`, in ASCII")
    return bearer


def new_token(random: bytes) -> str:
    """A token made of 32 bytes from a cryptographic source."""
    if len(random) != TOKEN_BYTES:
        raise ValueError(f"a token is made of {TOKEN_BYTES} bytes")
    content = random + zlib.crc32(random).to_bytes(_CHECKSUM_BYTES, "big")
    return PREFIX + b32encode(content).decode().rstrip("=").lower()


def is_mistyped(text: str) -> bool:
    """Whether it begins like a token of ours, and cannot be one."""
    return text.startswith(PREFIX) and not is_issued_token(text)


def is_issued_token(text: str) -> bool:
    """Whether it has the form of a token that `new_token` made, down to its checksum."""
    if not _ISSUED.fullmatch(text):
        return False
    encoded = text.removeprefix(PREFIX).upper()
    try:
        content = b32decode(encoded + "=" * (-len(encoded) % 8))
    except binascii.Error:
        return False
    return new_token(content[:TOKEN_BYTES]) == text  # one token has one form
