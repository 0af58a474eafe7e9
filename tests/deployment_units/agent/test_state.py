"""Taking a client's state over: all of it or nothing, by order alone."""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from collections.abc import Callable
from dataclasses import replace

import grpc
import pytest

from control_plane.handoff.chunks import CHUNK_BYTES, Chunk, chunked
from control_plane.handoff.orders import OrderAction, OrderIssuer
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from deployment_units.agent.state import chunk_to_proto
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.unit.v1 import unit_pb2 as pb
from homeport.api.unit.v1 import unit_pb2_grpc
from tests.support.fakes.unit import LoopbackUnit

ISSUER = TicketIssuer(KeyRing(epochs=(new_epoch(1, now=time.time(), random=os.urandom),)))
DATA = os.urandom(3 * CHUNK_BYTES + 17)


def order(action: OrderAction, unit: str = "u", epoch: int = 2) -> str:
    return OrderIssuer(ISSUER).make(action, unit, "t", "alice", epoch, time.time())


async def chunks_of(data: bytes) -> list[Chunk]:
    async def parts():
        for start in range(0, len(data), 100_000):
            yield data[start : start + 100_000]

    return [chunk async for chunk in chunked(parts())]


async def send(address: str, chunks: list[Chunk], an_order: str) -> pb.ImportClientResponse:
    """In a thread: grpc.aio may lose the status of a call that ends before it is all sent
    (https://github.com/grpc/grpc/issues/36066)."""
    messages = [
        pb.ImportClientRequest(order=an_order),
        *(pb.ImportClientRequest(chunk=chunk_to_proto(chunk)) for chunk in chunks),
    ]

    def call() -> pb.ImportClientResponse:
        with grpc.insecure_channel(address) as channel:
            return unit_pb2_grpc.UnitServiceStub(channel).ImportClient(iter(messages), timeout=10)

    return await asyncio.to_thread(call)


