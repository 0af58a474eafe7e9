"""FakeFleet: as much of FleetService as an agent sees, over a real loopback socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from control_plane.identity.tickets import TicketIssuer
from homeport.api.fleet.v1 import fleet_pb2 as pb
from homeport.api.fleet.v1 import fleet_pb2_grpc as pb_grpc

INTERVAL_S = 0.05


class FakeFleet(pb_grpc.FleetServiceServicer):
    """Remembers what agents say. `refusal`: every heartbeat ends with this status. `silent`:
    beats are taken and not answered. `bad_key`: keys are sent that cannot be any."""

    def __init__(self, issuer: TicketIssuer, refusal: grpc.StatusCode | None = None) -> None:
        self.issuer = issuer
        self.refusal = refusal
        self.refused = 0
        self.silent = False
        self.bad_key = False
        self.streams = 0  # begun
        self._ending = asyncio.Event()
        self.beats: list[pb.HeartbeatRequest] = []
        self.applied: list[pb.UnitSpec] = []
        self.goodbyes = 0
        self.admitted: list[tuple[str, str, int]] = []  # as told, repeats included
        self.forgetful = False  # answers without saying that admissions were written
        self.departures: list[pb.Departure] = []  # told to each line as it begins

    def end_streams(self) -> None:
        """Ends the heartbeat streams that stand, as a server that stops does."""
        self._ending.set()
        self._ending = asyncio.Event()

    async def ApplyUnit(self, request, context):
        self.applied.append(request.spec)
        return pb.Unit(spec=request.spec)

    async def Heartbeat(self, requests, context) -> AsyncIterator[pb.HeartbeatResponse]:
        if self.refusal is not None:
            self.refused += 1
            await context.abort(self.refusal, "not you")
        self.streams += 1
        told, ending, written, listed = 0, self._ending, 0, False
        async for beat in requests:
            if ending.is_set():
                await context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")
            self.beats.append(beat)
            if self.silent:
                continue
            told_now = [(one.tenant, one.client_id, one.epoch) for one in beat.admissions]
            self.admitted += told_now
            if not self.forgetful:
                written += len(told_now)
            response = pb.HeartbeatResponse(recorded_admissions=written)
            if not listed:
                listed = True
                response.departures.extend(self.departures)
            response.interval.nanos = int(INTERVAL_S * 1e9)
            if told != self.issuer.generation:
                told = self.issuer.generation
                for key in self.issuer.keys_for(beat.unit_id):
                    secret = b"short" if self.bad_key else key.key
                    response.keys.add(key_id=key.key_id, algorithm=key.algorithm, key=secret)
            yield response
        self.goodbyes += 1

    @asynccontextmanager
    async def serving(
        self, port: int = 0, credentials: grpc.ServerCredentials | None = None
    ) -> AsyncIterator[str]:
        server = grpc.aio.server()
        pb_grpc.add_FleetServiceServicer_to_server(self, server)
        address = f"127.0.0.1:{port}"
        bound = (
            server.add_insecure_port(address)
            if credentials is None
            else server.add_secure_port(address, credentials)
        )
        await server.start()
        try:
            yield f"127.0.0.1:{bound}"
        finally:
            await server.stop(0)
