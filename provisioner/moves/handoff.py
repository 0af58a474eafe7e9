"""Handoff: carries a client's state from its unit to the next one, before the move.

Pipes the old unit's ExportClient into the new unit's ImportClient, one chunk at a time: a
chunk is read when the one before it has been taken, so memory is a chunk or two whatever
the state's size. Everything is checked on the way, so that a failure names who is at fault.
Nothing of a failed handoff is kept by the new unit, and nothing changes at the old one.
What goes wrong in units and on the way to them is a result here, never an exception.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

import grpc
from grpc import aio

from control_plane.errors import ServiceError
from control_plane.handoff.chunks import Chunk, ChunkVerifier
from control_plane.handoff.orders import OrderAction, OrderIssuer
from homeport.api.unit.v1 import unit_pb2 as pb
from homeport.api.unit.v1 import unit_pb2_grpc as pb_grpc

CHUNK_S = 5.0  # a unit that neither gives nor takes a chunk for so long is given up
TOTAL_S = 60.0  # for one client's state, waiting for a turn included; an order lives as long
PARALLEL = 16  # handoffs under way at once
CHANNELS = 64  # connections kept to units
STATUS_LOOKS, STATUS_LOOK_S = 50, 0.01  # for a status after the write that failed for it
_OF_A_LATE_WRITE = "Internal error from Core"


_T = TypeVar("_T")
Import: TypeAlias = aio.StreamUnaryCall[pb.ImportClientRequest, pb.ImportClientResponse]


class Side(StrEnum):
    """Whose fault it was."""

    SOURCE = "source"
    TARGET = "target"
    NEITHER = "neither"  # no time was left


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitAddress:
    """Where a unit's agent answers."""

    unit_id: str
    endpoint: str  # host:port


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingClient:
    """Whose state it is; `epoch` is that of the assignment it will have."""

    tenant: str
    client_id: str
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffDone:
    """The new unit keeps the state, durably as its service means it."""

    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffFailed:
    """The client has to stay where it is."""

    at_fault: Side
    unit_id: str  # of that side; empty for neither
    reason: str  # one sentence, fit for an operator
    again: bool  # whether the same attempt may work later


HandoffResult = HandoffDone | HandoffFailed
# Statuses that another try may not get: the unit is away or slow, or bytes were hurt.
_PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


