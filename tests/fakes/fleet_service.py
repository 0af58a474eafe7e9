"""FakeFleet: as much of FleetService as an agent sees, over a real loopback socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from control_plane.identity.tickets import TicketIssuer
from homeport.api.fleet.v1 import fleet_pb2 as pb
from homeport.api.fleet.v1 import fleet_pb2_grpc as pb_grpc

INTERVAL_S = 0.05


class FakeFleet(pb_grpc.FleetServiceServicer):
    """Remembers what agents say. `refusal`: every heartbeat ends with this status."""

    def __init__(self, issuer: TicketIssuer, refusal: grpc.StatusCode | None = None) -> None:
        self.issuer = issuer
        self.refusal = refusal
        self.beats: list[pb.HeartbeatRequest] = []
        self.applied: list[pb.UnitSpec] = []
        self.goodbyes = 0

    async def ApplyUnit(self, request, context):
        self.applied.append(request.spec)
        return pb.Unit(spec=request.spec)

    async def Heartbeat(self, requests, context) -> AsyncIterator[pb.HeartbeatResponse]:
        if self.refusal is not None:
            await context.abort(self.refusal, "not you")
        told = 0
        async for beat in requests:
            self.beats.append(beat)
            response = pb.HeartbeatResponse()
            response.interval.nanos = int(INTERVAL_S * 1e9)
            if told != self.issuer.generation:
                told = self.issuer.generation
                for key in self.issuer.keys_for(beat.unit_id):
                    response.keys.add(key_id=key.key_id, algorithm=key.algorithm, key=key.key)
            yield response
        self.goodbyes += 1

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        server = grpc.aio.server()
        pb_grpc.add_FleetServiceServicer_to_server(self, server)
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        try:
            yield f"127.0.0.1:{bound}"
        finally:
            await server.stop(0)
