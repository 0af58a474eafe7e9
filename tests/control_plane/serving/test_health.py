"""Health as gRPC has it, on both transports: asked once, and watched."""

from __future__ import annotations

import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from control_plane.serving.server import Server, Transport

WAIT_S = 20.0
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.mark.parametrize("transport", [Transport.NATIVE, Transport.GRPCIO])
async def test_who_watches_is_told_at_once_and_of_each_change(transport):
    server = Server([], transport=transport)
    port = server.bind("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=WAIT_S)
            assert (await watch.read()).status == NOT_SERVING
            for ready in (True, False, True):
                await server.ready(ready)
                assert (await watch.read()).status == (SERVING if ready else NOT_SERVING)
            unknown = stub.Watch(health_pb2.HealthCheckRequest(service="none"), timeout=WAIT_S)
            assert (await unknown.read()).status == UNKNOWN
            assert (await stub.Check(health_pb2.HealthCheckRequest())).status == SERVING
            watch.cancel()
            unknown.cancel()
    finally:
        await server.stop(0.0)
