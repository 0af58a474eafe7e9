"""The command line and a service that speaks TLS."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.command_line import CommandLine
from tests.support.fakes.provisioning_service import FakeProvisioning
from tests.support.fakes.server import Served, serving


def self_signed() -> tuple[bytes, bytes]:
    """Key and certificate for 127.0.0.1, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "homeport test")])
    now = datetime.datetime.now(datetime.UTC)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
    )


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return tmp_path / "ca.pem"


@pytest.fixture
def secured(ca: Path) -> Iterator[Served]:
    """A service with a certificate that `ca` vouches for."""
    key, certificate = self_signed()
    ca.write_bytes(certificate)
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    with serving(FakeProvisioning(), credentials=credentials) as served:
        yield served


def test_a_certificate_of_the_ca_is_trusted(cli: CommandLine, secured: Served, ca: Path) -> None:
    ran = cli("provision", "alice", "--server", secured.address, "--ca", str(ca), "-o", "json")
    assert (ran.code, ran.document["unit"]) == (0, "unit-0")


def test_the_commands_of_operators_speak_tls_too(
    cli: CommandLine, secured: Served, ca: Path
) -> None:
    """The fake has no fleet, but says so over TLS: the call has reached it."""
    ran = cli("units", "list", "--server", secured.address, "--ca", str(ca))
    assert ran.code == 1
    assert "Method not found" in ran.err


@pytest.mark.parametrize(
    "trust", [pytest.param([], id="no TLS"), pytest.param(["--ca", "system"], id="other roots")]
)
def test_nothing_is_asked_without_trust(
    cli: CommandLine, secured: Served, trust: list[str]
) -> None:
    ran = cli("get", "alice", "--server", secured.address, *trust)
    assert (ran.code, ran.out) == (5, "")
    assert secured.provisioning is not None
    assert secured.provisioning.seen == []


def test_a_ca_file_that_is_not_there_is_wrong_usage(cli: CommandLine, secured: Served) -> None:
    ran = cli("get", "alice", "--server", secured.address, "--ca", "/nonexistent.pem")
    assert (ran.code, ran.out) == (2, "")
    assert "/nonexistent.pem cannot be read" in ran.err
