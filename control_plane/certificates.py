"""Whether certificates and keys can be used: read by OpenSSL, before anybody serves or calls.

The one who gave the wrong file hears which, and why, at the start; gRPC itself would say nothing
until the first handshake. Contents are PEM. What cannot be used is a ValueError.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509

MAX_PEM_BYTES = 1 << 20  # of one file: some hundred certificates


def read_bounded(path: Path) -> bytes:
    """A PEM file. Raises OSError; ValueError for one that is larger than any."""
    with path.open("rb") as file:
        content = file.read(MAX_PEM_BYTES + 1)
    if len(content) > MAX_PEM_BYTES:
        raise ValueError(f"it has more than {MAX_PEM_BYTES} bytes")
    return content


def check_certificate(certificate: bytes, key: bytes) -> None:
    """Raises ValueError where they are none, or not of one pair, or the key is encrypted."""
    load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)


def load_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Makes the context show this certificate, or chain, beginning with its own."""
    for what, content in (("certificate", certificate), ("key", key)):
        if len(content) > MAX_PEM_BYTES:
            raise ValueError(f"the {what} has more than {MAX_PEM_BYTES} bytes")
    if b"-----BEGIN CERTIFICATE-----" not in certificate:
        raise ValueError("there is no certificate in PEM")
    if b"PRIVATE KEY-----" not in key:
        raise ValueError("there is no key in PEM")
    if b"-----BEGIN ENCRYPTED" in key or b"Proc-Type: 4,ENCRYPTED" in key:
        raise ValueError("the key is encrypted, and nobody is there to give the password")
    try:
        with _as_file(certificate) as certificate_file, _as_file(key) as key_file:
            context.load_cert_chain(certificate_file, key_file, password=lambda: b"")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError("the key is not that of the certificate") from error
        raise ValueError(f"OpenSSL does not read them ({error.reason or 'no PEM'})") from error


def load_ca(context: ssl.SSLContext, ca: bytes) -> None:
    """Makes the context ask the other side for a certificate of this CA, or of one of these."""
    if len(ca) > MAX_PEM_BYTES:
        raise ValueError(f"the CA has more than {MAX_PEM_BYTES} bytes")
    try:
        if not x509.load_pem_x509_certificates(ca):
            raise ValueError("there is no certificate in PEM")
        context.load_verify_locations(cadata=ca.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError) as error:
        raise ValueError("there is no certificate in PEM that OpenSSL reads") from error
    context.verify_mode = ssl.CERT_REQUIRED


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path under which OpenSSL, which takes keys from files alone, reads the content; for its
    owner alone, and in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("pem", os.MFD_CLOEXEC)
        try:
            os.write(fd, content)
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)
        return
    with tempfile.NamedTemporaryFile() as file:  # made with mode 0600
        file.write(content)
        file.flush()
        yield file.name
