"""Who may become a client of a tenant: the ways of enrolment, and the issuers whose tokens count.

Values and their bounds. What a caller shows is looked at in provisioner.provisioning.enrolment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from control_plane.errors import InvalidInput

MAX_ISSUERS = 8
MAX_TEXT = 512  # characters of an issuer, an audience or an address
MAX_CLAIM = 64
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
