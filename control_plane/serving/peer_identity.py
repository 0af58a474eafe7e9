"""Who the other end of a connection is, by the certificate it has shown: a SPIFFE ID.

    spiffe://<trust domain>/unit/<unit>
    spiffe://<trust domain>/platform/<tenant>/<name>
    spiffe://<trust domain>/operator/<name>
    spiffe://<trust domain>/client/<tenant>/<client>

The only place that reads one. Which certificates are believed, TLS has decided before (the
client CA); what an identity may do is decided elsewhere. The form is that of the SPIFFE ID
standard (https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md), and the certificate
that of an X.509-SVID: one URI among its alternative names, and no CA's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography import x509
from grpc import aio

MAX_URI_BYTES = 2_048
MAX_CERTIFICATE_BYTES = 64 << 10
_PEM = "x509_pem_cert"  # gRPC's name for the certificate in the auth context of a call
_URI = re.compile(
    r"spiffe://(?P<trust_domain>[a-z0-9._-]{1,255})(?P<path>(?:/[A-Za-z0-9._-]+)*)",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerIdentity:
    """A SPIFFE ID. path: its segments, the kind first; may be empty, which names the trust
    domain itself."""

    trust_domain: str
    path: tuple[str, ...]

    @property
    def kind(self) -> str:
        """unit, platform, operator, client, or what else the certificate says; empty: nothing."""
        return self.path[0] if self.path else ""

    @property
    def names(self) -> tuple[str, ...]:
        """What follows the kind."""
        return self.path[1:]

    def __str__(self) -> str:
        return "/".join((f"spiffe://{self.trust_domain}", *self.path))


def parse_peer_identity(uris: Sequence[str]) -> PeerIdentity | None:
    """The identity in the URIs among a certificate's alternative names. None where there is not
    exactly one, or it is no SPIFFE ID: such a certificate opens the connection and names nobody.

    >>> str(parse_peer_identity(["spiffe://example.net/unit/berlin-1"]))
    'spiffe://example.net/unit/berlin-1'
    """
    if len(uris) != 1 or len(uris[0]) > MAX_URI_BYTES:
        return None
    found = _URI.fullmatch(uris[0])
    if found is None:
        return None
    path = tuple(found["path"].split("/")[1:])
    if any(segment in (".", "..") for segment in path):
        return None
    return PeerIdentity(trust_domain=found["trust_domain"].lower(), path=path)


@lru_cache(maxsize=4_096)
def identity_of_certificate(pem: bytes) -> PeerIdentity | None:
    """The identity of a certificate in PEM that TLS has verified; None: it names nobody."""
    if len(pem) > MAX_CERTIFICATE_BYTES:
        return None
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        if _is_ca(certificate):
            return None
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return None
    return parse_peer_identity(names.value.get_values_for_type(x509.UniformResourceIdentifier))


def identity_of(context: aio.ServicerContext[Any, Any]) -> PeerIdentity | None:
    """The verified identity of whoever makes this call, on either transport; None: it has shown
    no certificate, or one that names nobody. For hot calls there is `HotCall.peer_identity`."""
    return identity_in(context.auth_context())


def identity_in(auth_context: Mapping[str, Any]) -> PeerIdentity | None:
    """The same, from gRPC's auth context: a name to its values."""
    values = auth_context.get(_PEM)
    return identity_of_certificate(bytes(values[0])) if values else None


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return basic.value.ca
