"""StateHandoff: the unit's side of a handoff: exports, imports or forgets a client's state.

Checks the order, then reads, replaces or drops what the service keeps of that client. An
import that is cut short, altered or out of order keeps nothing; the state that stood before
goes on standing. Nothing here decides where a client lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from control_plane.errors import DataLoss, InvalidInput, PermissionDenied, Unavailable
from control_plane.handoff.chunks import MAX_STATE_BYTES, Chunk, ChunkVerifier, chunked
from control_plane.handoff.orders import Order, OrderAction, OrderRefusal, check_order
from control_plane.identity.admission import TicketVerifier
from control_plane.identity.departures import Departed
from deployment_units.services.state.port import ClientState
from homeport.api.unit.v1 import unit_pb2 as pb

IDLE_S = 20.0  # an import that brings nothing for so long is given up


class StateHandoff:
    """For one unit. wall: Unix seconds; max_bytes: the largest state it imports."""

    def __init__(
        self,
        unit_id: str,
        verifier: TicketVerifier,
        state: ClientState,
        *,
        wall: Callable[[], float],
        max_bytes: int = MAX_STATE_BYTES,
    ) -> None:
        self._unit_id = unit_id
        self._verifier = verifier
        self._state = state
        self._wall = wall
        self._max_bytes = max_bytes

    async def export_state(self, order: str) -> AsyncIterator[pb.ExportClientResponse]:
        """The state in chunks. Raises InvalidInput, PermissionDenied, Unavailable."""
        client = self._checked(order, OrderAction.EXPORT)
        async for chunk in chunked(self._state.export(client.tenant, client.client_id)):
            yield pb.ExportClientResponse(chunk=chunk_to_proto(chunk))

    async def import_state(
        self, requests: AsyncIterator[pb.ImportClientRequest]
    ) -> pb.ImportClientResponse:
        """Keeps all of it or nothing. Raises InvalidInput, PermissionDenied, DataLoss,
        Refused (too large, or newer state is kept), Unavailable."""
        first = await _next(requests)
        if first is None or first.WhichOneof("part") != "order":
            raise InvalidInput("order", "the first message has to carry the order")
        client = self._checked(first.order, OrderAction.IMPORT)
        incoming = await self._state.begin(client.tenant, client.client_id, client.epoch)
        try:
            verifier = ChunkVerifier(max_bytes=self._max_bytes)
            while (message := await _next(requests)) is not None:
                if message.WhichOneof("part") != "chunk":
                    raise InvalidInput("chunk", "after the order only chunks may follow")
                chunk = chunk_from_proto(message.chunk)
                verifier.accept(chunk)
                if chunk.data:
                    await incoming.append(chunk.data)
            verifier.finish()
            await incoming.commit()
        finally:
            incoming.abort()
        return pb.ImportClientResponse(size_bytes=verifier.bytes, sha256=verifier.sha256)

    async def forget(self, order: str) -> None:
        """Drops the state. Raises InvalidInput, PermissionDenied, Unavailable."""
        client = self._checked(order, OrderAction.FORGET)
        await self._state.forget(client.tenant, client.client_id, client.epoch)
        self._note_left(client)

    def _note_left(self, client: Order) -> None:
        """Its tickets are over now, before the unit hears where it went: else the client would
        begin anew here."""
        departures = self._verifier.departures
        known = departures.find(client.tenant, client.client_id)
        if known is not None and known.epoch >= client.epoch:
            return
        now = self._wall()
        departures.note(
            client.tenant,
            client.client_id,
            Departed(epoch=client.epoch, unit_id="", endpoint="", decided_at=now, over_at=now),
        )

    def _checked(self, order: str, action: OrderAction) -> Order:
        if not order:
            raise InvalidInput("order", "order is empty; only the control plane may ask for this")
        if not self._verifier.has_keys:
            raise Unavailable("this unit has no ticket keys yet; try again shortly")
        checked = check_order(order, action, self._verifier, self._unit_id, self._wall())
        if isinstance(checked, OrderRefusal):
            raise PermissionDenied(checked.message)
        return checked


async def _next(requests: AsyncIterator[pb.ImportClientRequest]) -> pb.ImportClientRequest | None:
    """The next message; None at the end. Raises DataLoss when none comes."""
    try:
        async with asyncio.timeout(IDLE_S):
            return await anext(requests)
    except StopAsyncIteration:
        return None
    except TimeoutError as error:
        raise DataLoss(f"nothing came for {IDLE_S:.0f} s; hand the client over again") from error


def chunk_to_proto(chunk: Chunk) -> pb.StateChunk:
    """A chunk for the wire."""
    return pb.StateChunk(
        offset=chunk.offset,
        data=chunk.data,
        crc32=chunk.crc32,
        last=chunk.last,
        sha256=chunk.sha256,
    )


def chunk_from_proto(message: pb.StateChunk) -> Chunk:
    """A chunk as it came."""
    return Chunk(
        offset=message.offset,
        data=message.data,
        crc32=message.crc32,
        last=message.last,
        sha256=message.sha256,
    )
