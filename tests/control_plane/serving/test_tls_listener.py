"""The listener that ends TLS before the native transport: who holds nobody up, who gets past it,
and what is left of it when it ends."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.connections import Connections
from control_plane.serving.server import Server, Transport
from control_plane.serving.tls_listener import TlsListener, peer_of
from tests.support.certificates import Authority
from tests.support.tls_server import HOT, KINDS, LATE_S, ask, server_files, serving_peers


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new()


def secured(authority: Authority, address: str) -> aio.Channel:
    credentials = grpc.ssl_channel_credentials(authority.certificate)
    options = [("grpc.use_local_subchannel_pool", 1)]
    return aio.secure_channel(address, credentials, options=options)


def host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


async def ended(connected: socket.socket) -> None:
    """Returns once the other side has closed it. Raises TimeoutError."""
    connected.setblocking(False)
    async with asyncio.timeout(LATE_S):
        try:
            while await asyncio.get_running_loop().sock_recv(connected, 4_096):
                pass
        except ConnectionResetError:
            pass


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n", b"\x00" * 5_000])
async def test_who_does_not_finish_a_handshake_holds_nobody(
    tmp_path: Path, authority: Authority, first: bytes
) -> None:
    files = server_files(authority, tmp_path, mutual=False)
    limits = ConnectionLimits(handshake_s=0.5)
    async with serving_peers(Transport.NATIVE, files, limits=limits) as address:
        slow = [socket.create_connection(host_and_port(address)) for _ in range(50)]
        for one in slow:
            one.sendall(first)
        async with secured(authority, address) as channel:
            await ask(channel, HOT)
        for one in slow:
            await ended(one)
            one.close()


async def test_of_too_many_handshakes_the_oldest_are_given_up(
    tmp_path: Path, authority: Authority
) -> None:
    files = server_files(authority, tmp_path, mutual=False)
    limits = ConnectionLimits(handshakes=5, handshake_s=300.0, greeting_s=300.0)
    async with serving_peers(Transport.NATIVE, files, limits=limits) as address:
        slow = [socket.create_connection(host_and_port(address)) for _ in range(20)]
        for one in slow[:14]:
            await ended(one)
        for one in slow[-4:]:  # the newest are still waited for
            one.setblocking(False)
            with pytest.raises(BlockingIOError):
                one.recv(1, socket.MSG_PEEK)
        async with secured(authority, address) as channel:
            await ask(channel, HOT)
        for one in slow:
            one.close()


@pytest.fixture
def short_folder() -> Iterator[str]:
    """A path of a Unix socket has 107 bytes; folders of tests can be longer."""
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as folder:
        yield folder


@pytest.mark.parametrize("kind", [HOT, *KINDS])
async def test_who_goes_past_the_listener_is_refused(
    tmp_path: Path,
    authority: Authority,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    short_folder: str,
) -> None:
    """The server's own socket is for the listener alone, also for programs of the same user."""
    monkeypatch.setenv("TMPDIR", short_folder)
    monkeypatch.setattr("tempfile.tempdir", None)
    files = server_files(authority, tmp_path, mutual=True)
    async with serving_peers(Transport.NATIVE, files):
        (path,) = glob(f"{short_folder}/homeport-tls-*/server.sock")
        assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
        async with aio.insecure_channel(f"unix:{path}") as channel:
            with pytest.raises(aio.AioRpcError) as refused:
                await ask(channel, kind)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert glob(f"{short_folder}/homeport-tls-*") == []


