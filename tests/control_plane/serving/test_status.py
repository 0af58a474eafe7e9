"""Statuses that fit the trailers which gRPC clients take, however long what they say."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import grpc
import pytest
from grpc import aio
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput, NotFound, ServiceError
from control_plane.serving.server import Server, Service, Transport
from control_plane.serving.status import MOST_MESSAGE_BYTES, shortened, status_of
from homeport.status_details import failure_of

MOST_TRAILERS = 8_192 - 512  # what clients take, less what transports add
FAULTS = "\n".join(f"rules.r{n}.when: line 1, column 10: no such field" for n in range(1_000))
_PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")  # what is not encoded
LONG = [
    pytest.param(FAULTS, id="many-lines"),
    pytest.param("x" * 1_000_000, id="one-line"),
    pytest.param("é" * 100_000, id="letters-of-two-bytes"),
    pytest.param("😀" * 100_000, id="letters-of-four-bytes"),
    pytest.param("%\x00" * 100_000, id="what-is-encoded"),
    pytest.param("\n" * 100_000, id="empty-lines"),
]


def size_of(error: ServiceError) -> int:
    status = status_of(error)
    in_base64 = sum(len(name) + len(value) * 4 // 3 + 4 for name, value in status.trailers)
    return len(quote(status.message.encode(errors="replace"), safe=_PLAIN)) + in_base64


@pytest.mark.parametrize("text", LONG)
def test_a_long_message_fits(text: str) -> None:
    assert size_of(InvalidInput(text, text)) <= MOST_TRAILERS
    assert size_of(NotFound(text)) <= MOST_TRAILERS


@given(st.text(max_size=200).map(lambda text: text * 40), st.integers(40, MOST_MESSAGE_BYTES))
def test_what_is_kept_is_the_beginning_and_fits(text: str, most: int) -> None:
    kept = shortened(text, most)
    assert len(quote(kept.encode(errors="replace"), safe=_PLAIN)) <= most
    assert kept == text or text.startswith(kept[: kept.rindex("…")])


def test_a_short_message_is_told_whole() -> None:
    assert status_of(InvalidInput("f", "f: é\nand more")).message == "f: é\nand more"


def test_of_many_lines_the_first_are_whole_and_the_others_counted() -> None:
    *first, last = status_of(InvalidInput("rules", FAULTS)).message.split("\n")
    assert first == FAULTS.split("\n")[: len(first)]
    assert len(first) > 40
    assert last == f"… and {1_000 - len(first)} more: {InvalidInput.rest}"


def test_an_error_says_how_to_see_the_faults_for_which_there_was_no_room() -> None:
    class FaultyDocument(InvalidInput):
        rest = "`tell-all FILE` tells all of them"

    assert status_of(FaultyDocument("f", FAULTS)).message.endswith(f" more: {FaultyDocument.rest}")
    assert FaultyDocument.rest not in status_of(FaultyDocument("f", "one\nand two")).message


class Faulty:
    async def call(self, request: bytes, context: Any) -> bytes:
        raise InvalidInput("rules", FAULTS if request == b"lines" else "é" * 100_000)


def _add(servicer: Any, server: Any) -> None:
    made = {"Call": grpc.unary_unary_rpc_method_handler(servicer.call)}
    server.add_registered_method_handlers("test.Faulty", made)


@pytest.mark.parametrize("transport", [Transport.NATIVE, Transport.GRPCIO])
@pytest.mark.parametrize("asked", [b"lines", b"letters"])
async def test_a_client_gets_it(transport: Transport, asked: bytes) -> None:
    service = Service(add=_add, servicer=Faulty(), name="test.Faulty", hot={})
    server = Server([service], transport=transport)
    port = server.bind("127.0.0.1:0")
    await server.start()
    await server.ready()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(aio.AioRpcError) as caught:
                await channel.unary_unary("/test.Faulty/Call")(asked, timeout=20)
    finally:
        await server.stop(0.0)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [one.field for one in failure_of(caught.value).violations] == ["rules"]
