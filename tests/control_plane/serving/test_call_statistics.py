"""Calls are counted by how they ended, on both transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from control_plane.errors import NotFound
from control_plane.serving.call_statistics import CallStatistics
from control_plane.serving.calls import HotCall
from control_plane.serving.server import Server, Service, Transport

NAME = "test.v1.Echo"
TRANSPORTS = [Transport.NATIVE, Transport.GRPCIO]


def hot(call: HotCall) -> None:
    """Answers, or says that there is none."""
    if call.payload == b"bad":
        call.fail(NotFound("there is none"))
    else:
        call.reply(call.payload)


def add(servicer: object, server: Any) -> None:
    async def cold(request: bytes, context: Any) -> bytes:
        if request == b"bad":
            raise NotFound("there is none")
        if request == b"slow":
            await asyncio.sleep(60)
        return request

    async def many(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield request
        if request == b"bad":
            raise NotFound("there is none")

    handlers = {
        "Hot": grpc.unary_unary_rpc_method_handler(cold),
        "Cold": grpc.unary_unary_rpc_method_handler(cold),
        "Many": grpc.unary_stream_rpc_method_handler(many),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))
    server.add_registered_method_handlers(NAME, handlers)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_every_call_is_counted_once_with_its_status(transport: Transport) -> None:
    server = Server(
        [Service(add=add, servicer=object(), name=NAME, hot={"Hot": hot})], transport=transport
    )
    port = server.bind("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for method in ("Hot", "Cold"):
            call = channel.unary_unary(f"/{NAME}/{method}")
            assert await call(b"good", timeout=20) == b"good"
            with pytest.raises(aio.AioRpcError):
                await call(b"bad", timeout=20)
        with pytest.raises(aio.AioRpcError):
            await channel.unary_unary(f"/{NAME}/Cold")(b"slow", timeout=0.3)
        with pytest.raises(aio.AioRpcError):
            await channel.unary_unary(f"/{NAME}/Nowhere")(b"good", timeout=20)
        many = channel.unary_stream(f"/{NAME}/Many")
        assert [one async for one in many(b"good", timeout=20)] == [b"good"]
        with pytest.raises(aio.AioRpcError):
            assert [one async for one in many(b"bad", timeout=20)]
        health = health_pb2_grpc.HealthStub(channel)
        await health.Check(health_pb2.HealthCheckRequest(), timeout=20)
        methods = server.statistics.methods
        async with asyncio.timeout(20):
            while methods["Echo/Cold"].under_way:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    await server.stop(0.1)
    assert methods["Echo/Hot"].codes() == {"OK": 1, "NOT_FOUND": 1}
    assert methods["Echo/Cold"].codes() == {"OK": 1, "NOT_FOUND": 1, "CANCELLED": 1}
    assert methods["Echo/Many"].codes() == {"OK": 1, "NOT_FOUND": 1}
    assert methods["Health/Check"].codes() == {"OK": 1}
    assert sum(methods["Echo/Hot"].seconds.counts) == 2
    assert sum(methods["Echo/Cold"].seconds.counts) == 3
    assert not sum(methods["Echo/Many"].seconds.counts)
    assert "Echo/Nowhere" not in methods


def test_methods_are_named_without_their_package() -> None:
    statistics = CallStatistics()
    first = statistics.of("/homeport.api.v1.Service/Method")
    assert statistics.of("/homeport.api.v1.Service/Method") is first
    assert list(statistics.methods) == ["Service/Method"]