async def test_a_connection_that_ends_is_forgotten_and_closed_on_both_sides(
    tmp_path: Path, authority: Authority
) -> None:
    files = server_files(authority, tmp_path, mutual=False)
    async with serving_peers(Transport.NATIVE, files) as address:
        async with secured(authority, address) as channel:
            await ask(channel, HOT)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            async with secured(authority, address) as channel:
                await ask(channel, HOT)
        async with asyncio.timeout(LATE_S):
            while len(os.listdir("/proc/self/fd")) > before + 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_reader_that_stops_is_waited_for_and_not_buffered_for(
    tmp_path: Path, authority: Authority
) -> None:
    """What a server sends to one who does not read stays in the server, not in the listener."""
    files, sent = server_files(authority, tmp_path, mutual=False), 0
    upstream = tmp_path / "u.sock"
    accepted: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)

    server = await asyncio.start_unix_server(serve, upstream)
    listener = TlsListener(
        files, Connections(lambda: "key"), str(upstream), limits=ConnectionLimits()
    )
    port = listener.bind("127.0.0.1:0", share_port=False)
    await asyncio.to_thread(listener.start)
    context = ssl.create_default_context(cadata=authority.certificate.decode())

    def connect() -> Any:
        plain = socket.create_connection(("127.0.0.1", port), LATE_S)
        return context.wrap_socket(plain, server_hostname="127.0.0.1")

    idle = await asyncio.to_thread(connect)
    async with asyncio.timeout(LATE_S):
        while not accepted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        try:
            for _ in range(1_000):
                accepted[0].write(b"x" * 65_536)
                async with asyncio.timeout(1.0):
                    await accepted[0].drain()
                sent += 65_536
        except TimeoutError:
            pass
    assert sent < 40 << 20
    received = 0

    def read_all() -> None:
        nonlocal received
        while received < sent:
            received += len(idle.recv(1 << 20))

    await asyncio.wait_for(asyncio.to_thread(read_all), LATE_S)
    idle.close()
    server.close()
    await asyncio.to_thread(listener.close, 0.1)


def test_a_listener_that_never_started_leaves_nothing(tmp_path: Path, authority: Authority) -> None:
    files = server_files(authority, tmp_path, mutual=False)
    listener = TlsListener(files, Connections(lambda: "key"), "/nowhere", limits=ConnectionLimits())
    port = listener.bind("127.0.0.1:0", share_port=False)
    listener.stop_accepting()
    listener.close(0.1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


async def test_when_it_has_ended_its_thread_has(tmp_path: Path, authority: Authority) -> None:
    files = server_files(authority, tmp_path, mutual=False)
    async with serving_peers(Transport.NATIVE, files) as address:
        async with secured(authority, address) as channel:
            await ask(channel, HOT)
        assert [one for one in threading.enumerate() if one.name == "tls"]
        held = socket.create_connection(host_and_port(address))
    assert [one for one in threading.enumerate() if one.name == "tls"] == []
    await ended(held)
    held.close()


@pytest.mark.parametrize("listen", ["192.0.2.1:0", "nowhere.invalid:0", "127.0.0.1:70000"])
def test_an_address_that_cannot_be_had_is_named(
    tmp_path: Path, authority: Authority, listen: str
) -> None:
    files = server_files(authority, tmp_path, mutual=False)
    server = Server([], transport=Transport.NATIVE, tls=files)
    with pytest.raises(InvalidInput, match=f"cannot listen on {listen}"):
        server.bind(listen)


def test_a_port_that_is_taken_is_named(tmp_path: Path, authority: Authority) -> None:
    files = server_files(authority, tmp_path, mutual=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        server = Server([], transport=Transport.NATIVE, tls=files)
        with pytest.raises(InvalidInput, match="taken by another program"):
            server.bind(listen)


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        (("192.0.2.1", 5), "ipv4:192.0.2.1:5"),
        (("2001:db8::1", 5, 0, 0), "ipv6:[2001:db8::1]:5"),
        (("::ffff:192.0.2.1", 5, 0, 0), "ipv4:192.0.2.1:5"),
        (("fe80::1%eth0", 5, 0, 2), "ipv6:[fe80::1%eth0]:5"),
    ],
)
def test_peers_are_written_as_grpc_writes_them(address: tuple[Any, ...], peer: str) -> None:
    assert peer_of(address) == peer
