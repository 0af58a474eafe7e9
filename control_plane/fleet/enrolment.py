"""Who may become a client of a tenant: the ways of enrolment, and the issuers whose tokens count.

Values and their bounds. What a caller shows is looked at in provisioner.provisioning.enrolment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from control_plane.errors import InvalidInput

MAX_ISSUERS = 8
MAX_TEXT = 512  # characters of an issuer, an audience or an address
MAX_CLAIM = 64
MAX_ATTRIBUTE_CLAIMS = 16
_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
MAX_JWKS_BYTES = 16 << 10
SUBJECT = "sub"


class EnrolmentMethod(StrEnum):
    OPEN = "open"  # whoever calls
    TOKEN = "token"  # who shows a token of the tenant: a JWT, an HMAC, or one of the tokens file
    X509 = "x509"  # who has a client certificate that names the client
    BOOTSTRAP = "bootstrap"  # who shows a token that can be used once


DEFAULT_METHODS = (EnrolmentMethod.TOKEN,)
"""Of a tenant that says nothing, on servers that ask for credentials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """An issuer of JWTs (RFC 7519) that name clients. Its keys are at an address, or in a JWK Set
    (RFC 7517) that is kept with the tenant."""

    issuer: str  # `iss`, to the letter
    audience: str  # to be in `aud`
    jwks_url: str = ""
    jwks: str = ""
    client_claim: str = SUBJECT  # the claim that has the client's id
    attribute_claims: dict[str, str] = field(default_factory=dict)  # attribute -> its claim


def check_enrolment(
    methods: Sequence[EnrolmentMethod], issuers: Sequence[TrustedIssuer], prefix: str
) -> None:
    """Raises InvalidInput for the first fault."""
    if len(set(methods)) != len(methods):
        raise InvalidInput(f"{prefix}enrolment", f"{prefix}enrolment names a way twice")
    if len(issuers) > MAX_ISSUERS:
        raise InvalidInput(
            f"{prefix}issuers", f"{prefix}issuers are {len(issuers)}; at most {MAX_ISSUERS}"
        )
    if len({one.issuer for one in issuers}) != len(issuers):
        raise InvalidInput(f"{prefix}issuers", f"{prefix}issuers name an issuer twice")
    for place, one in enumerate(issuers):
        _check_issuer(one, f"{prefix}issuers[{place}]")


def _check_issuer(one: TrustedIssuer, where: str) -> None:
    for name, text, most in (
        ("issuer", one.issuer, MAX_TEXT),
        ("audience", one.audience, MAX_TEXT),
        ("client_claim", one.client_claim, MAX_CLAIM),
    ):
        if not 0 < len(text) <= most:
            raise InvalidInput(
                f"{where}.{name}", f"{where}.{name} has {len(text)} characters; 1 to {most}"
            )
    if len(one.attribute_claims) > MAX_ATTRIBUTE_CLAIMS:
        raise InvalidInput(
            f"{where}.attribute_claims",
            f"{where}.attribute_claims has {len(one.attribute_claims)} entries; at most "
            f"{MAX_ATTRIBUTE_CLAIMS}",
        )
    for attribute, claim in one.attribute_claims.items():
        if not (_ATTRIBUTE.fullmatch(attribute) and 0 < len(claim) <= MAX_CLAIM):
            raise InvalidInput(
                f"{where}.attribute_claims",
                f"{where}.attribute_claims: an attribute is called 1 to 64 of A-Z a-z 0-9 '_' '-' "
                f"'.', and a claim has 1 to {MAX_CLAIM} characters",
            )
    if bool(one.jwks_url) == bool(one.jwks):
        raise InvalidInput(where, f"{where} needs a jwks_url or a jwks, and not both")
    if len(one.jwks_url) > MAX_TEXT or len(one.jwks.encode()) > MAX_JWKS_BYTES:
        raise InvalidInput(
            where,
            f"{where}: an address has at most {MAX_TEXT} characters, a jwks at most "
            f"{MAX_JWKS_BYTES:,} bytes",
        )
    if one.jwks_url and not one.jwks_url.startswith("https://"):
        raise InvalidInput(
            f"{where}.jwks_url", f"{where}.jwks_url is not https; keys come over TLS alone"
        )
