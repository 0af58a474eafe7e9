"""FleetService: operators apply, list and remove units; agents keep them alive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from grpc import aio

from control_plane import keys
from control_plane.errors import InvalidInput
from control_plane.identity.names import check_client_id, check_slug
from control_plane.identity.tickets import TicketIssuer
from control_plane.identity.tokens import Right
from control_plane.serving.server import Service
from control_plane.serving.status import duration
from control_plane.store.port import Store
from deployment_units.fleet.liveness import Liveness
from deployment_units.fleet.registry import UnitRegistry
from deployment_units.fleet.validation import check_unit
from homeport.api.fleet.v1 import fleet_pb2 as pb
from homeport.api.fleet.v1 import fleet_pb2_grpc as pb_grpc
from provisioner.api import mapping
from provisioner.api.callers import Callers
from provisioner.ledger.holds import HoldBook
from provisioner.ledger.shard_holds import ShardHoldBook

MIN_TTL_S, MAX_TTL_S, DEFAULT_TTL_S = 1, 60, 10
BEATS_PER_TTL = 3
NAME = "homeport.api.fleet.v1.FleetService"


class FleetService(pb_grpc.FleetServiceServicer):
    """Servicer of homeport.api.fleet.v1. wall: Unix seconds."""

    def __init__(
        self,
        store: Store,
        registry: UnitRegistry,
        issuer: TicketIssuer,
        callers: Callers,
        holds: HoldBook | ShardHoldBook,
        *,
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._registry = registry
        self._issuer = issuer
        self._callers = callers
        self._holds = holds
        self._wall = wall

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_FleetServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ApplyUnit(
        self, request: pb.ApplyUnitRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Unit:
        caller = self._callers.of_context(context)
        if Right.UNIT not in caller.rights:
            self._callers.require(context, Right.OPERATE)
        spec = check_unit(mapping.spec_from_proto(request.spec))
        view = await self._registry.apply(spec, expected_revision=request.revision)
        return mapping.unit_to_proto(view)

    async def GetUnit(
        self, request: pb.GetUnitRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Unit:
        self._callers.of_context(context)
        check_slug(request.unit_id, "unit_id")
        return mapping.unit_to_proto(await self._registry.get(request.unit_id))

    async def ListUnits(
        self, request: pb.ListUnitsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListUnitsResponse:
        self._callers.of_context(context)
        views, revision = await self._registry.list()
        return pb.ListUnitsResponse(
            units=[mapping.unit_to_proto(view) for view in views], revision=revision
        )

    async def RemoveUnit(
        self, request: pb.RemoveUnitRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.RemoveUnitResponse:
        self._callers.require(context, Right.OPERATE)
        check_slug(request.unit_id, "unit_id")
        await self._registry.remove(request.unit_id)
        return pb.RemoveUnitResponse()

    async def Heartbeat(
        self,
        requests: AsyncIterator[pb.HeartbeatRequest],
        context: aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[pb.HeartbeatResponse]:
        self._callers.require(context, Right.UNIT)
        liveness: Liveness | None = None
        unit_id, ttl_s, told, admitted = "", DEFAULT_TTL_S, 0, 0
        beats = aiter(requests)
        while True:
            try:
                async with asyncio.timeout(ttl_s):
                    beat = await anext(beats)
            except TimeoutError:
                return  # not heard for a whole TTL: the lease runs out by itself
            except StopAsyncIteration:
                break
            status = mapping.status_from_proto(beat.status, now=self._wall())
            if liveness is None:
                unit_id = check_slug(beat.unit_id, "unit_id")
                ttl_s = _ttl_s(beat)
                liveness = Liveness(self._store, unit_id, ttl_s)
                await liveness.attach(status)
            else:
                if beat.unit_id not in ("", unit_id):
                    raise InvalidInput(
                        "unit_id", f"this stream belongs to unit {unit_id}; open another one"
                    )
                await liveness.beat(status)
            if beat.admitted:
                await self._holds.confirm([_hold_key(one) for one in beat.admitted])
                admitted += len(beat.admitted)
            response = pb.HeartbeatResponse(
                interval=duration(ttl_s / BEATS_PER_TTL), admitted=admitted
            )
            generation = self._issuer.generation
            if told != generation:
                told = generation
                for key in self._issuer.keys_for(unit_id):
                    response.keys.add(
                        key_id=key.key_id,
                        algorithm=key.algorithm,
                        key=key.key,
                        expire_time=(mapping.timestamp(key.expires_at) if key.expires_at else None),
                    )
            yield response
        if liveness is not None:
            await liveness.leave()


def _hold_key(admission: pb.Admission) -> bytes:
    """Raises InvalidInput."""
    return keys.hold(check_slug(admission.tenant, "tenant"), check_client_id(admission.client_id))


def _ttl_s(beat: pb.HeartbeatRequest) -> int:
    if not beat.HasField("ttl"):
        return DEFAULT_TTL_S
    ttl_s: int = beat.ttl.seconds
    if not MIN_TTL_S <= ttl_s <= MAX_TTL_S:
        raise InvalidInput("ttl", f"ttl must be {MIN_TTL_S} to {MAX_TTL_S} s, not {ttl_s} s")
    return ttl_s
