"""The grpcio transport under floods of calls without a message, and beside them: who is closed, who
is answered, and in which order calls begin."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from control_plane.serving import grpcio_server
from control_plane.serving.connection_limits import ConnectionLimits, Reason
from control_plane.serving.peers import Proxies, parse_networks
from control_plane.serving.server import STREAMS, Server, Transport
from control_plane.serving.wasted_calls import Excess
from tests.support.attacks import connection_attacks as attacks

WAIT_S = 20.0
OFF = ConnectionLimits(
    per_address=0, overall=0, greeting_s=3_600, idle_s=3_600, first_message_s=3_600
)
FLOOD = 300  # calls over one connection
AT_ONCE = 2_000  # of a client that means well
ELSEWHERE = "127.0.0.2"
LAST = 20  # calls behind a flood


@dataclass(frozen=True, kw_only=True)
class Served:
    port: int
    server: Server


@contextlib.asynccontextmanager
async def served(*, proxies: Proxies | None = None) -> AsyncIterator[Served]:
    """Serves health and reflection in this event loop."""
    server = Server([], transport=Transport.GRPCIO, limits=OFF, proxies=proxies)
    port = server.bind("127.0.0.1:0")
    await server.start()
    await server.ready()
    try:
        yield Served(port=port, server=server)
    finally:
        await server.stop(0.0)


def check(channel: Any, **more: Any) -> Any:
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), **more)


async def test_a_connection_with_hundreds_of_calls_without_a_message_is_closed():
    async with served() as server:

        def flood() -> int:
            with attacks.half_open_streams(server.port, FLOOD, source=ELSEWHERE) as held:
                return attacks.wait_closed([held], 1, WAIT_S)

        async with aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            flooding = asyncio.create_task(asyncio.to_thread(flood))
            while not flooding.done():  # other calls begin, by which the silent ones are seen
                await check(channel, timeout=WAIT_S)
            assert await flooding == 1
            await check(channel, timeout=WAIT_S)
        # Once more where it is still there when it is looked at again.
        assert server.server.watch.closed[Reason.WASTED] >= 1


async def test_a_client_with_two_thousand_calls_at_once_is_not_closed():
    async with served() as server:
        async with aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            answers = await asyncio.gather(
                *(check(channel, timeout=WAIT_S) for _ in range(AT_ONCE))
            )
        assert Counter(one.status for one in answers) == {1: AT_ONCE}
        assert not server.server.watch.closed


async def test_a_client_that_gives_up_now_and_then_is_not_closed():
    async with served() as server:
        async with aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            for _ in range(60):
                call = check(channel)
                call.cancel()
                await check(channel, timeout=WAIT_S)
        assert not server.server.watch.closed


def connects(port: int, source: str) -> bool:
    """In less time than the kernel takes to try again."""
    try:
        attacks.connect(port, source=source, within_s=0.3).close()
    except TimeoutError:
        return False
    return True


async def test_an_address_that_wastes_calls_is_kept_from_connecting_again_for_a_while():
    """And nobody else, nor whoever is connected; without that a flood comes again at once."""
    async with served() as server, aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        await check(channel, timeout=WAIT_S)
        for _ in range(5):  # who comes late on a busy machine is not refused any more
            flood = partial(attacks.rapid_resets, server.port, 20_000, source=ELSEWHERE)
            await asyncio.to_thread(flood)
            if refused := not await asyncio.to_thread(connects, server.port, ELSEWHERE):
                break
        assert refused
        assert await asyncio.to_thread(connects, server.port, "127.0.0.1")
        await check(channel, timeout=WAIT_S)
        again = partial(attacks.connect, server.port, source=ELSEWHERE, within_s=60.0)
        (await asyncio.to_thread(again)).close()


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_trusted_proxy_is_not_kept_from_connecting(trusted):
    """Whom it brings comes from elsewhere."""
    proxies = Proxies(parse_networks([ELSEWHERE] if trusted else []))
    async with served(proxies=proxies) as server:
        async with aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            await check(channel, timeout=WAIT_S)  # the socket that listens has been seen
        refused = False
        for _ in range(5):  # who comes late on a busy machine is not refused any more
            server.server._close_wasteful(f"ipv4:{ELSEWHERE}:4711", Excess.CONNECTION)
            if refused := not await asyncio.to_thread(connects, server.port, ELSEWHERE):
                break
        assert refused is not trusted


@dataclass(kw_only=True)
class FakeCore:
    """What `GrpcioServer` asks of the core: calls in the order in which they came."""

    came: list[str]  # peers
    running: bool = True
    handed: asyncio.Event = field(default_factory=asyncio.Event)

    async def _request_registered_call(self, name: bytes) -> str:
        if not self.came:
            self.handed.set()
            await asyncio.Event().wait()
        return self.came.pop(0)

    def is_running(self) -> bool:
        return self.running


@contextlib.asynccontextmanager
async def begun_by(
    monkeypatch: pytest.MonkeyPatch, came: list[str], *, closed: str = ""
) -> AsyncIterator[list[str]]:
    """The peers whose calls begin, in their order, of calls that came in this one."""
    begun: list[str] = []

    @dataclass
    class Context:
        state: str
        deserializer: Any
        serializer: Any
        loop: Any

        def peer(self) -> str:
            return self.state

    async def schedule(rpc: None, state: str, loop: Any, name: str) -> None:
        begun.append(state)

    monkeypatch.setattr(grpcio_server.cygrpc, "_ServicerContext", Context)
    monkeypatch.setattr(grpcio_server.cygrpc, "_handle_rpc", lambda *arguments: None)
    monkeypatch.setattr(grpcio_server.cygrpc, "_schedule_rpc_coro", schedule)
    server = grpcio_server.GrpcioServer(
        interceptors=[], options=[], clock=lambda: 1.0, is_closed=lambda peer: peer == closed
    )
    core = FakeCore(came=came)
    asking = asyncio.create_task(server._ask(core, "/a.B/C"))
    try:
        async with asyncio.timeout(WAIT_S):
            await core.handed.wait()
            while len(server):  # noqa: ASYNC110  # each turn is a pass of the loop
                await asyncio.sleep(0)
            await asyncio.sleep(0)
        yield begun
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_calls_begin_in_turn_of_addresses_and_of_their_connections(monkeypatch):
    flood = [f"ipv4:192.0.2.1:{1000 + n % 2}" for n in range(400)]
    async with begun_by(monkeypatch, [*flood, "ipv4:198.51.100.7:1", "ipv4:192.0.2.1:7"]) as begun:
        assert len(begun) == 402
        assert begun.index("ipv4:198.51.100.7:1") < LAST
        assert begun.index("ipv4:192.0.2.1:7") < LAST


async def test_calls_of_a_connection_that_was_closed_do_not_begin(monkeypatch):
    flood = ["ipv4:192.0.2.1:1000"] * 400
    came = [*flood, "ipv4:198.51.100.7:1"]
    async with begun_by(monkeypatch, came, closed="ipv4:192.0.2.1:1000") as begun:
        assert begun == ["ipv4:198.51.100.7:1"]


async def test_the_grpcio_that_is_installed_has_what_this_leans_on(caplog):
    server = Server([], transport=Transport.GRPCIO)
    server.bind("127.0.0.1:0")
    with caplog.at_level(logging.WARNING):
        await server.start()
    await server.stop(0.0)
    assert not [r for r in caplog.records if r.name == grpcio_server.__name__]


async def test_another_grpcio_serves_as_it_does_and_the_log_says_so(monkeypatch, caplog):
    monkeypatch.setattr(grpcio_server, "_NAMES", ("_no_such_name",))
    server = Server([], transport=Transport.GRPCIO)
    port = server.bind("127.0.0.1:0")
    with caplog.at_level(logging.WARNING):
        await server.start()
        await server.ready()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert (await check(channel, timeout=WAIT_S)).status == 1
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            await channel.unary_unary("/no.Such/Method")(b"", timeout=WAIT_S)
    await server.stop(0.0)
    assert "begins calls in the order" in caplog.text


def test_one_connection_may_have_more_calls_than_a_client_that_means_well():
    assert STREAMS["grpcio"] > AT_ONCE
