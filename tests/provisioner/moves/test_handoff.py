"""Handing a client's state over between units, over real sockets: whole or not at all, and
whoever was at fault is named."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from control_plane.handoff.chunks import CHUNK_BYTES
from control_plane.handoff.orders import OrderIssuer
from control_plane.identity.keyring import KeyRing, new_epoch
from control_plane.identity.tickets import TicketIssuer
from control_plane.serving.dialing import dialer
from deployment_units.services.state.port import read_state, replace_state
from provisioner.moves.handoff import Handoff
from provisioner.moves.handoff_result import (
    HandoffDone,
    HandoffFailed,
    HandoffSide,
    MovingClient,
    UnitAddress,
)
from tests.support.fakes.unit import LoopbackUnit

ISSUER = TicketIssuer(KeyRing(epochs=(new_epoch(1, now=time.time(), random=os.urandom),)))
ALICE = MovingClient(tenant="t", client_id="alice", epoch=2)
DATA = os.urandom(4 * CHUNK_BYTES + 5)
NOWHERE = "127.0.0.1:1"


class Pair:
    """Two units and somebody who hands over between them."""

    def __init__(self, old: str, new: str, *, chunk_s: float = 5.0, parallel: int = 16) -> None:
        self.source = UnitAddress(unit_id="old", endpoint=old)
        self.target = UnitAddress(unit_id="new", endpoint=new)
        self.handoff = Handoff(
            OrderIssuer(ISSUER),
            connect=dialer(None),
            wall=time.time,
            chunk_s=chunk_s,
            parallel=parallel,
        )

    async def move(self, client: MovingClient = ALICE, *, timeout_s: float = 30.0):
        return await self.handoff.hand_over(
            client, source=self.source, target=self.target, timeout_s=timeout_s
        )


@asynccontextmanager
async def pair(old: LoopbackUnit, new: LoopbackUnit, **options) -> AsyncIterator[Pair]:
    async with old.serving() as there, new.serving() as here:
        both = Pair(there, here, **options)
        try:
            yield both
        finally:
            await both.handoff.close()


@pytest.fixture
def old() -> LoopbackUnit:
    return LoopbackUnit("old", ISSUER)


@pytest.fixture
def new() -> LoopbackUnit:
    return LoopbackUnit("new", ISSUER)


@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["none", "one-byte", "many-chunks"])
async def test_the_state_arrives_and_the_old_unit_forgets_when_told(old, new, data) -> None:
    await replace_state(old.state, "t", "alice", 1, data)
    async with pair(old, new) as both:
        done = await both.move()
        assert done == HandoffDone(size_bytes=len(data), sha256=hashlib.sha256(data).digest())
        assert await read_state(new.state, "t", "alice") == data
        assert await read_state(old.state, "t", "alice") == data
        assert await both.move() == done
        assert await both.handoff.forget(ALICE, unit=both.source) is None
        assert await read_state(old.state, "t", "alice") == b""
        assert await read_state(new.state, "t", "alice") == data


def flipped(n, chunk):
    if n == 2:
        chunk.data = chunk.data[:-1] + bytes([chunk.data[-1] ^ 1])
    return chunk


def dropped(n, chunk):
    return None if n == 1 else chunk


def beheaded(n, chunk):
    return None if chunk.last else chunk


@pytest.mark.parametrize("hurt", [flipped, dropped, beheaded])
async def test_a_source_that_sends_damage_is_at_fault_and_nothing_is_kept(old, new, hurt) -> None:
    await replace_state(old.state, "t", "alice", 1, DATA)
    await replace_state(new.state, "t", "alice", 1, b"before")
    old.hurt = hurt
    async with pair(old, new) as both:
        failed = await both.move()
        assert isinstance(failed, HandoffFailed)
        assert (failed.at_fault, failed.unit_id, failed.retryable) == (
            HandoffSide.SOURCE,
            "old",
            True,
        )
        assert await read_state(new.state, "t", "alice") == b"before"
        old.hurt = lambda n, chunk: chunk
        assert isinstance(await both.move(), HandoffDone)


async def test_a_target_that_acknowledges_something_else_is_at_fault(old, new) -> None:
    await replace_state(old.state, "t", "alice", 1, DATA)
    new.lie = True
    async with pair(old, new) as both:
        failed = await both.move()
    assert isinstance(failed, HandoffFailed)
    assert (failed.at_fault, failed.unit_id) == (HandoffSide.TARGET, "new")


async def test_a_target_that_refuses_is_quoted_and_not_asked_again(old) -> None:
    small = LoopbackUnit("new", ISSUER, max_bytes=CHUNK_BYTES)
    await replace_state(old.state, "t", "alice", 1, DATA)
    async with pair(old, small) as both:
        failed = await both.move()
    assert isinstance(failed, HandoffFailed)
    assert (failed.at_fault, failed.retryable) == (HandoffSide.TARGET, False)
    assert "--max-state-bytes" in failed.reason


async def test_a_unit_that_falls_silent_is_given_up(old, new) -> None:
    await replace_state(old.state, "t", "alice", 1, DATA)
    old.silent_after = 2
    async with pair(old, new, chunk_s=0.2) as both:
        failed = await both.move()
    assert isinstance(failed, HandoffFailed)
    assert (failed.at_fault, failed.retryable) == (HandoffSide.SOURCE, True)
    assert await read_state(new.state, "t", "alice") == b""


async def test_a_unit_that_takes_nothing_holds_the_other_back_and_is_given_up(old, new) -> None:
    """Flow control: the old unit is not asked for more than fits on the way, which HTTP/2
    windows and sockets may let grow to 16 MiB."""
    data = bytes(128 * CHUNK_BYTES)
    await replace_state(old.state, "t", "alice", 1, data)
    new.deaf = True
    async with pair(old, new, chunk_s=0.5) as both:
        failed = await both.move()
    assert isinstance(failed, HandoffFailed)
    assert failed.at_fault is HandoffSide.TARGET
    assert old.exported < 100


@pytest.mark.parametrize("absent", ["source", "target"])
async def test_a_unit_that_does_not_answer_is_named(old, new, absent) -> None:
    await replace_state(old.state, "t", "alice", 1, DATA)
    async with pair(old, new) as both:
        setattr(both, absent, UnitAddress(unit_id=absent, endpoint=NOWHERE))
        failed = await both.move()
        assert isinstance(failed, HandoffFailed)
        assert (failed.at_fault.value, failed.unit_id, failed.retryable) == (absent, absent, True)
        gone = await both.handoff.forget(ALICE, unit=UnitAddress(unit_id="gone", endpoint=NOWHERE))
        assert gone is not None
        assert gone.unit_id == "gone"


async def test_no_time_left_is_nobodys_fault(old, new) -> None:
    old.silent_after = 0
    async with pair(old, new) as both:
        failed = await both.move(timeout_s=0.1)
    assert isinstance(failed, HandoffFailed)
    assert failed.at_fault is HandoffSide.NEITHER


async def test_orders_of_another_fleet_are_not_obeyed(new) -> None:
    other = TicketIssuer(KeyRing(epochs=(new_epoch(1, now=0.0, random=os.urandom),)))
    stranger = LoopbackUnit("old", other)
    await replace_state(stranger.state, "t", "alice", 1, b"secret")
    async with pair(stranger, new) as both:
        failed = await both.move()
    assert isinstance(failed, HandoffFailed)
    assert "PERMISSION_DENIED" in failed.reason
    assert (failed.at_fault, failed.retryable) == (HandoffSide.SOURCE, False)


async def test_no_more_than_allowed_are_under_way_at_once(old, new) -> None:
    clients = [MovingClient(tenant="t", client_id=f"c{n}", epoch=2) for n in range(24)]
    for client in clients:
        await replace_state(old.state, "t", client.client_id, 1, DATA)
    async with pair(old, new, parallel=3) as both:
        results = await asyncio.gather(*(both.move(client) for client in clients))
    assert all(isinstance(result, HandoffDone) for result in results)
    assert old.most_under_way <= 3
    for client in clients:
        assert await read_state(new.state, "t", client.client_id) == DATA


class Endless:
    """Exports much without having it; imports count and drop."""

    def __init__(self, parts: int) -> None:
        self.parts = parts

    async def export(self, tenant, client_id):
        part = bytes(CHUNK_BYTES)
        for _ in range(self.parts):
            yield part

    async def begin(self, tenant, client_id, epoch):
        return self

    async def append(self, data) -> None: ...

    async def commit(self) -> None: ...

    def abort(self) -> None: ...


async def test_memory_does_not_grow_with_the_state() -> None:
    size = 400 * CHUNK_BYTES  # 100 MiB
    old = LoopbackUnit("old", ISSUER, Endless(400))
    new = LoopbackUnit("new", ISSUER, Endless(0), max_bytes=size)
    async with pair(old, new) as both:
        tracemalloc.start()
        try:
            done = await both.move()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert isinstance(done, HandoffDone)
    assert done.size_bytes == size
    assert peak < 32 * CHUNK_BYTES
