"""Handoff: carries a client's state from its unit to the next one, before the move.

Pipes the old unit's ExportClient into the new unit's ImportClient, one chunk at a time: a
chunk is read when the one before it has been accepted, so memory is a chunk or two whatever
the state's size. Everything is checked on the way, so that a failure names who is at fault.
Nothing of a failed handoff is kept by the new unit, and nothing changes at the old one.
What goes wrong in units and on the way to them is a result here, never an exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from grpc import aio

from control_plane.errors import ServiceError
from control_plane.handoff.chunks import Chunk, ChunkVerifier
from control_plane.handoff.orders import OrderAction, OrderIssuer
from homeport.api.unit.v1 import unit_pb2 as pb
from provisioner.moves.handoff_result import (
    HandoffDone,
    HandoffFailed,
    HandoffResult,
    HandoffSide,
    MovingClient,
    UnitAddress,
)
from provisioner.moves.unit_channels import UnitChannels
from provisioner.moves.unit_failure import ImportCall, ImportStatus, UnitFailure, failure

CHUNK_S = 5.0  # a unit that neither sends nor accepts a chunk for so long is given up
TOTAL_S = 60.0  # for one client's state, waiting for a permit included; an order lives as long
PARALLEL = 16  # handoffs under way at once


class _Broken(Exception):
    """Ends an attempt; never leaves this module."""

    def __init__(self, side: HandoffSide, failure: UnitFailure) -> None:
        super().__init__(failure.reason)
        self.side = side
        self.failure = failure


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
        self._permits = asyncio.Semaphore(parallel)
        self._chunk_s = chunk_s
        self._channels = UnitChannels(connect)

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
            async with asyncio.timeout(timeout_s), self._permits:
                return await self._pipe(client, source, target)
        except TimeoutError:
            return HandoffFailed(
                at_fault=HandoffSide.NEITHER,
                unit_id="",
                reason=f"the state was not handed over within {timeout_s:g} s",
                retryable=True,
            )
        except _Broken as broken:
            unit = source if broken.side is HandoffSide.SOURCE else target
            return _failed(broken.side, unit, broken.failure)

    async def forget(
        self, client: MovingClient, *, unit: UnitAddress, timeout_s: float = CHUNK_S
    ) -> HandoffFailed | None:
        """Has a unit drop what it keeps of the client, of `client.epoch` or before. None: it
        did. May be repeated."""
        order = self._order(OrderAction.FORGET, unit, client)
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._permits,
                self._channels.stub(unit.endpoint) as stub,
            ):
                await stub.ForgetClient(pb.ForgetClientRequest(order=order))
        except TimeoutError:
            why = UnitFailure(f"did not answer within {timeout_s:g} s", True)
        except aio.AioRpcError as error:
            why = failure(error.code(), error.details())
        else:
            return None
        return _failed(HandoffSide.TARGET, unit, why)

    async def close(self) -> None:
        """Ends the connections."""
        await self._channels.close()

    async def _pipe(
        self, client: MovingClient, source: UnitAddress, target: UnitAddress
    ) -> HandoffDone:
        # Chunks are measured again on the way: what does not add up here was the source's.
        verifier = ChunkVerifier(max_bytes=1 << 62)
        async with (
            self._channels.stub(source.endpoint) as exporter,
            self._channels.stub(target.endpoint) as importer,
        ):
            export_call = exporter.ExportClient(
                pb.ExportClientRequest(order=self._order(OrderAction.EXPORT, source, client))
            )
            import_call: ImportCall = importer.ImportClient()
            status = ImportStatus(import_call)
            try:
                order = self._order(OrderAction.IMPORT, target, client)
                await self._write(import_call, status, pb.ImportClientRequest(order=order))
                chunks = aiter(export_call)
                while (chunk := await self._read(chunks)) is not None:
                    try:
                        verifier.accept(_chunk(chunk))
                    except ServiceError as fault:
                        raise _Broken(
                            HandoffSide.SOURCE, UnitFailure(f"sent what is no state: {fault}", True)
                        ) from fault
                    await self._write(import_call, status, pb.ImportClientRequest(chunk=chunk))
                try:
                    verifier.finish()
                except ServiceError as fault:
                    raise _Broken(
                        HandoffSide.SOURCE, UnitFailure(f"sent half a state: {fault}", True)
                    ) from fault
                kept = await self._acknowledgement(import_call, status)
            finally:
                # An import that is not ended by its last chunk keeps nothing.
                export_call.cancel()
                import_call.cancel()
        if kept.sha256 != verifier.sha256 or kept.size_bytes != verifier.bytes:
            wrong = f"kept {kept.size_bytes} bytes that are not the {verifier.bytes} it was sent"
            raise _Broken(HandoffSide.TARGET, UnitFailure(wrong, True))
        return HandoffDone(size_bytes=verifier.bytes, sha256=verifier.sha256)

    async def _read(self, chunks: AsyncIterator[pb.ExportClientResponse]) -> pb.StateChunk | None:
        """The source's next chunk; None at the end."""
        try:
            async with asyncio.timeout(self._chunk_s):
                return (await anext(chunks)).chunk
        except StopAsyncIteration:
            return None
        except TimeoutError as error:
            raise self._silent(HandoffSide.SOURCE) from error
        except aio.AioRpcError as error:
            raise _Broken(HandoffSide.SOURCE, failure(error.code(), error.details())) from error

    async def _write(
        self, call: ImportCall, status: ImportStatus, message: pb.ImportClientRequest
    ) -> None:
        """Sends a message to the target."""
        try:
            async with asyncio.timeout(self._chunk_s):
                await call.write(message)
        except TimeoutError as error:
            raise self._silent(HandoffSide.TARGET) from error
        except asyncio.InvalidStateError as ended:  # it answered before it had everything
            kept = await self._acknowledgement(call, status)
            early = f"answered after {kept.size_bytes} bytes and wants no more"
            raise _Broken(HandoffSide.TARGET, UnitFailure(early, False)) from ended
        except aio.AioRpcError as error:
            raise _Broken(HandoffSide.TARGET, await status.failure(error)) from error

    async def _acknowledgement(
        self, call: ImportCall, status: ImportStatus
    ) -> pb.ImportClientResponse:
        """What the target says it keeps, once it has everything."""
        try:
            async with asyncio.timeout(self._chunk_s):
                if not call.done():
                    await call.done_writing()
                return await call
        except TimeoutError as error:
            raise self._silent(HandoffSide.TARGET) from error
        except aio.AioRpcError as error:
            raise _Broken(HandoffSide.TARGET, await status.failure(error)) from error

    def _order(self, action: OrderAction, unit: UnitAddress, client: MovingClient) -> str:
        return self._orders.make(
            action, unit.unit_id, client.tenant, client.client_id, client.epoch, self._wall()
        )

    def _silent(self, side: HandoffSide) -> _Broken:
        return _Broken(side, UnitFailure(f"was silent for {self._chunk_s:g} s", True))


def _failed(side: HandoffSide, unit: UnitAddress, why: UnitFailure) -> HandoffFailed:
    return HandoffFailed(
        at_fault=side,
        unit_id=unit.unit_id,
        reason=f"unit {unit.unit_id} {why.reason}",
        retryable=why.retryable,
    )


def _chunk(message: pb.StateChunk) -> Chunk:
    return Chunk(
        offset=message.offset,
        data=message.data,
        crc32=message.crc32,
        last=message.last,
        sha256=message.sha256,
    )
