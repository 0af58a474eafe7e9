"""TCP timestamps of real connections to a real HTTP port, as the kernel has them."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from control_plane.http_serving.listener import HttpListener, peer_of_request
from deployment_units.services.device_graph.capture import StampAt, StampsTogether, SynStamps
from deployment_units.services.device_graph.evidence import MOST_STAMPS, TcpStamp

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="TCP_SAVED_SYN is Linux's; elsewhere there are no timestamps"
)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def port_of(stamps: SynStamps) -> AsyncIterator[tuple[str, int]]:
    """An HTTP port whose connections are observed; it answers who has called."""

    async def who(request: web.Request) -> web.Response:
        return web.Response(text=peer_of_request(request))

    listener = HttpListener(
        "127.0.0.1:0",
        what="a test",
        add_routes=lambda router: router.add_get("/", who),
        error=lambda status, text: web.Response(status=status, text=text),
        max_body_bytes=1_000,
        observer=stamps,
    )
    await listener.start()
    host, _, port = listener.address.rpartition(":")
    try:
        yield host, int(port)
    finally:
        await listener.stop()


async def call(host: str, port: int) -> str:
    """Who has called, as the server says, over a new connection."""
    async with asyncio.timeout(10.0):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: talk.example\r\nConnection: close\r\n\r\n")
        said = await reader.read()
        writer.close()
        await writer.wait_closed()
    return said.partition(b"\r\n\r\n")[2].decode()


async def test_each_connection_brings_the_timestamp_of_its_syn() -> None:
    before_ms = wall_ms()
    stamps = SynStamps(wall_ms=wall_ms)
    async with port_of(stamps) as (host, port):
        found = [stamps.of(await call(host, port)) for _ in range(2)]
    for one in found:
        assert isinstance(one, StampAt)
        assert one.server == f"ipv4:{host}:{port}"
        assert before_ms <= one.stamp.seen_ms <= wall_ms()
        assert 0 < one.stamp.value < 1 << 32
    assert len({one.stamp.connection for one in found if one is not None}) == 2
    assert stamps.of(f"ipv4:{host}:1") is None


async def test_of_a_socket_that_keeps_none_there_is_none() -> None:
    stamps = SynStamps(wall_ms=wall_ms)
    with socket.socket() as listening, socket.socket() as calling:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        calling.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            stamps.accepted(accepted)
            address, port = accepted.getpeername()
    assert stamps.of(f"ipv4:{address}:{port}") is None


async def test_a_connection_without_a_timestamp_has_none_of_an_earlier_one() -> None:
    """The same address and port, later."""
    stamps = SynStamps(wall_ms=wall_ms)
    async with port_of(stamps) as (host, port):
        peer = await call(host, port)
    assert stamps.of(peer) is not None

    class Again:
        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            return b""

        def getpeername(self) -> tuple[str, int]:
            address, _, number = peer.removeprefix("ipv4:").rpartition(":")
            return address, int(number)

        def getsockname(self) -> tuple[str, int]:
            return "127.0.0.1", 1

    stamps.accepted(Again())
    assert stamps.of(peer) is None


async def test_the_last_connections_are_remembered() -> None:
    stamps = SynStamps(wall_ms=wall_ms, most_connections=2)
    async with port_of(stamps) as (host, port):
        peers = [await call(host, port) for _ in range(3)]
    assert [stamps.of(one) is not None for one in peers] == [False, True, True]


def test_stamps_of_one_browser_at_one_address_of_ours() -> None:
    together = StampsTogether(most_keys=2)

    def came(connection: int, seen_ms: int, server: str = "a") -> StampAt:
        stamp = TcpStamp(connection=connection, value=0, seen_ms=seen_ms)
        return StampAt(server=server, stamp=stamp)

    assert len(together.add("x", came(1, 0))) == 1
    assert len(together.add("x", came(2, 10))) == 2
    assert len(together.add("x", came(2, 10))) == 2  # the same connection again
    assert len(together.add("x", came(3, 20, server="b"))) == 1
    assert len(together.add("x", came(4, 10_000_000))) == 1  # long after
    for number in range(5, 40):
        latest = together.add("x", came(number, 10_000_000))
    assert len(latest) == MOST_STAMPS
    together.add("y", came(50, 0))
    together.add("z", came(51, 0))
    assert len(together.add("x", came(52, 10_000_000))) == 1  # the longest unheard of went
