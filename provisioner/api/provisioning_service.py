"""ProvisioningService: the gRPC methods, each a map in, a use case, a map out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc import aio

from control_plane import keys
from control_plane.auth.tokens import Caller, Right
from control_plane.errors import NotFound, PermissionDenied, ServiceError, Unavailable
from control_plane.fleet.unit import TenantSpec
from control_plane.identity.names import check_client_id
from control_plane.serving.calls import HotCall
from control_plane.serving.server import Service
from control_plane.serving.status import duration
from control_plane.store.port import KeyValue, StoreUnavailable
from control_plane.store.status import StoreStatus
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from provisioner.api import mapping
from provisioner.api.batches import BatchRun
from provisioner.api.callers import Callers
from provisioner.api.requests import origin_of, read_batch, read_provision
from provisioner.ledger.assignment import AssignmentRecord, decode_assignment
from provisioner.ledger.operations import Release
from provisioner.placement.explanation import explain
from provisioner.provisioning.pending import Sink
from provisioner.provisioning.provisioner import PATIENCE_S, Provisioner
from provisioner.provisioning.ticket_fallback import FallbackResponder, TicketFallback
from provisioner.provisioning.ticket_signer import TicketSigner
from provisioner.watching.clients import ClientWatches
from provisioner.watching.sharded import ShardedWatches
from provisioner.watching.watch import Kind, Told

BATCHES_AHEAD = 4  # batches of one stream that are worked on at the same time
NAME = "homeport.api.provisioning.v1.ProvisioningService"


class ProvisioningService(pb_grpc.ProvisioningServiceServicer):
    """Servicer of homeport.api.provisioning.v1."""

    def __init__(
        self,
        provisioner: Provisioner,
        tickets: TicketSigner,
        callers: Callers,
        fallback: TicketFallback,
        watches: ClientWatches | ShardedWatches,
        store_status: StoreStatus,
    ) -> None:
        self._provisioner = provisioner
        self._tickets = tickets
        self._callers = callers
        self._fallback = fallback
        self._watches = watches
        self._store_status = store_status

    def service(self) -> Service:
        """What control_plane.serving needs to serve it."""
        return Service(add=_add, servicer=self, name=NAME, hot={"Provision": self.provision_hot})

    def provision_hot(self, call: HotCall) -> None:
        """Provision, as a hot method."""
        sink: Sink = call
        try:
            request = read_provision(call.payload)
            origin = request.WhichOneof("origin")
            address = self._callers.admit(call, origin is not None)
            position = None
            if origin == "address":
                address = request.address
            elif origin == "position":
                position = (request.position.latitude, request.position.longitude)
            left_s = call.time_left_s()
            tenant = self._provisioner.tenant(request.tenant)
            if request.ticket:
                sink = FallbackResponder(
                    self._fallback,
                    tenant,
                    request.client_id,
                    request.ticket,
                    not request.without_ticket,
                    call,
                )
            self._provisioner.provision(
                tenant,
                request.client_id,
                address,
                position,
                sink,
                with_ticket=not request.without_ticket,
                patience_s=PATIENCE_S if left_s is None else min(left_s, PATIENCE_S),
            )
        except ServiceError as error:
            sink.fail(error)

    async def ProvisionMany(
        self, requests: AsyncIterator[bytes], context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[bytes]:
        """A few batches are under way at once; answers leave in the order of the requests."""
        caller = self._callers.of_context(context)
        if Right.SPEAK_FOR_OTHERS not in caller.rights:
            raise PermissionDenied("only operators may provision many clients at once")
        runs: asyncio.Queue[BatchRun | ServiceError | None] = asyncio.Queue(BATCHES_AHEAD)

        async def take_in() -> None:
            async for payload in requests:
                try:
                    run = self._begin(payload)
                except ServiceError as error:
                    await runs.put(error)
                    return
                await runs.put(run)
            await runs.put(None)

        intake = asyncio.create_task(take_in(), name="provision many")
        try:
            while True:
                run = await runs.get()
                if run is None:
                    break
                if isinstance(run, ServiceError):
                    raise run
                yield await run.response()
            await intake
        finally:
            intake.cancel()

    def _begin(self, payload: bytes) -> BatchRun:
        batch = read_batch(payload)
        run = BatchRun(self._provisioner, self._provisioner.tenant(batch.tenant), batch)
        run.begin()
        return run

    async def GetAssignment(
        self, request: pb.GetAssignmentRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.GetAssignmentResponse:
        provisioner = self._provisioner
        self._callers.of_context(context)
        tenant = provisioner.tenant(request.tenant)
        check_client_id(request.client_id)
        try:
            async with asyncio.timeout(self._fallback.silence_s() if request.ticket else None):
                found = await self._find(tenant, request.client_id)
        except (ServiceError, TimeoutError) as error:
            if not isinstance(error, TimeoutError) and not self._fallback.covers(error):
                raise
            shown = await self._fallback.assignment(tenant, request.client_id, request.ticket)
            if shown is None:
                if isinstance(error, TimeoutError):
                    raise Unavailable("the store does not answer; try again") from error
                raise
            return pb.GetAssignmentResponse(
                assignment=shown[0],
                ticket=shown[1],
                ticket_ttl=duration(tenant.ticket_ttl_s),
                stale=True,
            )
        if found is None:
            raise _no_assignment(request.client_id)
        record = decode_assignment(found.value)
        ticket = await self._tickets.issue(tenant, record.unit, request.client_id, record.epoch)
        return pb.GetAssignmentResponse(
            assignment=self._assignment(tenant, request.client_id, record),
            ticket=ticket,
            ticket_ttl=duration(tenant.ticket_ttl_s),
        )

    async def ReleaseAssignment(
        self, request: pb.ReleaseAssignmentRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ReleaseAssignmentResponse:
        self._callers.of_context(context)
        tenant = self._provisioner.tenant(request.tenant)
        check_client_id(request.client_id)
        found = await self._find(tenant, request.client_id)
        while found is not None:
            release = _Release(self._provisioner, found)
            self._provisioner.ledger.release(release)
            async with asyncio.timeout(2 * PATIENCE_S):
                outcome = await release.outcome
            if isinstance(outcome, bool):
                return pb.ReleaseAssignmentResponse(released=outcome)
            found = outcome  # written since we looked: look at what is there now
        return pb.ReleaseAssignmentResponse(released=False)

    async def WatchAssignment(
        self, request: pb.WatchAssignmentRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.WatchAssignmentResponse]:
        self._callers.of_context(context)
        tenant = self._provisioner.tenant(request.tenant)
        client_id = check_client_id(request.client_id)
        async with self._watches.watch(
            tenant.id, client_id, known_epoch=request.known_epoch, revision=request.revision
        ) as watch:
            while True:
                yield await self._told(tenant.id, client_id, await watch.next())

    async def _told(self, tenant_id: str, client_id: str, told: Told) -> pb.WatchAssignmentResponse:
        """What a watcher is told, with a ticket for the unit that its client has now."""
        response = pb.WatchAssignmentResponse(
            revision=told.revision, released=told.kind is Kind.RELEASED
        )
        home = told.standing
        if told.kind is not Kind.SIGN_OF_LIFE:
            response.cause = home.cause
        if told.kind is Kind.HOME:
            tenant = self._provisioner.tenant(
                tenant_id
            )  # it may have changed since the watch began
            response.assignment.MergeFromString(
                self._provisioner.assignment(
                    tenant_id, client_id, home.unit, home.epoch, home.at_ms
                )
            )
            response.ticket = await self._tickets.issue(tenant, home.unit, client_id, home.epoch)
            response.ticket_ttl.CopyFrom(duration(tenant.ticket_ttl_s))
        return response

    async def ExplainPlacement(
        self, request: pb.ExplainPlacementRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ExplainPlacementResponse:
        provisioner = self._provisioner
        caller = self._callers.of_context(context)
        tenant = provisioner.tenant(request.tenant)
        check_client_id(request.client_id)
        origin = origin_of(request)
        if origin.address is not None or origin.position is not None:
            _may_declare(caller)
        peer = self._callers.peer_of_context(context)
        location, how = provisioner.locator.explain(
            origin.address if origin.address is not None else peer,
            origin.position,
            tenant.default_position,
        )
        key = keys.assignment(tenant.id, request.client_id)
        occupancy = provisioner.ledger.occupancy_for(key)
        explanation = explain(
            provisioner.fleet,
            provisioner.policy,
            location,
            tenant.id,
            key,
            occupancy.room,
            occupancy.load,
        )
        response = mapping.explanation_to_proto(location, how, explanation)
        try:
            async with asyncio.timeout(self._store_status.patience_s):
                found = await self._find(tenant, request.client_id)
        except (StoreUnavailable, TimeoutError):
            response.stale = True
            response.as_of_time.CopyFrom(mapping.timestamp(self._store_status.as_of))
            return response
        if found is not None:
            record = decode_assignment(found.value)
            response.current.CopyFrom(self._assignment(tenant, request.client_id, record))
        return response

    def _assignment(
        self, tenant: TenantSpec, client_id: str, record: AssignmentRecord
    ) -> pb.Assignment:
        return pb.Assignment.FromString(
            self._provisioner.assignment(
                tenant.id, client_id, record.unit, record.epoch, record.at_ms
            )
        )

    async def _find(self, tenant: TenantSpec, client_id: str) -> KeyValue | None:
        look = _Look(keys.assignment(tenant.id, client_id))
        self._provisioner.ledger.look_up(look)
        async with asyncio.timeout(2 * PATIENCE_S):
            return await look.outcome


class _Look:
    """A lookup somebody awaits."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.expires_at = float("inf")
        self.outcome: asyncio.Future[KeyValue | None]
        self.outcome = asyncio.get_running_loop().create_future()

    def found(self, found: KeyValue | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(found)

    def failed(self, error: ServiceError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)


class _Release(Release):
    """A release somebody awaits: True, or what was there instead."""

    __slots__ = ("outcome",)

    def __init__(self, provisioner: Provisioner, found: KeyValue) -> None:
        self.key = found.key
        self.revision = found.mod_revision
        self.account = provisioner.ledger.account(decode_assignment(found.value).unit)
        self.expires_at = provisioner.now() + PATIENCE_S
        self.outcome: asyncio.Future[bool | KeyValue | None]
        self.outcome = asyncio.get_running_loop().create_future()

    def released(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(True)

    def changed(self, found: KeyValue | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(found)

    def failed(self, error: ServiceError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)


def _may_declare(caller: Caller) -> None:
    if Right.SPEAK_FOR_OTHERS not in caller.rights:
        raise PermissionDenied(
            "this caller may not say where a client is; leave address and position out"
        )


def _no_assignment(client_id: str) -> NotFound:
    return NotFound(f"client {client_id} has no assignment; provision it first")


def _add(servicer: Any, server: Any) -> None:
    """Like the generated function, with ProvisionMany on bytes: batches are read and written
    by requests.read_batch and encoding."""
    add: Any = pb_grpc.add_ProvisioningServiceServicer_to_server
    add(servicer, server)
    many: Any = grpc.stream_stream_rpc_method_handler(servicer.ProvisionMany)
    server.add_registered_method_handlers(NAME, {"ProvisionMany": many})
