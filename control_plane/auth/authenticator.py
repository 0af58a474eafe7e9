"""Authenticator: who makes a call, by the bearer it shows and the certificate of its connection.

What a bearer is goes by where it was issued, before its form: one that the tokens file has is that
entry, whatever it looks like; only one that a group's key made for its client is not looked for
there (`strangers_enrol`). A bearer counts before a certificate, which then only has to fit: a
unit's or a platform's own connection carries nobody else's token. What is refused is counted and
logged by its reason; the caller hears one text.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from control_plane.auth.callers import Caller
from control_plane.auth.certificate_callers import CertificateCallers, is_others
from control_plane.auth.credentials import ENROLMENT, JWT, is_mistyped
from control_plane.auth.jwt_verifier import ClaimedIssuers, JwtRefused, JwtVerifier
from control_plane.auth.refusals import Refusals
from control_plane.auth.shown import Bearer, ShownCredentials
from control_plane.auth.tokens import TokenEntry, Tokens
from control_plane.printable import quoted
from control_plane.serving.peer_identity import PeerIdentity


class TokenSource(Protocol):
    """Where tokens come from."""

    def current(self) -> Tokens:
        """The entries that count now."""


class TokenRefusal(StrEnum):
    """Why a bearer is refused, beside the reasons of JWTs."""

    UNKNOWN = "unknown-token"  # or revoked: the file has it no more
    EXPIRED = "expired-token"
    MISTYPED = "mistyped-token"
    OF_ANOTHER = "certificate-of-another"


class Authenticator:
    """operators: verifies the JWTs of operators; tickets: those of clients; certificates: knows the
    peers. clients_enrol: what clients of a tenant show, others look at: it names nobody here. wall:
    Unix seconds."""

    def __init__(
        self,
        tokens: TokenSource,
        *,
        refusals: Refusals,
        wall: Callable[[], float],
        operators: JwtVerifier[Caller] | None = None,
        tickets: JwtVerifier[Caller] | None = None,
        certificates: CertificateCallers | None = None,
        clients_enrol: bool = False,
    ) -> None:
        self._tokens = tokens
        self._refusals = refusals
        self._wall = wall
        self._operators = operators
        self._tickets = tickets
        self._certificates = certificates
        self._clients_enrol = clients_enrol
        self._strangers_enrol = clients_enrol and certificates is None
        self._claimed = ClaimedIssuers()

    def caller(self, shown: ShownCredentials, identity: PeerIdentity | None) -> Caller | None:
        """Who showed this over a connection with that identity; None: it shows nothing that names
        anybody. Raises Unauthenticated."""
        bearer = shown.bearer()
        certificate = self._certificates.caller(identity) if self._certificates else None
        if bearer is None:
            return certificate
        entry = self._tokens.current().find(bearer.text)
        if entry is None and self._clients_enrol and self._is_clients(bearer):
            return certificate
        caller = self._of_bearer(bearer, entry)
        if certificate is not None and is_others(certificate, caller):
            self._refusals.refuse(
                TokenRefusal.OF_ANOTHER,
                f"{certificate.name} sent the credential of {quoted(caller.name)}",
            )
        return caller

    @property
    def strangers_enrol(self) -> bool:
        """Whether clients enrol here and no certificate names any of them: whoever shows a token
        that a group's key made for its client is that client, and nobody else."""
        return self._strangers_enrol

    def note_stranger(self, shown: ShownCredentials, identity: PeerIdentity | None) -> None:
        """That somebody of whom `caller` says None was turned away: why, where it is for what the
        certificate says."""
        if self._certificates is not None and shown.bearer() is None:
            self._refusals.count(*self._certificates.why_nobody(identity))

    def note_denial(self, reason: str, text: str) -> None:
        """That somebody who is known was turned away. text: as the caller hears it."""
        self._refusals.tell(reason, f"a call was denied: {text}")

    def _is_clients(self, bearer: Bearer) -> bool:
        """Whether it is of a form that only clients show: a token for enrolment, or a JWT of
        another issuer than that of operators."""
        if bearer.form is ENROLMENT:
            return True
        return bearer.form is JWT and (
            self._operators is None or self._claimed.of(bearer.text) != self._operators.issuer
        )

    def _verifier_of(self, bearer: Bearer) -> JwtVerifier[Caller] | None:
        """Who looks at a JWT; None: nobody."""
        tickets = self._tickets
        if tickets is not None and self._claimed.of(bearer.text) == tickets.issuer:
            return tickets
        return self._operators

    def _of_bearer(self, bearer: Bearer, entry: TokenEntry | None) -> Caller:
        """entry: what the tokens file has of it."""
        if entry is None:
            verifier = self._verifier_of(bearer) if bearer.form is JWT else None
            if verifier is not None:
                try:
                    return verifier.verify(bearer.text)
                except JwtRefused as refused:
                    self._refusals.refuse(refused.reason, str(refused))
            if is_mistyped(bearer.text):
                self._refusals.refuse(TokenRefusal.MISTYPED, "it fails its checksum")
            self._refusals.refuse(TokenRefusal.UNKNOWN, "the tokens file does not have it")
        if entry.expires_at is not None and self._wall() >= entry.expires_at:
            self._refusals.refuse(
                TokenRefusal.EXPIRED, f"that of {quoted(entry.caller.name)} is over"
            )
        return entry.caller
