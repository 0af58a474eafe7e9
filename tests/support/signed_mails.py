"""Mails with DKIM signatures, and the keys that DNS would have."""

from __future__ import annotations

from base64 import b64encode
from functools import cache

import dkim
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

SELECTOR = "s1"


@cache
def _key(bits: int) -> tuple[bytes, bytes]:
    key = rsa.generate_private_key(65537, bits)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return private, b"v=DKIM1; k=rsa; p=" + b64encode(public)


def signed(mail: bytes, domain: str, *, bits: int = 1024, length: bool = False) -> bytes:
    """The mail with a signature of the domain before it."""
    signature: bytes = dkim.sign(
        mail, SELECTOR.encode(), domain.encode(), _key(bits)[0],
        include_headers=[b"from", b"subject"], length=length,
        canonicalize=(b"relaxed", b"relaxed"),
    )  # fmt: skip
    return signature + mail


def key_record(*, bits: int = 1024) -> bytes:
    """The text at `s1._domainkey.<domain>`."""
    return _key(bits)[1]
