"""The command line and a service that speaks TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.support.certificates import self_signed
from tests.support.command_line import CommandLine
from tests.support.fakes.provisioning_service import FakeProvisioning
from tests.support.fakes.server import Served, serving


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return tmp_path / "ca.pem"


@pytest.fixture
def secured(ca: Path) -> Iterator[Served]:
    """A service with a certificate that `ca` vouches for."""
    certificate, key = self_signed()
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


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "holds no certificate", id="empty"),
        pytest.param(self_signed()[1], "holds no certificate", id="a key"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\nx", "holds no certificate", id="cut off"),
        pytest.param(b"\x30\x82\xff", "holds no certificate", id="DER"),
    ],
)
@pytest.mark.parametrize("words", [["units", "list"], ["get", "alice"]], ids=" ".join)
def test_a_ca_file_without_a_certificate_is_wrong_usage(
    cli: CommandLine, secured: Served, ca: Path, words: list[str], content: bytes, says: str
) -> None:
    ca.write_bytes(content)
    ran = cli(*words, "--server", secured.address, "--ca", str(ca))
    assert (ran.code, ran.out) == (2, "")
    assert f"--ca {ca} {says}" in ran.err


@pytest.mark.parametrize("words", [["units", "list"], ["get", "alice"]], ids=" ".join)
@pytest.mark.parametrize("trust", ["system", "another CA"])
def test_a_certificate_that_is_not_trusted_is_said_to_be_that(
    cli: CommandLine, secured: Served, ca: Path, words: list[str], trust: str
) -> None:
    if trust != "system":
        ca.write_bytes(self_signed()[0])
        trust = str(ca)
    ran = cli(*words, "--server", secured.address, "--ca", trust)
    assert (ran.code, ran.out) == (5, "")
    assert ran.err.startswith(
        f"homeport: the certificate of the server at {secured.address} is not trusted with "
        f"--ca {trust} (self"
    )
    assert "no Homeport server" not in ran.err


def test_a_server_that_its_certificate_does_not_name_is_not_trusted(
    cli: CommandLine, ca: Path
) -> None:
    certificate, key = self_signed("127.0.0.2")
    ca.write_bytes("# für alle\n".encode() + certificate)
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    with serving(FakeProvisioning(), credentials=credentials) as named_otherwise:
        ran = cli("units", "list", "--server", named_otherwise.address, "--ca", str(ca))
    assert (ran.code, ran.out) == (5, "")
    assert "is not trusted with --ca" in ran.err
    assert "not valid for '127.0.0.1'" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["units", "list"], id="an operator's command"),
        pytest.param(["get", "alice"], id="a client's command"),
    ],
)
def test_where_only_the_server_speaks_tls_that_is_said(
    cli: CommandLine, secured: Served, words: list[str]
) -> None:
    ran = cli(*words, "--server", secured.address)
    assert (ran.code, ran.out) == (5, "")
    assert ran.err == (
        f"homeport: the server at {secured.address} speaks TLS, and this command does not: add "
        "--ca FILE with the CA of its certificate, or --ca system\n"
    )


@pytest.mark.parametrize("words", [["units", "list"], ["get", "alice"]], ids=" ".join)
def test_where_only_the_command_speaks_tls_that_is_said(cli: CommandLine, words: list[str]) -> None:
    with serving(FakeProvisioning()) as plain:
        ran = cli(*words, "--server", plain.address, "--ca", "system")
    assert (ran.code, ran.out) == (5, "")
    assert "this command speaks TLS (--ca system), and the server at" in ran.err
    assert "no Homeport server" not in ran.err


def test_a_server_that_is_not_there_says_nothing_of_tls(cli: CommandLine) -> None:
    ran = cli("units", "list", "--server", "127.0.0.1:1")
    assert ran.code == 5
    assert "TLS" not in ran.err


def test_a_server_whose_certificate_is_not_trusted_does_speak_tls(
    cli: CommandLine, secured: Served
) -> None:
    ran = cli("units", "list", "--server", secured.address, "--ca", "system")
    assert ran.code == 5
    assert "does not: " not in ran.err
