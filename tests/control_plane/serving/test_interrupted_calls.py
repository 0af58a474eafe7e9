"""No server says CANCELLED: each way in which a call breaks off inside, on both transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import aio

from control_plane.errors import Refused
from control_plane.serving.server import Server, Service, Transport
from homeport.failure import Code
from homeport.status_details import failure_of

NAME = "test.Calls"
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
LATE_S = 20.0  # a call that gets no answer fails then, and with it the test


class Handlers:
    """Of each kind; what is asked for is what goes wrong. left: callers that went away."""

    def __init__(self) -> None:
        self.left = 0
        self.waiting = asyncio.Event()

    async def work(self, asked: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        if asked == b"raise":
            raise asyncio.CancelledError
        if asked == b"future":  # one that is shared with somebody who gives it up
            shared = loop.create_future()
            loop.call_soon(shared.cancel)
            await shared
        if asked == b"task":
            helper = asyncio.create_task(asyncio.sleep(LATE_S))
            loop.call_soon(helper.cancel)
            await helper
        if asked == b"group":
            async with asyncio.TaskGroup() as group:
                group.create_task(self.fail())
                await asyncio.sleep(LATE_S)
        if asked == b"refuse":
            raise Refused("no")
        if asked == b"wait":
            self.waiting.set()
            try:
                await asyncio.sleep(LATE_S)
            except asyncio.CancelledError:
                self.left += 1
                raise
        return asked

    async def fail(self) -> None:
        raise ValueError("a sibling")

    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        return await self.work(request)

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        yield await self.work(request)

    async def stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        async for request in requests:
            await self.work(request)
        return b"done"

    async def stream_stream(
        self, requests: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        async for request in requests:
            yield await self.work(request)

    def add(self, servicer: Any, server: Any) -> None:
        made = {
            kind: getattr(grpc, f"{kind}_rpc_method_handler")(getattr(self, kind)) for kind in KINDS
        }
        server.add_registered_method_handlers(NAME, made)


@asynccontextmanager
async def serving(transport: Transport, handlers: Handlers) -> AsyncIterator[tuple[Server, str]]:
    service = Service(add=handlers.add, servicer=handlers, name=NAME, hot={})
    server = Server([service], transport=transport)
    port = server.bind("127.0.0.1:0")
    await server.start()
    await server.ready()
    try:
        yield server, f"127.0.0.1:{port}"
    finally:
        await server.stop(0.0)


async def ask(channel: aio.Channel, kind: str, asked: bytes, **more: Any) -> grpc.StatusCode | Any:
    """What becomes of a call: OK, or the error."""
    method = getattr(channel, kind)(f"/{NAME}/{kind}")
    request: Any = iter([b"fine", asked]) if kind.startswith("stream") else asked
    call = method(request, timeout=LATE_S, **more)
    try:
        if kind.endswith("unary"):
            await call
        else:
            async for _ in call:
                pass
    except aio.AioRpcError as error:
        return error
    finally:
        call.cancel()  # for who leaves: a reader that is cancelled may leave the call going on
    return grpc.StatusCode.OK


both = pytest.mark.parametrize("transport", [Transport.NATIVE, Transport.GRPCIO])
each_kind = pytest.mark.parametrize("kind", KINDS)


@both
@each_kind
@pytest.mark.parametrize("way", [b"raise", b"future", b"task"])
async def test_what_breaks_off_in_the_server_is_unavailable_and_may_be_tried_again(
    transport: Transport, kind: str, way: bytes
) -> None:
    async with (
        serving(transport, Handlers()) as (_, address),
        aio.insecure_channel(address) as channel,
    ):
        told = failure_of(await ask(channel, kind, way))
        assert told.code is Code.UNAVAILABLE
        assert told.from_homeport
        assert told.retry_after_s is not None
        assert await ask(channel, kind, b"fine") is grpc.StatusCode.OK


@both
@each_kind
async def test_a_server_that_ends_tells_those_whose_calls_it_does_not_finish(
    transport: Transport, kind: str
) -> None:
    handlers = Handlers()
    async with (
        serving(transport, handlers) as (server, address),
        aio.insecure_channel(address) as channel,
    ):
        asking = asyncio.create_task(ask(channel, kind, b"wait"))
        async with asyncio.timeout(LATE_S):
            await handlers.waiting.wait()
        await server.stop(0.05)
        told = failure_of(await asking)
        assert told.code is Code.UNAVAILABLE
        assert "shutting down" in told.message
        assert told.retry_after_s is not None


@both
@each_kind
@pytest.mark.parametrize(
    ("way", "code"),
    [(b"group", Code.INTERNAL), (b"refuse", Code.FAILED_PRECONDITION)],
    ids=["a-sibling-failed", "an-error-of-ours"],
)
async def test_an_error_has_its_own_status(
    transport: Transport, kind: str, way: bytes, code: Code
) -> None:
    async with (
        serving(transport, Handlers()) as (_, address),
        aio.insecure_channel(address) as channel,
    ):
        assert failure_of(await ask(channel, kind, way)).code is code


@both
@each_kind
async def test_a_caller_that_leaves_is_noticed(transport: Transport, kind: str) -> None:
    handlers = Handlers()
    async with (
        serving(transport, handlers) as (_, address),
        aio.insecure_channel(address) as channel,
    ):
        asking = asyncio.create_task(ask(channel, kind, b"wait"))
        async with asyncio.timeout(LATE_S):
            await handlers.waiting.wait()
            asking.cancel()
            await asyncio.wait([asking])
            while not handlers.left:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
