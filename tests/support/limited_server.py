"""A server with small limits on its connections, in an event loop of its own, and who asks it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.connection_watch import ConnectionWatch
from control_plane.serving.peers import Proxies
from control_plane.serving.server import Server, Transport
from control_plane.serving.tls import TlsFiles

ANSWER_S = 20.0


@dataclass(frozen=True, kw_only=True)
class LimitedServer:
    port: int
    watch: ConnectionWatch


@contextlib.contextmanager
def limited_server(
    transport: str,
    limits: ConnectionLimits,
    *,
    proxies: Proxies | None = None,
    host: str = "127.0.0.1",
    tls: TlsFiles | None = None,
) -> Iterator[LimitedServer]:
    """Serves health and reflection."""
    watch = ConnectionWatch()
    with asyncio.Runner() as runner, ThreadPoolExecutor(1) as thread:
        loop = runner.get_loop()

        async def start() -> tuple[Server, int]:
            server = Server(
                [],
                transport=Transport(transport),
                limits=limits,
                proxies=proxies,
                watch=watch,
                tls=tls,
            )
            port = server.bind(f"{host}:0")
            await server.start()
            await server.ready()
            return server, port

        server, port = thread.submit(runner.run, start()).result(ANSWER_S)
        running = thread.submit(loop.run_forever)
        try:
            yield LimitedServer(port=port, watch=watch)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            running.result(ANSWER_S)
            thread.submit(runner.run, server.stop(0.5)).result(ANSWER_S)


def asked(
    port: int, *, times: int = 1, host: str = "127.0.0.1", ca: bytes | None = None
) -> list[str]:
    """What health says over one new connection, or the codes of calls that failed."""
    answers: list[str] = []
    target, options = f"{host}:{port}", [("grpc.use_local_subchannel_pool", 1)]
    with (
        grpc.insecure_channel(target, options)
        if ca is None
        else grpc.secure_channel(target, grpc.ssl_channel_credentials(ca), options)
    ) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for _ in range(times):
            try:
                said = stub.Check(health_pb2.HealthCheckRequest(), timeout=ANSWER_S)
                answers.append(health_pb2.HealthCheckResponse.ServingStatus.Name(said.status))
            except grpc.RpcError as error:
                answers.append(error.code().name)
    return answers