async def refusal(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES])
async def test_chunks_are_full_but_the_last_and_there_is_always_one(size: int) -> None:
    data = os.urandom(size)
    chunks = await chunks_of(data)
    assert b"".join(chunk.data for chunk in chunks) == data
    assert [chunk.last for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert all(len(chunk.data) == CHUNK_BYTES for chunk in chunks[:-1])


async def test_what_one_unit_exports_another_keeps() -> None:
    old, new = LoopbackUnit("old", ISSUER), LoopbackUnit("u", ISSUER)
    await replace_state(old.state, "t", "alice", 1, DATA)
    async with (
        old.serving() as there,
        new.serving() as here,
        grpc.aio.insecure_channel(there) as from_old,
        grpc.aio.insecure_channel(here) as to_new,
    ):
        export = unit_pb2_grpc.UnitServiceStub(from_old).ExportClient(
            pb.ExportClientRequest(order=order(OrderAction.EXPORT, "old"))
        )
        sent = [response.chunk async for response in export]

        async def messages():
            yield pb.ImportClientRequest(order=order(OrderAction.IMPORT))
            for chunk in sent:
                yield pb.ImportClientRequest(chunk=chunk)

        kept = await unit_pb2_grpc.UnitServiceStub(to_new).ImportClient(messages())
    assert kept.size_bytes == len(DATA)
    assert kept.sha256 == sent[-1].sha256
    assert await read_state(new.state, "t", "alice") == DATA
    assert await read_state(old.state, "t", "alice") == DATA


def patched(position: int, **changes: object) -> Callable[[list[Chunk]], list[Chunk]]:
    def hurt(chunks: list[Chunk]) -> list[Chunk]:
        chunks[position] = replace(chunks[position], **changes)
        return chunks

    return hurt


def one_byte_wrong(chunks: list[Chunk]) -> list[Chunk]:
    data = bytearray(chunks[1].data)
    data[1000] ^= 1
    return patched(1, data=bytes(data))(chunks)


def wrong_with_a_good_checksum(chunks: list[Chunk]) -> list[Chunk]:
    chunks = one_byte_wrong(chunks)
    return patched(1, crc32=zlib.crc32(chunks[1].data))(chunks)


@pytest.mark.parametrize(
    ("hurt", "said"),
    [
        pytest.param(lambda c: c[:-1], "without its last chunk", id="cut-short"),
        pytest.param(lambda c: [], "without its last chunk", id="nothing-at-all"),
        pytest.param(lambda c: c[:1] + c[2:], "was due", id="a-chunk-missing"),
        pytest.param(lambda c: [c[1], c[0], *c[2:]], "was due", id="out-of-order"),
        pytest.param(lambda c: [c[0], *c], "was due", id="a-chunk-twice"),
        pytest.param(lambda c: [*c, c[-1]], "follows the last one", id="more-after-the-end"),
        pytest.param(one_byte_wrong, "checksum", id="a-bit-flipped"),
        pytest.param(wrong_with_a_good_checksum, "SHA-256", id="altered-with-care"),
        pytest.param(patched(-1, sha256=b""), "SHA-256", id="no-digest"),
        pytest.param(patched(0, data=b"", crc32=0), "empty", id="an-empty-chunk"),
    ],
)
async def test_a_hurt_import_keeps_nothing_and_what_stood_stays(hurt, said: str) -> None:
    unit = LoopbackUnit("u", ISSUER)
    await replace_state(unit.state, "t", "alice", 1, b"before")
    async with unit.serving() as address:
        code, details = await refusal(
            send(address, hurt(await chunks_of(DATA)), order(OrderAction.IMPORT))
        )
        assert code is grpc.StatusCode.DATA_LOSS
        assert said in details
        assert await read_state(unit.state, "t", "alice") == b"before"
        await send(address, await chunks_of(DATA), order(OrderAction.IMPORT))
    assert await read_state(unit.state, "t", "alice") == DATA


async def test_an_import_whose_sender_vanishes_keeps_nothing() -> None:
    unit = LoopbackUnit("u", ISSUER)
    async with unit.serving() as address, grpc.aio.insecure_channel(address) as channel:
        call = unit_pb2_grpc.UnitServiceStub(channel).ImportClient()
        await call.write(pb.ImportClientRequest(order=order(OrderAction.IMPORT)))
        for chunk in (await chunks_of(DATA))[:-1]:
            await call.write(pb.ImportClientRequest(chunk=chunk_to_proto(chunk)))
        call.cancel()
    assert await read_state(unit.state, "t", "alice") == b""


async def test_state_above_the_limit_is_refused_and_state_at_it_is_not() -> None:
    unit = LoopbackUnit("u", ISSUER, max_bytes=len(DATA))
    async with unit.serving() as address:
        await send(address, await chunks_of(DATA), order(OrderAction.IMPORT))
        code, details = await refusal(
            send(address, await chunks_of(DATA + b"x"), order(OrderAction.IMPORT, epoch=3))
        )
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "--max-state-bytes" in details
    assert await read_state(unit.state, "t", "alice") == DATA


async def test_an_import_may_be_repeated_and_an_older_one_is_refused() -> None:
    unit = LoopbackUnit("u", ISSUER)
    async with unit.serving() as address:
        for _ in range(2):
            answer = await send(address, await chunks_of(DATA), order(OrderAction.IMPORT, epoch=2))
            assert answer.size_bytes == len(DATA)
        code, _ = await refusal(
            send(address, await chunks_of(b"old"), order(OrderAction.IMPORT, epoch=1))
        )
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert await read_state(unit.state, "t", "alice") == DATA


@pytest.mark.parametrize(
    ("an_order", "code"),
    [
        pytest.param("", grpc.StatusCode.INVALID_ARGUMENT, id="none"),
        pytest.param("a.b.c", grpc.StatusCode.PERMISSION_DENIED, id="nonsense"),
        pytest.param(
            order(OrderAction.IMPORT, "v"), grpc.StatusCode.PERMISSION_DENIED, id="anothers"
        ),
        pytest.param(
            ISSUER.issue("u", "t", "alice", 1, time.time(), 60.0),
            grpc.StatusCode.PERMISSION_DENIED,
            id="the-clients-own-ticket",
        ),
    ],
)
async def test_nobody_reads_brings_or_drops_state_without_an_order(an_order, code) -> None:
    unit = LoopbackUnit("u", ISSUER)
    await replace_state(unit.state, "t", "alice", 1, b"secret")
    async with unit.serving() as address, grpc.aio.insecure_channel(address) as channel:
        stub = unit_pb2_grpc.UnitServiceStub(channel)
        export = stub.ExportClient(pb.ExportClientRequest(order=an_order))
        assert (await refusal(anext(aiter(export))))[0] is code
        assert (await refusal(send(address, await chunks_of(b"mine"), an_order)))[0] is code
        assert (await refusal(stub.ForgetClient(pb.ForgetClientRequest(order=an_order))))[0] is code
    assert await read_state(unit.state, "t", "alice") == b"secret"


async def test_an_order_is_good_for_its_act_alone() -> None:
    unit = LoopbackUnit("u", ISSUER)
    await replace_state(unit.state, "t", "alice", 1, b"state")
    async with unit.serving() as address, grpc.aio.insecure_channel(address) as channel:
        stub = unit_pb2_grpc.UnitServiceStub(channel)
        code, details = await refusal(
            stub.ForgetClient(pb.ForgetClientRequest(order=order(OrderAction.EXPORT)))
        )
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "to export, not to forget" in details
        for _ in range(2):
            await stub.ForgetClient(pb.ForgetClientRequest(order=order(OrderAction.FORGET)))
    assert await read_state(unit.state, "t", "alice") == b""


async def test_chunks_before_the_order_are_refused() -> None:
    unit = LoopbackUnit("u", ISSUER)

    async def messages():
        for chunk in await chunks_of(b"x"):
            yield pb.ImportClientRequest(chunk=chunk_to_proto(chunk))

    async with unit.serving() as address, grpc.aio.insecure_channel(address) as channel:
        call = unit_pb2_grpc.UnitServiceStub(channel).ImportClient(messages())
        assert (await refusal(call))[0] is grpc.StatusCode.INVALID_ARGUMENT
