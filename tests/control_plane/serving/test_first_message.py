"""What becomes of calls is told to those who count wasted ones: answered, refused, given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from grpc import aio

from control_plane.serving.first_message import FirstMessage
from control_plane.serving.wasted_calls import Allowance, Excess, WastedCalls

PEER = "ipv4:192.0.2.1:4711"
BURST = 10
NONE = Allowance(burst=BURST, per_s=0)
WAIT_S = 20.0


@dataclass(kw_only=True)
class Context:
    def peer(self) -> str:
        return PEER

    async def abort(self, code: grpc.StatusCode, words: str) -> None:
        raise aio.AbortError(words)


@dataclass(kw_only=True)
class Counting:
    """Calls of a method by one client, and what the server hears of it. Its clock stands still."""

    streaming: bool
    excess: list[tuple[str, Excess]] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.first_message = FirstMessage(
            WAIT_S,
            unary=True,
            wasted=WastedCalls(of_connection=NONE, of_address=NONE),
            on_excess=lambda peer, excess: self.excess.append((peer, excess)),
            clock=lambda: 1.0,
        )

    async def behaviour(self, request: bytes, context: Context) -> bytes:
        if request == b"refuse":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no")
        if request == b"wait":
            self.begun.set()
            await asyncio.sleep(WAIT_S)
        return request

    async def stream(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        yield b"first"
        yield await self.behaviour(request, context)

    async def call(self, request: bytes) -> None:
        async def handler(details: Any) -> Any:
            if self.streaming:
                return grpc.unary_stream_rpc_method_handler(self.stream)
            return grpc.unary_unary_rpc_method_handler(self.behaviour)

        async def requests() -> AsyncIterator[bytes]:
            yield request

        served: Any = await self.first_message.intercept_service(handler, None)  # type: ignore[arg-type]
        with contextlib.suppress(aio.AbortError):
            if self.streaming:
                async for _ in served.stream_stream(requests(), Context()):
                    pass
            else:
                await served.stream_unary(requests(), Context())

    async def give_up(self) -> None:
        self.begun.clear()
        calling = asyncio.create_task(self.call(b"wait"))
        async with asyncio.timeout(WAIT_S):
            await self.begun.wait()
        calling.cancel()
        await asyncio.wait([calling])


@pytest.fixture(params=[False, True], ids=["one-response", "a-stream"])
def counting(request: pytest.FixtureRequest) -> Counting:
    return Counting(streaming=request.param)


async def test_who_gives_up_more_than_may_be_wasted_is_reported(counting):
    for _ in range(BURST):
        await counting.give_up()
    assert counting.excess == []
    await counting.give_up()
    assert counting.excess == [(PEER, Excess.CONNECTION | Excess.ADDRESS)]


@pytest.mark.parametrize("other", [b"answer", b"refuse"])
async def test_who_asks_twice_and_takes_the_first_answer_is_not(counting, other):
    """Hedging: of two calls one is given up, far more often than calls may be wasted."""
    for _ in range(5 * BURST):
        await counting.call(other)
        await counting.give_up()
    assert counting.excess == []
