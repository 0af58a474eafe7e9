"""Of a method that more ask than can be served: those beyond are refused, the same on both
transports, counted, and told when to come back."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from control_plane.errors import Unavailable
from control_plane.serving.admission_queue import AdmissionQueue
from control_plane.serving.calls import HotCall
from control_plane.serving.concurrency_limit import ConcurrencyLimit
from control_plane.serving.server import Server, Service, Transport
from control_plane.serving.status import Status, try_again

NAME, METHOD = "test.Busy", "Ask"
LATE_S = 60.0
ROOM, ASKED = 4, 400
RETRY_S = 1.25


class Busy:
    """Answers nobody until it is told to."""

    def __init__(self) -> None:
        self.begun: list[HotCall] = []
        self.made = 0  # of the refusals those for which a call was made

    def rank(self, message: bytes) -> int:
        return int(message == b"new")

    def status(self, message: bytes, rank: int) -> Status | None:
        return try_again("BUSY", "too many", RETRY_S)

    def refuse(self, call: HotCall, rank: int) -> None:
        self.made += 1
        call.fail(Refused("too many", retry_after_s=RETRY_S))

    async def ordinary(self, request: bytes, context: Any) -> bytes:
        raise AssertionError("it is hot")

    def add(self, servicer: Any, server: Any) -> None:
        handler = grpc.unary_unary_rpc_method_handler(self.ordinary)
        server.add_registered_method_handlers(NAME, {METHOD: handler})


class Refused(Unavailable):
    reason = "BUSY"


def retry_s(error: aio.AioRpcError) -> float:
    """Of its RetryInfo."""
    status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]
    for detail in status.details:
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    raise AssertionError("it does not say when to come back")


@pytest.mark.parametrize("transport", [Transport.NATIVE, Transport.GRPCIO])
async def test_those_beyond_are_refused_at_once_and_counted(transport: Transport) -> None:
    busy = Busy()
    queue = AdmissionQueue(
        busy.begun.append,
        busy,
        clock=lambda: 0.0,  # nobody waits too long
        limit=ConcurrencyLimit(least=ROOM, most=ROOM, idle=ROOM),
    )
    service = Service(
        add=busy.add, servicer=busy, name=NAME,
        hot={METHOD: queue.begin}, queues={METHOD: queue},
    )  # fmt: skip
    server = Server([service], transport=transport)
    port = server.bind("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            ask = channel.unary_unary(f"/{NAME}/{METHOD}")
            calls = [
                asyncio.ensure_future(ask(b"new" if number % 2 else b"known", timeout=LATE_S))
                for number in range(ASKED)
            ]
            refused = ASKED - 2 * ROOM
            async with asyncio.timeout(LATE_S):
                while sum(one.done() for one in calls) < refused:
                    await asyncio.wait(
                        [one for one in calls if not one.done()],
                        return_when=asyncio.FIRST_COMPLETED,
                    )
            for call in busy.begun[:ROOM]:
                call.reply(b"yes")  # and the next begin
            for call in busy.begun[ROOM:]:
                call.reply(b"yes")
            said = await asyncio.gather(*calls, return_exceptions=True)
    finally:
        await server.stop(LATE_S)
    errors = [one for one in said if isinstance(one, aio.AioRpcError)]
    assert said.count(b"yes") == 2 * ROOM
    assert len(errors) == sum(queue.refused) == refused
    assert {one.code() for one in errors} == {grpc.StatusCode.UNAVAILABLE}
    assert {retry_s(one) for one in errors} == {RETRY_S}
    counted = server.statistics.of(f"/{NAME}/{METHOD}").codes()
    assert counted == {"OK": 2 * ROOM, "UNAVAILABLE": refused}
    if transport is Transport.NATIVE:
        assert busy.made < refused, "for most no call was made"