class _Broken(Exception):
    """Ends an attempt; never leaves this module."""

    def __init__(self, side: Side, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.side = side
        self.reason = reason
        self.again = again


class Handoff:
    """One per provisioner; use from its event loop, `close` at the end.

    connect: opens a channel to host:port. wall: Unix seconds.
    """

    def __init__(
        self,
        orders: OrderIssuer,
        *,
        connect: Callable[[str], aio.Channel],
        wall: Callable[[], float],
        parallel: int = PARALLEL,
        chunk_s: float = CHUNK_S,
    ) -> None:
        self._orders = orders
        self._wall = wall
        self._turns = asyncio.Semaphore(parallel)
        self._chunk_s = chunk_s
        self._channels = _Channels(connect)

    async def hand_over(
        self,
        client: MovingClient,
        *,
        source: UnitAddress,
        target: UnitAddress,
        timeout_s: float = TOTAL_S,
    ) -> HandoffResult:
        """Brings the client's state to the target, which acknowledged all of it when this
        answers HandoffDone. May be repeated."""
        try:
            async with asyncio.timeout(timeout_s), self._turns:
                return await self._pipe(client, source, target)
        except TimeoutError:
            return HandoffFailed(
                at_fault=Side.NEITHER,
                unit_id="",
                reason=f"the state was not handed over within {timeout_s:g} s",
                again=True,
            )
        except _Broken as broken:
            unit = source if broken.side is Side.SOURCE else target
            return HandoffFailed(
                at_fault=broken.side,
                unit_id=unit.unit_id,
                reason=f"unit {unit.unit_id} {broken.reason}",
                again=broken.again,
            )

    async def forget(
        self, client: MovingClient, *, unit: UnitAddress, timeout_s: float = CHUNK_S
    ) -> HandoffFailed | None:
        """Has a unit drop what it keeps of the client, of `client.epoch` or before. None: it
        did. May be repeated."""
        order = self._order(OrderAction.FORGET, unit, client)
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._turns,
                self._channels.to(unit.endpoint) as stub,
            ):
                await stub.ForgetClient(pb.ForgetClientRequest(order=order))
        except TimeoutError:
            reason, again = f"did not answer within {timeout_s:g} s", True
        except aio.AioRpcError as error:
            reason, again = _said(error), error.code() in _PASSING
        else:
            return None
        return HandoffFailed(
            at_fault=Side.TARGET,
            unit_id=unit.unit_id,
            reason=f"unit {unit.unit_id} {reason}",
            again=again,
        )

    async def close(self) -> None:
        """Ends the connections."""
        await self._channels.close()

    async def _pipe(
        self, client: MovingClient, source: UnitAddress, target: UnitAddress
    ) -> HandoffDone:
        # Chunks are measured again on the way: what does not add up here was the source's.
        tally = ChunkVerifier(max_bytes=1 << 62)
        async with (
            self._channels.to(source.endpoint) as giver,
            self._channels.to(target.endpoint) as taker,
        ):
            export = giver.ExportClient(
                pb.ExportClientRequest(order=self._order(OrderAction.EXPORT, source, client))
            )
            taking: Import = taker.ImportClient()
            ending = _Ending(taking)
            try:
                order = self._order(OrderAction.IMPORT, target, client)
                await self._give(taking, ending, pb.ImportClientRequest(order=order))
                chunks = aiter(export)
                while (chunk := await self._take(chunks)) is not None:
                    try:
                        tally.accept(_measured(chunk))
                    except ServiceError as fault:
                        raise _Broken(Side.SOURCE, f"sent what is no state: {fault}",
                                      again=True) from fault  # fmt: skip
                    await self._give(taking, ending, pb.ImportClientRequest(chunk=chunk))
                try:
                    tally.finish()
                except ServiceError as fault:
                    raise _Broken(Side.SOURCE, f"sent half a state: {fault}",
                                  again=True) from fault  # fmt: skip
                kept = await self._acknowledged(taking, ending)
            finally:
                # An import that is not ended by its last chunk keeps nothing.
                export.cancel()
                taking.cancel()
        if kept.sha256 != tally.sha256 or kept.size_bytes != tally.bytes:
            raise _Broken(
                Side.TARGET,
                f"kept {kept.size_bytes} bytes that are not the {tally.bytes} it was sent",
                again=True,
            )
        return HandoffDone(size_bytes=tally.bytes, sha256=tally.sha256)

    async def _take(self, chunks: AsyncIterator[pb.ExportClientResponse]) -> pb.StateChunk | None:
        try:
            async with asyncio.timeout(self._chunk_s):
                return (await anext(chunks)).chunk
        except StopAsyncIteration:
            return None
        except TimeoutError as error:
            raise self._slow(Side.SOURCE) from error
        except aio.AioRpcError as error:
            raise _Broken(Side.SOURCE, _said(error), again=error.code() in _PASSING) from error

    async def _give(self, taking: Import, ending: _Ending, message: pb.ImportClientRequest) -> None:
        try:
            async with asyncio.timeout(self._chunk_s):
                await taking.write(message)
        except TimeoutError as error:
            raise self._slow(Side.TARGET) from error
        except asyncio.InvalidStateError as ended:  # it answered before it had everything
            kept = await self._acknowledged(taking, ending)
            raise _Broken(
                Side.TARGET,
                f"answered after {kept.size_bytes} bytes and wants no more",
                again=False,
            ) from ended
        except aio.AioRpcError as error:
            raise await ending.why(error) from error

    async def _acknowledged(self, taking: Import, ending: _Ending) -> pb.ImportClientResponse:
        try:
            async with asyncio.timeout(self._chunk_s):
                if not taking.done():
                    await taking.done_writing()
                return await taking
        except TimeoutError as error:
            raise self._slow(Side.TARGET) from error
        except aio.AioRpcError as error:
            raise await ending.why(error) from error

    def _order(self, act: OrderAction, unit: UnitAddress, client: MovingClient) -> str:
        return self._orders.make(
            act, unit.unit_id, client.tenant, client.client_id, client.epoch, self._wall()
        )

    def _slow(self, side: Side) -> _Broken:
        return _Broken(side, f"was silent for {self._chunk_s:g} s", again=True)


