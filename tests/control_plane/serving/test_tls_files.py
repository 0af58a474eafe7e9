"""The certificate of a server as its files say now: replaced, half replaced, broken, gone."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput
from control_plane.serving.tls import LOOK_EVERY_S, TlsFiles
from tests.support.certificates import Authority


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def later(self) -> None:
        self.now += LOOK_EVERY_S


@pytest.fixture
def authority() -> Authority:
    return Authority.new()


def write(folder: Path, certificate: bytes | None, key: bytes | None) -> None:
    """Each with a time of its own: within a tick of the file system's clock nobody could tell."""
    for name, content in (("c.pem", certificate), ("k.pem", key)):
        if content is not None:
            (folder / name).write_bytes(content)
            stamp = time.time_ns() + write.turn * 1_000_000
            os.utime(folder / name, ns=(stamp, stamp))
            write.turn += 1


write.turn = 0  # type: ignore[attr-defined]


def files(folder: Path, clock: Clock, ca: Path | None = None) -> TlsFiles:
    return TlsFiles(folder / "c.pem", folder / "k.pem", ca, clock=clock)


def test_a_replaced_certificate_is_shown_a_second_later(
    tmp_path: Path, authority: Authority
) -> None:
    clock = Clock()
    write(tmp_path, *authority.issue(addresses=["127.0.0.1"]))
    tls = files(tmp_path, clock)
    first = tls.latest()
    new = authority.issue(addresses=["127.0.0.1"])
    write(tmp_path, *new)
    assert tls.latest() is first
    clock.later()
    assert (tls.latest().certificate, tls.latest().key) == new


def test_a_broken_replacement_is_said_once_and_the_old_one_stays(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    write(tmp_path, *authority.issue(addresses=["127.0.0.1"]))
    tls = files(tmp_path, clock)
    first = tls.latest()
    for broken in (b"", b"junk", authority.issue()[0]):
        caplog.clear()
        write(tmp_path, broken, None)
        with caplog.at_level(logging.INFO):
            for _ in range(5):
                clock.later()
                assert tls.latest() is first
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert "goes on being shown" in caplog.text
    (tmp_path / "c.pem").unlink()
    caplog.clear()
    for _ in range(5):
        clock.later()
        assert tls.latest() is first
    assert len(caplog.records) == 1
    new = authority.issue(addresses=["127.0.0.1"])
    write(tmp_path, *new)
    clock.later()
    assert tls.latest().certificate == new[0]


def test_files_replaced_one_after_the_other_are_no_fault(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    write(tmp_path, *authority.issue(addresses=["127.0.0.1"]))
    tls = files(tmp_path, clock)
    first = tls.latest()
    certificate, key = authority.issue(addresses=["127.0.0.1"])
    write(tmp_path, certificate, None)
    clock.later()
    assert tls.latest() is first
    write(tmp_path, None, key)
    clock.later()
    assert tls.latest().certificate == certificate
    assert caplog.records == []


@pytest.mark.parametrize(
    ("certificate", "key", "ca", "field", "said"),
    [
        pytest.param(b"", None, None, "tls_certificate", "no certificate in PEM", id="empty"),
        pytest.param(None, b"", None, "tls_certificate", "no key in PEM", id="no key"),
        pytest.param(
            None, Authority.new().issue()[1], None, "tls_certificate",
            "not that of the certificate", id="another's key",
        ),
        pytest.param(
            None, b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n", None, "tls_certificate",
            "is encrypted", id="an encrypted key",
        ),
        pytest.param(
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", None, None,
            "tls_certificate", "does not read", id="cut off",
        ),
        pytest.param(
            b"x" * (2 << 20), None, None, "tls_certificate", "more than", id="too long"
        ),
        pytest.param(None, None, b"x", "tls_client_ca", "no certificate in PEM", id="no ca"),
        pytest.param(None, None, b"", "tls_client_ca", "no certificate in PEM", id="an empty ca"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_at_the_start(
    tmp_path: Path,
    authority: Authority,
    certificate: bytes | None,
    key: bytes | None,
    ca: bytes | None,
    field: str,
    said: str,
) -> None:
    good = authority.issue(addresses=["127.0.0.1"])
    write(
        tmp_path,
        good[0] if certificate is None else certificate,
        good[1] if key is None else key,
    )
    (tmp_path / "ca.pem").write_bytes(authority.certificate if ca is None else ca)
    with pytest.raises(InvalidInput, match=said) as raised:
        files(tmp_path, Clock(), tmp_path / "ca.pem")
    assert raised.value.field == field


@pytest.mark.parametrize("missing", ["c.pem", "k.pem", "ca.pem"])
def test_a_file_that_is_not_there_is_named(
    tmp_path: Path, authority: Authority, missing: str
) -> None:
    write(tmp_path, *authority.issue())
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    (tmp_path / missing).unlink()
    with pytest.raises(InvalidInput, match=rf"{missing} cannot be read"):
        files(tmp_path, Clock(), tmp_path / "ca.pem")
