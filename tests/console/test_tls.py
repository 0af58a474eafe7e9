"""The command line and a service that speaks TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.support.certificates import Authority, self_signed
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


@pytest.fixture
def authority() -> Authority:
    return Authority.new()


@pytest.fixture
def asking(authority: Authority, ca: Path) -> Iterator[Served]:
    """A service that asks its callers for a certificate."""
    ca.write_bytes(authority.certificate)
    certificate, key = authority.issue(addresses=["127.0.0.1"])
    credentials = grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=authority.certificate, require_client_auth=True
    )
    with serving(FakeProvisioning(), credentials=credentials) as served:
        yield served


def shown(files: tuple[Path, Path]) -> list[str]:
    return ["--certificate", str(files[0]), "--certificate-key", str(files[1])]


@pytest.mark.parametrize("words", [["units", "list"], ["get", "alice"]], ids=" ".join)
@pytest.mark.parametrize("by", ["flags", "environment", "profile"])
def test_a_server_that_asks_for_a_certificate_is_shown_one(
    cli: CommandLine,
    asking: Served,
    authority: Authority,
    ca: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    by: str,
) -> None:
    certificate, key = authority.write(tmp_path, "me")
    more = shown((certificate, key)) if by == "flags" else []
    if by == "environment":
        monkeypatch.setenv("HOMEPORT_CERTIFICATE", str(certificate))
        monkeypatch.setenv("HOMEPORT_CERTIFICATE_KEY", str(key))
    if by == "profile":
        profile = tmp_path / "config.toml"
        profile.write_text(
            f'[profiles.p]\nca = "{ca}"\ncertificate = "{certificate}"\ncertificate_key = "{key}"\n'
        )
        more = ["--config", str(profile), "--profile", "p"]
    ran = cli(*words, "--server", asking.address, "--ca", str(ca), *more)
    assert "Method not found" in ran.err or "no assignment" in ran.err or ran.code == 0
    assert ran.code != 5


@pytest.mark.parametrize("words", [["units", "list"], ["get", "alice"]], ids=" ".join)
@pytest.mark.parametrize("what", ["none", "of another CA", "expired"])
def test_without_a_certificate_that_the_server_takes_that_is_said(
    cli: CommandLine,
    asking: Served,
    authority: Authority,
    ca: Path,
    tmp_path: Path,
    words: list[str],
    what: str,
) -> None:
    more = []
    if what != "none":
        issuer = authority if what == "expired" else Authority.new("another")
        more = shown(issuer.write(tmp_path, "me", expired=what == "expired"))
    ran = cli(*words, "--server", asking.address, "--ca", str(ca), *more)
    assert (ran.code, ran.out) == (5, "")
    assert f"the server at {asking.address} asks for a certificate" in ran.err
    assert "give --certificate FILE and --certificate-key FILE" in ran.err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--certificate", "{c}"], "belong together"),
        (["--certificate-key", "{k}"], "belong together"),
        (["--certificate", "{c}", "--certificate-key", "/nonexistent"], "cannot be read"),
        (["--certificate", "{k}", "--certificate-key", "{k}"], "no certificate in PEM"),
        (["--certificate", "{c}", "--certificate-key", "{c}"], "no key in PEM"),
        (["--certificate", "{c}", "--certificate-key", "{other}"], "not that of the certificate"),
    ],
)
def test_a_certificate_that_cannot_be_shown_is_wrong_usage(
    cli: CommandLine,
    authority: Authority,
    ca: Path,
    tmp_path: Path,
    more: list[str],
    said: str,
) -> None:
    ca.write_bytes(authority.certificate)
    certificate, key = authority.write(tmp_path, "me")
    _, other = authority.write(tmp_path, "other")
    words = [word.format(c=certificate, k=key, other=other) for word in more]
    for command in (["units", "list"], ["get", "alice"]):
        ran = cli(*command, "--server", "127.0.0.1:1", "--ca", str(ca), *words)
        assert (ran.code, ran.out) == (2, "")
        assert said in ran.err
