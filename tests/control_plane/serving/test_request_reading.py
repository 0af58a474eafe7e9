"""Request reading: what is no message, single or in a stream, and how a refused stream ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from control_plane.errors import InvalidInput, Unavailable
from control_plane.serving.request_reading import HEAR_OUT_S, hear_out, reader_of
from homeport.api.datasharing.v1 import rule_pb2 as pb

GOOD = pb.GetRuleRequest(rule_id="r").SerializeToString()
BAD = [
    pytest.param(b"\xff\xff", id="bytes-that-are-no-message"),
    pytest.param(b"\x12\x01\xff", id="a-text-that-is-not-utf8"),
    pytest.param(pb.GetRuleRequest(version=2**63).SerializeToString(), id="means-nothing"),
]
REFUSED = InvalidInput("x", "no")


class Sending:
    """A client's stream of `contents`, which then stands open, or ends."""

    def __init__(self, *contents: bytes, ends: bool = True) -> None:
        self.left = list(contents)
        self.ends = ends

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.left:
            return self.left.pop(0)
        if not self.ends:
            await asyncio.Event().wait()
        raise StopAsyncIteration


@pytest.mark.parametrize("content", BAD)
def test_a_request_that_is_none_is_the_callers_fault(content: bytes) -> None:
    read = reader_of(pb.GetRuleRequest.FromString, stream=False)
    assert read(GOOD).rule_id == "r"
    with pytest.raises(InvalidInput):
        read(content)


@pytest.mark.parametrize("content", BAD)
async def test_so_is_a_message_of_a_stream_the_first_or_a_later_one(content: bytes) -> None:
    read = reader_of(pb.GetRuleRequest.FromString, stream=True)
    messages = read(Sending(GOOD, content))
    assert (await anext(messages)).rule_id == "r"
    with pytest.raises(InvalidInput):
        await anext(messages)
    assert [one.rule_id async for one in read(Sending(GOOD, GOOD))] == ["r", "r"]
    with pytest.raises(InvalidInput):
        await anext(read(Sending(content)))


def test_a_method_that_reads_bytes_gets_them() -> None:
    assert reader_of(None, stream=False)(b"x") == b"x"
    stream = Sending()
    assert reader_of(None, stream=True)(stream) is stream


async def test_a_refused_stream_is_read_to_its_end() -> None:
    stream = Sending(*[GOOD] * 5)
    await hear_out(stream, REFUSED)
    assert stream.left == []


async def test_but_not_for_longer_than_a_moment() -> None:
    stream = Sending(GOOD, ends=False)
    async with asyncio.timeout(HEAR_OUT_S * 40):
        await hear_out(stream, REFUSED)
    assert stream.left == []


async def test_nor_where_the_server_cannot_serve_or_there_is_no_stream() -> None:
    stream = Sending(GOOD)
    await hear_out(stream, Unavailable("stopping"))
    assert stream.left == [GOOD]
    await hear_out(GOOD, REFUSED)
