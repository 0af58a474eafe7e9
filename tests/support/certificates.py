"""Certificates for tests that speak TLS: of a CA made on the spot, or their own CA."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"
_DAY = datetime.timedelta(days=1)


def self_signed(address: str = LOOPBACK) -> tuple[bytes, bytes]:
    """A certificate for an address that is its own CA, and its key; PEM."""
    authority = Authority.new(addresses=[address])
    return authority.certificate, authority.key_pem


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A CA. certificate: PEM."""

    certificate: bytes
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @classmethod
    def new(
        cls, name: str = "homeport test", *, addresses: Sequence[str] = (), uris: Sequence[str] = ()
    ) -> Self:
        """Its certificate holds these alternative names as well."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        pem = _signed(
            subject, key, subject, key, alternatives(addresses=addresses, uris=uris), ca=True
        )
        return cls(certificate=pem, key=key, name=subject)

    @property
    def key_pem(self) -> bytes:
        return _key_pem(self.key)

    def issue(
        self,
        *,
        names: Sequence[str] = (),
        addresses: Sequence[str] = (),
        uris: Sequence[str] = (),
        expired: bool = False,
        days: int = 1,
    ) -> tuple[bytes, bytes]:
        """A certificate for these names, good for so many days, and its key; PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "homeport test leaf")])
        listed = alternatives(names=names, addresses=addresses, uris=uris)
        pem = _signed(subject, key, self.name, self.key, listed, ca=False, expired=expired,
                      days=days)  # fmt: skip
        return pem, _key_pem(key)

    def write(
        self,
        folder: Path,
        name: str,
        *,
        uris: Sequence[str] = (),
        expired: bool = False,
        days: int = 1,
    ) -> tuple[Path, Path]:
        """The files of a new certificate for loopback, and its key."""
        pem, key = self.issue(addresses=[LOOPBACK], uris=uris, expired=expired, days=days)
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        paths[0].write_bytes(pem)
        paths[1].write_bytes(key)
        return paths


def alternatives(
    *, names: Sequence[str] = (), addresses: Sequence[str] = (), uris: Sequence[str] = ()
) -> list[x509.GeneralName]:
    """As they stand in a certificate."""
    return [
        *(x509.DNSName(name) for name in names),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
        *(x509.UniformResourceIdentifier(uri) for uri in uris),
    ]


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    names: Sequence[x509.GeneralName],
    *,
    ca: bool,
    expired: bool = False,
    days: int = 1,
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 3 * _DAY)
        .not_valid_after(now - _DAY if expired else now + days * _DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
