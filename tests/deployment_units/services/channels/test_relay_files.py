"""RelayFiles: a TLS context is made once, and anew where its files have changed."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput
from deployment_units.services.channels.relay_files import LOOK_EVERY_S, RelayFiles
from tests.support.certificates import Authority


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def replace(path: Path, content: bytes) -> None:
    """As a mounted secret is: by another file."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.chmod(0o600)
    os.replace(new, path)


def authorities(context: ssl.SSLContext) -> list[bytes]:
    return context.get_ca_certs(binary_form=True)


async def test_one_context_for_all_until_the_files_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca, password, clock = tmp_path / "ca.pem", tmp_path / "password", Clock()
    replace(ca, Authority.new().certificate)
    replace(password, b"beans\n")
    files = RelayFiles(verified=True, ca=ca, password=password, clock=clock)
    first = await files.latest()
    clock.now += LOOK_EVERY_S
    assert (await files.latest()) is first
    replace(ca, Authority.new().certificate)
    assert (await files.latest()) is first  # it has just been looked at
    clock.now += LOOK_EVERY_S
    second = await files.latest()
    assert authorities(second.tls) != authorities(first.tls)
    replace(password, b"peas\n")
    clock.now += LOOK_EVERY_S
    assert (await files.latest()).password == "peas"
    for content in (b"no certificate", Authority.new().certificate):
        replace(ca, content)
        clock.now += LOOK_EVERY_S
        found = await files.latest()
    assert authorities(found.tls) not in (authorities(second.tls), [])
    assert caplog.text.count("goes on being used") == 1
    assert "peas" not in caplog.text


def test_what_cannot_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    for content in (None, b"no certificate", b"\xff"):
        if content is not None:
            replace(tmp_path / "ca.pem", content)
        with pytest.raises(InvalidInput, match="mail_relay_ca"):
            RelayFiles(verified=True, ca=tmp_path / "ca.pem", clock=Clock())
    with pytest.raises(InvalidInput, match="mail_relay_password_file"):
        RelayFiles(verified=True, password=tmp_path / "none", clock=Clock())


async def test_opportunistic_tls_asks_for_no_certificate() -> None:
    files = RelayFiles(verified=False, clock=Clock())
    assert (await files.latest()).tls.verify_mode is ssl.CERT_NONE
