"""Methods that are hot for some of their callers: what the hot one does not take, the ordinary one
answers, behind the interceptors, as it answers everybody on grpcio."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from grpc import aio

from control_plane.serving.calls import HotCall
from control_plane.serving.server import Server, Service, Transport

NAME, METHOD = "test.Choice", "Ask"
LATE_S = 60.0


class Choice:
    """Says which way a call took."""

    def hot(self, call: HotCall) -> bool:
        if call.payload != b"quick":
            return False
        call.reply(b"hot")
        return True

    async def ordinary(self, request: bytes, context: Any) -> bytes:
        return b"ordinary"

    def add(self, servicer: Any, server: Any) -> None:
        handler = grpc.unary_unary_rpc_method_handler(self.ordinary)
        server.add_registered_method_handlers(NAME, {METHOD: handler})


@pytest.mark.parametrize(
    ("transport", "quick"),
    [
        pytest.param(Transport.NATIVE, b"hot", id="native"),
        pytest.param(Transport.GRPCIO, b"ordinary", id="grpcio"),
    ],
)
async def test_what_the_hot_method_does_not_take_the_ordinary_one_answers(
    transport: Transport, quick: bytes
) -> None:
    made = Choice()
    service = Service(
        add=made.add, servicer=made, name=NAME, hot={}, hot_for_some={METHOD: made.hot}
    )
    server = Server([service], transport=transport)
    port = server.bind("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary(f"/{NAME}/{METHOD}")
            said = [await ask(text, timeout=LATE_S) for text in (b"quick", b"other", b"quick")]
    finally:
        await server.stop(LATE_S)  # which waits for none that is answered
    assert said == [quick, b"ordinary", quick]
