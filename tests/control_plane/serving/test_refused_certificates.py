"""Callers whom the client CA does not vouch for are named in the log by what is wrong with their
certificate; other failures of a handshake are not."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

import grpc
import pytest
from grpc import aio

from control_plane.once_per_address import EVERY_S
from control_plane.serving.refused_certificates import RefusedCertificates, why_refused
from control_plane.serving.server import Transport
from tests.support.certificates import Authority
from tests.support.tls_server import HOT, LATE_S, ask, server_files, serving_peers

SITE = Authority.new("site")
EXPIRED = "the client's certificate: certificate has expired"


def verification(message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_message = message
    return error


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        pytest.param(None, "the client showed no certificate", id="none"),
        pytest.param(SITE.issue(expired=True), EXPIRED, id="expired"),
        pytest.param(
            Authority.new("other").issue(), "unable to get local issuer certificate", id="other CA"
        ),
        pytest.param(
            Authority.new("site").issue(), "certificate signature failure", id="of the same name"
        ),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_told(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    shown: tuple[bytes, bytes] | None,
    said: str,
) -> None:
    certificate, key = shown or (None, None)
    credentials = grpc.ssl_channel_credentials(SITE.certificate, key, certificate)
    files = server_files(SITE, tmp_path, mutual=True)
    with caplog.at_level(logging.WARNING):
        async with serving_peers(Transport.NATIVE, files) as address:
            async with aio.secure_channel(address, credentials) as channel:
                with pytest.raises(aio.AioRpcError) as refused:
                    await ask(channel, HOT)
            async with asyncio.timeout(LATE_S):
                while said not in caplog.text:  # noqa: ASYNC110 - a thread of its own writes it
                    await asyncio.sleep(0.01)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "127.0.0.0/24: 1 handshakes refused: " in caplog.text


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"),
        ssl.SSLEOFError(8, "x"),
    ],
)
def test_strangers_noise_is_not_told(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    assert why_refused(error) is None
    RefusedCertificates(clock=lambda: 0.0).note("198.51.100.7", error)
    assert caplog.text == ""


def test_a_line_for_each_reason_network_and_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    refused = RefusedCertificates(clock=lambda: now[0])
    reasons = "certificate has expired", "self-signed certificate"
    for _ in range(10):
        for address in ("198.51.100.7", "198.51.100.8", "2001:db8::1", "fe80::1%eth0"):
            for reason in reasons:
                refused.note(address, verification(reason))
    assert len(caplog.records) == 6
    now[0] += EVERY_S
    refused.note("198.51.100.7", verification(reasons[0]))
    assert "19 before that were not told" in caplog.records[-1].getMessage()