def _measured(message: pb.StateChunk) -> Chunk:
    return Chunk(
        offset=message.offset,
        data=message.data,
        crc32=message.crc32,
        last=message.last,
        sha256=message.sha256,
    )


def _said(error: aio.AioRpcError) -> str:
    return f"answered {error.code().name}: {error.details()}"


class _Ending:
    """How an import call ended, as the unit said it.

    A write that finds the stream closed makes grpc.aio put INTERNAL over the status that
    closed the stream, or before it (https://github.com/grpc/grpc/issues/36066). A status is
    told to a done callback when it is set, so there it is noted before INTERNAL can hide it;
    one that comes after INTERNAL replaces it a moment later.
    """

    def __init__(self, call: Import) -> None:
        self._call = call
        self._said: tuple[grpc.StatusCode, str] | None = None
        call.add_done_callback(self._note)

    def _note(self, call: Import) -> None:
        code, details = _at_once(call.code()), _at_once(call.details())
        if code is not None and details != _OF_A_LATE_WRITE:
            self._said = code, details or ""

    async def why(self, error: aio.AioRpcError) -> _Broken:
        """What the unit said, where that is more than `error`."""
        if error.details() != _OF_A_LATE_WRITE:
            return _Broken(Side.TARGET, _said(error), again=error.code() in _PASSING)
        for _ in range(STATUS_LOOKS):
            self._note(self._call)
            if self._said is not None:
                code, details = self._said
                said = f"answered {code.name}: {details}"
                return _Broken(Side.TARGET, said, again=code in _PASSING)
            await asyncio.sleep(STATUS_LOOK_S)
        return _Broken(Side.TARGET, "ended the call without a word", again=True)


def _at_once(answer: Coroutine[Any, Any, _T]) -> _T | None:
    """What a coroutine that has nothing to wait for returns; None where it would wait."""
    try:
        answer.send(None)
    except StopIteration as done:
        value: _T = done.value
        return value
    answer.close()
    return None


class _Channels:
    """One channel per endpoint, the least used ones closed when there are too many."""

    def __init__(self, connect: Callable[[str], aio.Channel]) -> None:
        self._connect = connect
        self._open: OrderedDict[str, aio.Channel] = OrderedDict()
        self._users: dict[str, int] = {}

    @asynccontextmanager
    async def to(self, endpoint: str) -> AsyncIterator[pb_grpc.UnitServiceStub]:
        channel = self._open.get(endpoint)
        if channel is None:
            channel = self._open[endpoint] = self._connect(endpoint)
        self._open.move_to_end(endpoint)
        self._users[endpoint] = self._users.get(endpoint, 0) + 1
        try:
            yield pb_grpc.UnitServiceStub(channel)
        finally:
            self._users[endpoint] -= 1
            if not self._users[endpoint]:
                del self._users[endpoint]
            await self._close_idle()

    async def _close_idle(self) -> None:
        idle = [endpoint for endpoint in self._open if endpoint not in self._users]
        for endpoint in idle[: max(0, len(self._open) - CHANNELS)]:
            await self._open.pop(endpoint).close()

    async def close(self) -> None:
        channels = list(self._open.values())
        self._open.clear()
        for channel in channels:
            await channel.close()
