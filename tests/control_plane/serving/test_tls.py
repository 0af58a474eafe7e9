"""TLS on both transports: who gets in, whom the server knows, and certificates that change while
it serves."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from pathlib import Path

import grpc
import pytest
from grpc import aio

from control_plane.serving.dialing import FileDialer, dialer
from control_plane.serving.server import Transport
from tests.support.certificates import Authority
from tests.support.tls_server import HOT, KINDS, LATE_S, ask, server_files, serving_peers

UNIT = "spiffe://example.net/unit/berlin"
TRANSPORTS = [Transport.NATIVE, Transport.GRPCIO]
EVERY_TRANSPORT = pytest.mark.parametrize("transport", TRANSPORTS)
EVERY_KIND = pytest.mark.parametrize("kind", [HOT, *KINDS])


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new()


def fresh(ca: bytes, address: str, shown: tuple[bytes, bytes] | None = None) -> aio.Channel:
    """A connection of its own."""
    certificate, key = shown or (None, None)
    credentials = grpc.ssl_channel_credentials(ca, private_key=key, certificate_chain=certificate)
    options = [("grpc.use_local_subchannel_pool", 1)]
    return aio.secure_channel(address, credentials, options=options)


async def refused(channel: aio.Channel) -> bool:
    """Whether nobody answers, because the connection does not come about."""
    async with channel:
        call = channel.unary_unary("/test.Peers/hot")(b"x", timeout=LATE_S)
        code = await call.code()
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
    return code is grpc.StatusCode.UNAVAILABLE


@EVERY_TRANSPORT
@EVERY_KIND
@pytest.mark.parametrize("security", ["plain", "tls", "mutual, named", "mutual, unnamed"])
async def test_every_method_knows_its_peer(
    tmp_path: Path, authority: Authority, transport: Transport, kind: str, security: str
) -> None:
    """By address and by certificate, on both transports, whatever the caller writes into its own
    metadata. Without TLS, streams of the native transport know no address."""
    mutual = security.startswith("mutual")
    files = None if security == "plain" else server_files(authority, tmp_path, mutual=mutual)
    uris = [UNIT] if security == "mutual, named" else []
    shown = authority.issue(uris=uris) if mutual else (None, None)
    async with serving_peers(transport, files) as address:
        ca = None if files is None else authority.certificate
        connect = dialer(ca, certificate=shown[0], key=shown[1])
        async with connect(address) as channel:
            peer, identity, names = await ask(channel, kind)
    streams = kind.startswith("stream")
    if not (security == "plain" and transport is Transport.NATIVE and streams):
        assert peer.startswith("ipv4:127.0.0.1:")
    assert identity == (UNIT if uris else None)
    if security != "plain" and transport is Transport.NATIVE:
        assert "homeport-connection" not in names
    assert names.count("mine") == 2


@EVERY_TRANSPORT
@pytest.mark.parametrize(
    "what", ["nothing", "of another CA", "expired", "its own CA", "no TLS", "another server's CA"]
)
async def test_who_is_not_trusted_does_not_get_in(
    tmp_path: Path, authority: Authority, transport: Transport, what: str
) -> None:
    other = Authority.new("another")
    shown = {
        "of another CA": other.issue(uris=[UNIT]),
        "expired": authority.issue(uris=[UNIT], expired=True),
        "its own CA": (other.certificate, other.key_pem),
        "another server's CA": authority.issue(),
    }.get(what)
    files = server_files(authority, tmp_path, mutual=True)
    ca = other.certificate if what == "another server's CA" else authority.certificate
    async with serving_peers(transport, files) as address:
        if what == "no TLS":
            assert await refused(aio.insecure_channel(address))
        else:
            assert await refused(fresh(ca, address, shown))
        assert not await refused(fresh(authority.certificate, address, authority.issue()))


@EVERY_TRANSPORT
async def test_a_replaced_certificate_is_shown_from_the_next_connection_on(
    tmp_path: Path, authority: Authority, transport: Transport
) -> None:
    """What is connected goes on; a broken replacement changes nothing."""
    files = server_files(authority, tmp_path, mutual=False, look_every_s=0.0)
    new = Authority.new("new")
    async with (
        serving_peers(transport, files) as address,
        fresh(authority.certificate, address) as standing,
    ):
        await ask(standing, HOT)
        (tmp_path / "server.pem").write_bytes(b"junk")
        for _ in range(3):
            assert not await refused(fresh(authority.certificate, address))
        new.write(tmp_path, "server")
        assert not await refused(fresh(new.certificate, address))
        assert await refused(fresh(authority.certificate, address))
        await ask(standing, "unary_unary")


@EVERY_TRANSPORT
async def test_a_replaced_client_ca_decides_from_the_next_connection_on(
    tmp_path: Path, authority: Authority, transport: Transport
) -> None:
    files = server_files(authority, tmp_path, mutual=True, look_every_s=0.0)
    new = Authority.new("new")
    async with serving_peers(transport, files) as address:
        old_certificate, new_certificate = authority.issue(), new.issue()
        assert not await refused(fresh(authority.certificate, address, old_certificate))
        assert await refused(fresh(authority.certificate, address, new_certificate))
        (tmp_path / "ca.pem").write_bytes(new.certificate)
        assert not await refused(fresh(authority.certificate, address, new_certificate))
        assert await refused(fresh(authority.certificate, address, old_certificate))


@EVERY_TRANSPORT
async def test_http2_is_what_alpn_settles_on(
    tmp_path: Path, authority: Authority, transport: Transport
) -> None:
    files = server_files(authority, tmp_path, mutual=False)
    async with serving_peers(transport, files) as address:
        context = ssl.create_default_context(cadata=authority.certificate.decode())
        context.set_alpn_protocols(["http/1.1", "h2"])
        host, _, port = address.rpartition(":")

        def shake_hands() -> str | None:
            with (
                socket.create_connection((host, int(port)), LATE_S) as plain,
                context.wrap_socket(plain, server_hostname=host) as secured,
            ):
                return secured.selected_alpn_protocol()

        assert await asyncio.to_thread(shake_hands) == "h2"


@EVERY_TRANSPORT
@pytest.mark.parametrize("size", [0, 1, 16_384, 300_000, 1_000_000])
async def test_messages_of_all_sizes_pass_both_ways(
    tmp_path: Path, authority: Authority, transport: Transport, size: int
) -> None:
    files = server_files(authority, tmp_path, mutual=False)
    sent = [os.urandom(size) for _ in range(4)]
    async with (
        serving_peers(transport, files) as address,
        fresh(authority.certificate, address) as channel,
    ):
        call = channel.stream_stream("/test.Peers/stream_stream")(iter(sent), timeout=LATE_S)
        assert [answer async for answer in call] == sent


@EVERY_TRANSPORT
async def test_metadata_that_is_large_comes_whole(
    tmp_path: Path, authority: Authority, transport: Transport
) -> None:
    """Two header blocks that share a dynamic table, beside each other: of 7 KB, for of those beyond
    8 KiB grpcio refuses some."""
    files = server_files(authority, tmp_path, mutual=True)
    shown = authority.issue(uris=[UNIT])
    async with (
        serving_peers(transport, files) as address,
        fresh(authority.certificate, address, shown) as channel,
    ):
        for n in (0, 1, 0):
            metadata = [(f"name-{i}-{n}", "x" * 90) for i in range(56)]
            call = channel.unary_unary("/test.Peers/hot")
            answer = await call(b"who", timeout=LATE_S, metadata=metadata)
            assert all(name.encode() in answer for name, _ in metadata)
            assert UNIT.encode() in answer


@pytest.mark.parametrize("listen", ["[::1]:0", "localhost:0"])
@EVERY_TRANSPORT
async def test_an_ipv6_peer_is_known_by_its_address(
    tmp_path: Path, authority: Authority, transport: Transport, listen: str
) -> None:
    files = server_files(authority, tmp_path, mutual=False)
    async with serving_peers(transport, files, listen) as address:
        host, _, port = address.rpartition(":")
        assert host in ("[::1]", "localhost")
        target = f"[::1]:{port}" if host == "[::1]" else f"127.0.0.1:{port}"
        credentials = grpc.ssl_channel_credentials(authority.certificate)
        options = [("grpc.ssl_target_name_override", "127.0.0.1")]
        async with aio.secure_channel(target, credentials, options=options) as channel:
            peer, _, _ = await ask(channel, HOT)
    assert peer.startswith(("ipv6:[::1]:", "ipv6:%5B::1%5D:") if host == "[::1]" else "ipv4:")


async def test_a_caller_that_dials_again_shows_its_replaced_certificate(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    server_tls = server_files(authority, tmp_path, mutual=True)
    certificate, key = authority.write(tmp_path, "me", uris=[UNIT])
    connect = FileDialer(
        ca=tmp_path / "ca.pem", certificate=certificate, key=key, settings=("ca", "c", "k")
    )
    async with serving_peers(Transport.NATIVE, server_tls) as address:
        async with connect(address) as channel:
            assert (await ask(channel, HOT))[1] == UNIT
        key.write_bytes(b"junk")
        for _ in range(3):
            async with connect(address) as channel:
                assert (await ask(channel, HOT))[1] == UNIT
        assert len([one for one in caplog.records if "no key in PEM" in one.message]) == 1
        authority.write(tmp_path, "me", uris=["spiffe://example.net/unit/other"])
        async with connect(address) as channel:
            assert (await ask(channel, HOT))[1] == "spiffe://example.net/unit/other"


def test_a_second_file_is_as_new_as_its_time(tmp_path: Path) -> None:
    """What the tests above rest on: a file that is written again has another time, or size."""
    path = tmp_path / "x"
    path.write_bytes(b"1")
    first = path.stat().st_mtime_ns
    end = time.monotonic() + LATE_S
    while path.stat().st_mtime_ns == first:
        assert time.monotonic() < end
        path.write_bytes(b"2")
