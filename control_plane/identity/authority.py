"""Authority: a certificate authority of one's own, for one machine and for tests.

`homeport up` makes one, so that everything on the machine speaks TLS and knows its peers. It signs
with ECDSA on P-256 and keeps no list of what it has issued: what matters elsewhere is issued by an
authority that is operated, such as SPIRE or cert-manager.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLOCKS_DIFFER = timedelta(hours=1)  # how long before its making a certificate is good already


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """certificate: PEM."""

    certificate: bytes
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, name: str, *, now: datetime, lasts: timedelta = timedelta(days=3650)) -> Self:
        """One that signs itself. `now` with its time zone."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _builder(subject, subject, key, now, lasts).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        usage = _usage(signs_certificates=True)
        certificate = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
        return cls(certificate=certificate.public_bytes(serialization.Encoding.PEM), key=key)

    @classmethod
    def of(cls, certificate: bytes, key: bytes) -> Self:
        """One that was made before, from PEM. Raises ValueError where they are none of ours."""
        loaded = serialization.load_pem_private_key(key, password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise ValueError("the key of the authority is not one of an elliptic curve")
        if x509.load_pem_x509_certificate(certificate).public_key() != loaded.public_key():
            raise ValueError("the key of the authority is not that of its certificate")
        return cls(certificate=certificate, key=loaded)

    def is_good(self, now: datetime, *, for_another: timedelta = timedelta(days=366)) -> bool:
        """Whether what it issues now is good for so long."""
        certificate = x509.load_pem_x509_certificate(self.certificate)
        return (
            certificate.not_valid_before_utc <= now
            and now + for_another <= certificate.not_valid_after_utc
        )

    @property
    def key_pem(self) -> bytes:
        """For its owner alone."""
        return _key_pem(self.key)

    def issue(
        self,
        name: str,
        *,
        now: datetime,
        lasts: timedelta = timedelta(days=365),
        hosts: Sequence[str] = (),
        addresses: Sequence[str] = (),
        uris: Sequence[str] = (),
    ) -> tuple[bytes, bytes]:
        """A certificate for servers and clients with these alternative names, and its new key;
        PEM. Raises ValueError for what is no host, address or URI."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.certificate)
        builder = (
            _builder(_name(name), issuer.subject, key, now, lasts)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        names: list[x509.GeneralName] = [
            *(x509.DNSName(host) for host in hosts),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
            *(x509.UniformResourceIdentifier(uri) for uri in uris),
        ]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM), _key_pem(key)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    lasts: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
