"""HTTP over TLS: callers with a certificate of the client CA are served, others are named in the
log, and handshakes are bounded."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from control_plane.http_serving.listener import HttpListener
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.tls import HTTP1, following
from tests.support.certificates import Authority
from tests.support.tls_server import server_files

WITHIN_S = 20.0
SITE = Authority.new("site")
REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def served(folder: Path, **limits: float) -> AsyncIterator[int]:
    """The port of a server that asks for a certificate of SITE."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text="served")

    listener = HttpListener(
        "127.0.0.1:0",
        what="a test",
        add_routes=lambda router: router.add_get("/", answer),
        error=lambda status, said: web.Response(status=status, text=said),
        max_body_bytes=1_000,
        tls=following(server_files(SITE, folder, mutual=True), HTTP1),
        limits=replace(ConnectionLimits(), **limits),
    )
    await listener.start()
    try:
        yield int(listener.address.rpartition(":")[2])
    finally:
        await listener.stop()


def context_of(folder: Path, shown: tuple[bytes, bytes] | None) -> ssl.SSLContext:
    """Of a client that takes any server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if shown is not None:
        both = folder / "client.pem"
        both.write_bytes(shown[0] + shown[1])
        context.load_cert_chain(both)
    return context


async def said_to(port: int, context: ssl.SSLContext | None) -> bytes:
    """What is answered; nothing: the connection ended."""
    async with asyncio.timeout(WITHIN_S):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            try:
                writer.write(REQUEST)
                return await reader.read()
            finally:
                writer.transport.abort()
        except OSError:
            return b""


async def test_a_certificate_of_the_client_ca_is_served(tmp_path: Path) -> None:
    async with served(tmp_path) as port:
        answers = await asyncio.gather(
            *(said_to(port, context_of(tmp_path, SITE.issue())) for _ in range(3))
        )
    assert all(one.endswith(b"served") for one in answers)


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        pytest.param(None, "the client showed no certificate", id="none"),
        pytest.param(SITE.issue(expired=True), "certificate has expired", id="expired"),
        pytest.param(Authority.new("other").issue(), "unable to get local issuer", id="other-CA"),
    ],
)
async def test_who_is_refused_is_in_the_log_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, shown: tuple[bytes, bytes] | None, why: str
) -> None:
    with caplog.at_level(logging.WARNING):
        async with served(tmp_path) as port:
            for _ in range(3):
                assert await said_to(port, context_of(tmp_path, shown)) == b""
            async with asyncio.timeout(WITHIN_S):
                while why not in caplog.text:  # noqa: ASYNC110 - a task of the server's writes it
                    await asyncio.sleep(0.01)
            assert (await said_to(port, context_of(tmp_path, SITE.issue()))).endswith(b"served")
    assert caplog.text.count("127.0.0.0/24: 1 handshakes refused: ") == 1


async def test_strangers_noise_is_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with served(tmp_path) as port:
            assert b"served" not in await said_to(port, None)  # it speaks no TLS
    assert "handshakes refused" not in caplog.text


async def test_of_too_many_handshakes_the_oldest_are_given_up(tmp_path: Path) -> None:
    async with served(tmp_path, handshakes=2) as port, asyncio.timeout(WITHIN_S):
        first, _ = await asyncio.open_connection("127.0.0.1", port)
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert await first.read() == b""  # it is closed
        assert (await said_to(port, context_of(tmp_path, SITE.issue()))).endswith(b"served")
        for _, writer in silent:
            writer.transport.abort()


async def test_a_handshake_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async with served(tmp_path, handshake_s=0.2) as port, asyncio.timeout(WITHIN_S):
        reader, _ = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
