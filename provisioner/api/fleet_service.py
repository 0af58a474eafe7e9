"""FleetService: operators apply, list and remove units; agents keep them alive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, suppress
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from control_plane import keys
from control_plane.auth.roles import Role
from control_plane.errors import InvalidInput, PermissionDenied, Unavailable
from control_plane.fleet.liveness import Liveness
from control_plane.fleet.registry import ApplyRequest, UnitRegistry
from control_plane.fleet.unit_view import UnitView
from control_plane.fleet.validation import check_unit
from control_plane.identity.names import check_client_id, check_slug
from control_plane.identity.tickets import TicketIssuer
from control_plane.serving.server import Service
from control_plane.serving.status import duration
from control_plane.store.port import KeyValue, Store, StoreUnavailable
from control_plane.store.status import StoreStatus
from homeport.api.fleet.v1 import fleet_pb2 as pb
from homeport.api.fleet.v1 import fleet_pb2_grpc as pb_grpc
from provisioner.api import mapping
from provisioner.api.callers import Callers
from provisioner.api.heartbeats import HeartbeatEvent, Heartbeats
from provisioner.api.unit_operations import UnitOperations
from provisioner.ledger.holds import HoldConfirmer
from provisioner.watching.departures import DepartureFeed, DepartureStream
from provisioner.watching.fleet import FleetWatches

MIN_TTL_S, MAX_TTL_S, DEFAULT_TTL_S = 1, 60, 10
BEATS_PER_TTL = 3
SEEN_S = 1.0
NAME = "homeport.api.fleet.v1.FleetService"


class FleetService(pb_grpc.FleetServiceServicer):
    """Servicer of homeport.api.fleet.v1. seen(): the records of units as last seen, for while
    the store is away. endpoint_of: a unit's, empty where it is not known; capacity_of: the same,
    0; places_in: whether this server knows of the unit and its room. wall: Unix seconds."""

    def __init__(
        self,
        store: Store,
        registry: UnitRegistry,
        issuer: TicketIssuer,
        callers: Callers,
        holds: HoldConfirmer,
        operations: UnitOperations,
        departures: DepartureFeed,
        watches: FleetWatches[pb.Unit],
        store_status: StoreStatus,
        seen: Callable[[], Iterable[KeyValue]],
        *,
        endpoint_of: Callable[[str], str],
        capacity_of: Callable[[str], int],
        places_in: Callable[[str], bool],
        wall: Callable[[], float],
    ) -> None:
        self._store = store
        self._registry = registry
        self._issuer = issuer
        self._callers = callers
        self._holds = holds
        self._operations = operations
        self._departures = departures
        self._watches = watches
        self._endpoint_of = endpoint_of
        self._capacity_of = capacity_of
        self._places_in = places_in
        self._store_status = store_status
        self._seen = seen
        self._wall = wall

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(
            add=pb_grpc.add_FleetServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ApplyUnit(
        self, request: pb.ApplyUnitRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Unit:
        if not request.registering and not self._callers.of_context(context).may(Role.OPERATOR):
            raise PermissionDenied("an agent may only register its unit; set registering")
        spec = check_unit(mapping.spec_from_proto(request.spec))
        wanted = ApplyRequest(
            expected_revision=request.revision,
            fields=mapping.spec_fields(request.update_mask),
            registering=request.registering,
            dry_run=request.dry_run,
        )
        applied = await self._registry.apply(spec, wanted)
        if not wanted.dry_run:
            await self._until_seen(spec.id)
        return self._unit(applied)

    async def _until_seen(self, unit_id: str) -> None:
        """Until this server places clients in a unit that is new, so that whoever applied it can
        go on here at once; a second at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SEEN_S):
                while not self._places_in(unit_id):  # noqa: ASYNC110 - several watches
                    await asyncio.sleep(0.005)

    async def ListUnitClients(
        self, request: pb.ListUnitClientsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListUnitClientsResponse:
        found = await self._operations.clients_of(
            check_slug(request.unit_id, "unit_id"),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListUnitClientsResponse(
            clients=[
                pb.UnitClient(tenant=one.tenant, client_id=one.client_id, epoch=one.epoch)
                for one in found.clients
            ],
            next_page_token=found.next_token,
        )

    async def GetUnit(
        self, request: pb.GetUnitRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.Unit:
        check_slug(request.unit_id, "unit_id")
        try:
            async with asyncio.timeout(self._store_status.wait_s):
                found = await self._registry.get(request.unit_id)
        except (StoreUnavailable, TimeoutError):
            views = self._registry.last_seen(self._seen())
            known = [view for view in views if view.spec.id == request.unit_id]
            if not known:
                raise Unavailable(
                    "the store does not answer, and this server has not heard of the unit"
                ) from None
            found = known[0]
        return self._unit(found)

    async def ListUnits(
        self, request: pb.ListUnitsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListUnitsResponse:
        try:
            async with asyncio.timeout(self._store_status.wait_s):
                views, revision = await self._registry.list()
        except (StoreUnavailable, TimeoutError):
            as_of = self._store_status.as_of
            if not as_of:
                raise Unavailable("the store does not answer, and never has") from None
            return pb.ListUnitsResponse(
                units=[self._unit(view) for view in self._registry.last_seen(self._seen())],
                stale=True,
                as_of_time=mapping.timestamp(as_of),
            )
        return pb.ListUnitsResponse(units=[self._unit(view) for view in views], revision=revision)

    def _unit(self, view: UnitView) -> pb.Unit:
        return mapping.unit_to_proto(view, self._operations.job_of(view))

    async def CordonUnit(
        self, request: pb.CordonUnitRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.CordonUnitResponse:
        view = await self._operations.cordon(
            check_slug(request.unit_id, "unit_id"),
            revision=request.revision,
            dry_run=request.dry_run,
        )
        return pb.CordonUnitResponse(unit=self._unit(view))

    async def DrainUnit(
        self, request: pb.DrainUnitRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.DrainUnitResponse:
        unit_id = check_slug(request.unit_id, "unit_id")
        if request.dry_run:
            view, plan = await self._operations.plan_drain(unit_id, revision=request.revision)
            return pb.DrainUnitResponse(unit=self._unit(view), plan=mapping.plan_to_proto(plan))
        view, job = await self._operations.drain(
            unit_id, revision=request.revision, rate_per_s=request.rate_per_s
        )
        return pb.DrainUnitResponse(
            unit=mapping.unit_to_proto(view, job if job is not None and job.is_open else None),
            job=mapping.job_to_proto(job) if job is not None else None,
        )

    async def UndrainUnit(
        self, request: pb.UndrainUnitRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.UndrainUnitResponse:
        view = await self._operations.undrain(
            check_slug(request.unit_id, "unit_id"),
            revision=request.revision,
            dry_run=request.dry_run,
        )
        return pb.UndrainUnitResponse(unit=mapping.unit_to_proto(view))

    async def Rebalance(
        self, request: pb.RebalanceRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.RebalanceResponse:
        if request.dry_run:
            plan = await self._operations.plan_rebalance(max_moves=request.max_moves)
            return pb.RebalanceResponse(plan=mapping.plan_to_proto(plan))
        job = await self._operations.rebalance(
            max_moves=request.max_moves, rate_per_s=request.rate_per_s
        )
        return pb.RebalanceResponse(job=mapping.job_to_proto(job))

    async def ListMoveJobs(
        self, request: pb.ListMoveJobsRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ListMoveJobsResponse:
        jobs = await self._operations.jobs(with_ended=request.with_ended, tenant=request.tenant)
        return pb.ListMoveJobsResponse(jobs=[mapping.job_to_proto(job) for job in jobs])

    async def ControlMoveJob(
        self, request: pb.ControlMoveJobRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ControlMoveJobResponse:
        job = await self._operations.control(
            request.job_id,
            state=mapping.job_state_from_proto(request.state),
            rate_per_s=request.rate_per_s,
            policy_version=request.policy_version,
            tenant=request.tenant,
        )
        return pb.ControlMoveJobResponse(job=mapping.job_to_proto(job))

    async def RemoveUnit(
        self, request: pb.RemoveUnitRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.RemoveUnitResponse:
        await self._operations.remove(
            check_slug(request.unit_id, "unit_id"),
            revision=request.revision,
            dry_run=request.dry_run,
        )
        return pb.RemoveUnitResponse()

    async def Heartbeat(
        self,
        requests: AsyncIterator[pb.HeartbeatRequest],
        context: aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[pb.HeartbeatResponse]:
        unit_id, ttl_s, sent_generation, admitted, capacity = "", DEFAULT_TTL_S, 0, 0, 0
        liveness: Liveness | None = None
        stream: DepartureStream | None = None
        beats = Heartbeats(requests)
        listed = True  # whether the last departures could be read
        try:
            while True:
                beat = await beats.next(ttl_s, stream.ready if stream and listed else None)
                if beat is HeartbeatEvent.SILENCE:
                    return  # not heard for a whole TTL: the lease runs out by itself
                if beat is HeartbeatEvent.END:
                    break
                response = pb.HeartbeatResponse()
                if isinstance(beat, pb.HeartbeatRequest):
                    status = mapping.status_from_proto(beat.status, now=self._wall())
                    if liveness is None or stream is None:
                        unit_id = check_slug(beat.unit_id, "unit_id")
                        ttl_s = _ttl_s(beat)
                        liveness = Liveness(self._store, unit_id, ttl_s)
                        await liveness.attach(status)
                        stream = self._departures.open(unit_id)
                    else:
                        if beat.unit_id not in ("", unit_id):
                            raise InvalidInput(
                                "unit_id",
                                f"this stream belongs to unit {unit_id}; open another one",
                            )
                        await liveness.heartbeat(status)
                    if beat.admissions:
                        await self._holds.confirm(
                            [_hold_key(one) for one in beat.admissions], unit_id
                        )
                        admitted += len(beat.admissions)
                    response.interval.CopyFrom(duration(ttl_s / BEATS_PER_TTL))
                response.recorded_admissions = admitted
                if (now := self._capacity_of(unit_id)) != capacity:
                    capacity = response.capacity = now
                generation = self._issuer.generation
                if sent_generation != generation:
                    sent_generation = generation
                    for key in self._issuer.keys_for(unit_id):
                        response.keys.add(
                            key_id=key.key_id,
                            algorithm=key.algorithm,
                            key=key.key,
                            expire_time=(
                                mapping.timestamp(key.expires_at) if key.expires_at else None
                            ),
                        )
                if stream is not None and stream.ready.is_set():
                    listed = await self._add_departures(stream, response)
                yield response
        finally:
            beats.close()
            if stream is not None:
                self._departures.close(unit_id, stream)
        if liveness is not None:
            await liveness.leave()

    async def _add_departures(
        self, stream: DepartureStream, response: pb.HeartbeatResponse
    ) -> bool:
        """Adds a page of them; False where they cannot be read before the next heartbeat."""
        try:
            left = await stream.next_page()
        except StoreUnavailable:
            return False
        for one in left:
            departure = one.departure
            response.departures.add(
                tenant=one.tenant,
                client_id=one.client_id,
                epoch=departure.epoch,
                unit_id=departure.unit,
                endpoint=self._endpoint_of(departure.unit) if departure.unit else "",
                depart_time=mapping.timestamp(departure.at_ms / 1000),
                first_assign_time=_exact(departure.first_ms),
            )
        return True

    async def WatchFleet(
        self, request: pb.WatchFleetRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.WatchFleetResponse]:
        async with aclosing(self._watches.stream(request.revision)) as stream:
            async for news in stream:
                yield pb.WatchFleetResponse(
                    units=news.units, removed_unit_ids=news.removed, revision=news.revision
                )


def _exact(unix_ms: int) -> Timestamp | None:
    """To the millisecond, which a float of seconds is not; None: 0, it is not known."""
    if not unix_ms:
        return None
    return Timestamp(seconds=unix_ms // 1000, nanos=unix_ms % 1000 * 1_000_000)


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
