"""LoopbackUnit: a unit's own gRPC service over a real socket, with faults to switch on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from control_plane.handoff.chunks import MAX_STATE_BYTES
from control_plane.identity.admission import TicketVerifier
from control_plane.identity.tickets import TicketIssuer
from control_plane.serving.server import Server, Service, Transport
from control_plane.serving.tls import TlsFiles
from deployment_units.agent.capacity_limit import CapacityLimit
from deployment_units.agent.state import StateHandoff
from deployment_units.agent.unit_service import NAME, UnitService
from deployment_units.services.state.memory import MemoryState
from deployment_units.services.state.port import ClientState
from homeport.api.unit.v1 import unit_pb2 as pb
from homeport.api.unit.v1 import unit_pb2_grpc


class LoopbackUnit(UnitService):
    """`hurt(n, response)` may change the n-th chunk of an export, or drop it (None).
    `silent_after`: chunks of an export after which nothing comes any more. `lie`: import
    acknowledges other bytes than it kept. `deaf`: import reads nothing."""

    def __init__(
        self,
        unit_id: str,
        issuer: TicketIssuer,
        state: ClientState | None = None,
        *,
        max_bytes: int = MAX_STATE_BYTES,
    ) -> None:
        self.unit_id = unit_id
        self.state = state if state is not None else MemoryState()
        verifier = TicketVerifier(unit_id, issuer.keys_for(unit_id))
        self.verifier = verifier
        handoff = StateHandoff(unit_id, verifier, self.state, wall=time.time, max_bytes=max_bytes)
        super().__init__(verifier, handoff, CapacityLimit(None), wall=time.time)
        self.hurt: Callable[[int, pb.StateChunk], pb.StateChunk | None] = lambda n, chunk: chunk
        self.silent_after = 1 << 30
        self.lie = False
        self.deaf = False
        self.exported = 0  # chunks
        self.under_way = 0
        self.most_under_way = 0

    async def ExportClient(self, request, context):
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            n = 0
            async for response in super().ExportClient(request, context):
                if n >= self.silent_after:
                    await asyncio.Event().wait()
                chunk = self.hurt(n, response.chunk)
                n += 1
                if chunk is not None:
                    self.exported += 1
                    yield pb.ExportClientResponse(chunk=chunk)
        finally:
            self.under_way -= 1

    async def ImportClient(self, requests, context):
        if self.deaf:
            await asyncio.Event().wait()
        response = await super().ImportClient(requests, context)
        return (
            pb.ImportClientResponse(size_bytes=response.size_bytes, sha256=b"x")
            if self.lie
            else response
        )

    @asynccontextmanager
    async def serving(self, tls: TlsFiles | None = None) -> AsyncIterator[str]:
        add = unit_pb2_grpc.add_UnitServiceServicer_to_server
        service = Service(add=add, servicer=self, name=NAME, hot={})
        server = Server([service], transport=Transport.GRPCIO, tls=tls)
        port = server.bind("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(0)
