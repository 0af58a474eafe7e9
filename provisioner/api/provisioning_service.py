"""ProvisioningService: the gRPC methods, each a map in, a use case, a map out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from grpc import aio

from control_plane import keys
from control_plane.auth.access_control import tenant_for
from control_plane.auth.callers import Caller
from control_plane.auth.roles import Role
from control_plane.errors import NotFound, ServiceError, Unavailable
from control_plane.fleet.unit import TenantSpec
from control_plane.identity.names import check_client_id
from control_plane.pacing import CoroutinePacer
from control_plane.quotas.limits import Quota
from control_plane.quotas.quotas import Quotas
from control_plane.serving.admission_queue import AdmissionQueue
from control_plane.serving.errors_to_status import interrupted
from control_plane.serving.server import Service
from control_plane.store.port import StoreUnavailable
from control_plane.store.status import StoreStatus
from control_plane.supervision import is_cancelled
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from homeport.api.provisioning.v1 import provisioning_pb2_grpc as pb_grpc
from provisioner.api import mapping
from provisioner.api.batches import BatchRun, add_to_server
from provisioner.api.callers import Callers, check_declares
from provisioner.api.client_proofs import ClientProofs, WatchedClientProof, checked_record
from provisioner.api.client_tenant import client_tenant
from provisioner.api.explanations import explained
from provisioner.api.provision_calls import ProvisionCalls
from provisioner.api.recorded_decision import recorded_decision
from provisioner.api.requests import UNSAID, origin_of, read_batch, told_attributes
from provisioner.api.waiting_clients import kind_of_provision, wait_to_explain
from provisioner.applied_policies.followed import FollowedPolicies
from provisioner.fleet_view import FleetView
from provisioner.latencies.keeper import LatencyKeeper
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.placement.attributes import with_attributes
from provisioner.policy.told_attributes import told_anew
from provisioner.provisioning.answers import Answers
from provisioner.provisioning.asked_location import NO_RECORD, recorded_distance, unsaid_location
from provisioner.provisioning.assignments import Assignments
from provisioner.provisioning.bootstrap_lookup import BootstrapEnrolment
from provisioner.provisioning.network_provision import NetworkFinder
from provisioner.provisioning.provisioner import Provisioner
from provisioner.provisioning.ticket_fallback import TicketFallback
from provisioner.watching.clients import ClientWatches
from provisioner.watching.sharded import ShardedWatches
from provisioner.watching.watch import WatchEvent, WatchEventKind

NAME = "homeport.api.provisioning.v1.ProvisioningService"
QUOTAS = {
    f"/{NAME}/GetAssignment": Quota.LOOKUPS,
    f"/{NAME}/WatchAssignment": Quota.WATCHES,
    f"/{NAME}/ExplainPlacement": Quota.EXPLANATIONS,
}
"""What methods count as that do not count themselves."""
MAX_CONCURRENT_BATCHES = 4  # batches of one stream that are worked on at the same time


class ProvisioningService(pb_grpc.ProvisioningServiceServicer):
    """Servicer of homeport.api.provisioning.v1."""

    def __init__(
        self,
        *,
        provisioner: Provisioner,
        assignments: Assignments,
        answers: Answers,
        fallback: TicketFallback,
        fleet_view: FleetView,
        callers: Callers,
        proofs: ClientProofs,
        bootstrap: BootstrapEnrolment,
        watches: ClientWatches | ShardedWatches,
        store_status: StoreStatus,
        quotas: Quotas,
        policies: FollowedPolicies | None = None,
        networks: NetworkFinder | None = None,
        latencies: LatencyKeeper | None = None,
    ) -> None:
        self._policies = policies
        self._latencies = latencies
        self._provisioner = provisioner
        self._assignments = assignments
        self._answers = answers
        self._fallback = fallback
        self._fleet_view = fleet_view
        self._callers = callers
        self._proofs = proofs
        self._watches = watches
        self._store_status = store_status
        self._quotas = quotas
        self.provision_hot = ProvisionCalls(
            provisioner,
            fallback=fallback,
            fleet_view=fleet_view,
            callers=callers,
            proofs=proofs,
            bootstrap=bootstrap,
            quotas=quotas,
            kind_of=partial(kind_of_provision, provisioner, networks),
        ).begin
        self._pacer = CoroutinePacer(per_pass=1, clock=provisioner.now)

    def service(self, queue: AdmissionQueue | None = None) -> Service:
        """What control_plane.serving needs to serve it. queue: stands before `provision_hot`; None:
        nothing does."""
        if queue is None:
            return Service(
                add=add_to_server, servicer=self, name=NAME, hot={"Provision": self.provision_hot}
            )
        return Service(
            add=add_to_server, servicer=self, name=NAME,
            hot={"Provision": queue.begin}, queues={"Provision": queue},
        )  # fmt: skip

    async def ProvisionMany(
        self, requests: AsyncIterator[bytes], context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[bytes]:
        """A few batches are under way at once; answers leave in the order of the requests."""
        caller, peer = self._callers.of_context(context), self._callers.peer_of_context(context)
        runs: asyncio.Queue[BatchRun | Exception | None] = asyncio.Queue(MAX_CONCURRENT_BATCHES)

        async def accept() -> None:
            try:
                async for payload in requests:
                    await runs.put(await self._begin(payload, caller, peer))
            except Exception as error:  # noqa: BLE001  # goes to whoever waits for the answers
                await runs.put(error)
            except asyncio.CancelledError:
                if is_cancelled():
                    raise
                await runs.put(interrupted())
            else:
                await runs.put(None)

        intake = asyncio.create_task(accept(), name="provision many")
        try:
            while True:
                run = await runs.get()
                if run is None:
                    break
                if isinstance(run, Exception):
                    raise run
                yield await run.response()
            await intake
        finally:
            intake.cancel()

    async def _begin(self, payload: bytes, caller: Caller, peer: str | None) -> BatchRun:
        batch = read_batch(payload)
        tenant = self._fleet_view.tenant_or_raise(tenant_for(caller, batch.tenant))
        self._quotas.take(
            Quota.BATCHED_CLIENTS, tenant.id, address=peer, cost=float(len(batch.clients))
        )
        run = BatchRun(self._provisioner, tenant, batch)
        await run.begin(self._pacer)
        return run

    async def GetAssignment(
        self, request: pb.GetAssignmentRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.GetAssignmentResponse:
        tenant = self._tenant(request.tenant, self._callers.of_context(context))
        check_client_id(request.client_id)
        proof = self._proofs.of_context(
            context, tenant, request.client_id, request.ticket, Role.VIEWER
        )
        try:
            async with asyncio.timeout(self._fallback.silence_s() if request.ticket else None):
                found = await self._assignments.find(tenant.id, request.client_id)
        except (ServiceError, TimeoutError) as error:
            if not isinstance(error, TimeoutError) and not self._fallback.covers(error):
                raise
            shown = await self._fallback.assignment(tenant, request.client_id, request.ticket)
            if shown is None:
                if isinstance(error, TimeoutError):
                    raise Unavailable("the store does not answer; try again") from error
                raise
            return mapping.assignment_to_proto(shown, stale=True)
        record = checked_record(proof, found)
        if record is None:
            raise NotFound(f"client {request.client_id} has no assignment; provision it first")
        attributes = record.attributes if proof.vouched else None
        if not proof.may_have_ticket(record):
            return pb.GetAssignmentResponse(
                assignment=self._message(tenant, request.client_id, record),
                decision=recorded_decision(record),
                attributes=attributes,
            )
        answer = await self._answers.ticketed(
            tenant, request.client_id, record.unit, record.epoch, record.at_ms,
            first_ms=record.first_ms,
        )  # fmt: skip
        return mapping.assignment_to_proto(answer, recorded_decision(record), attributes)

    def _message(
        self, tenant: TenantSpec, client_id: str, record: AssignmentRecord
    ) -> pb.Assignment:
        return self._answers.message(tenant.id, client_id, record.unit, record.epoch, record.at_ms)

    def _tenant(self, name: str, caller: Caller) -> TenantSpec:
        return client_tenant(self._fleet_view, name, caller)

    async def ReleaseAssignment(
        self, request: pb.ReleaseAssignmentRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ReleaseAssignmentResponse:
        tenant = self._tenant(request.tenant, self._callers.of_context(context))
        check_client_id(request.client_id)
        proof = self._proofs.of_context(
            context, tenant, request.client_id, request.ticket, Role.OPERATOR
        )
        released = await self._assignments.release(
            tenant.id, request.client_id, partial(checked_record, proof)
        )
        return pb.ReleaseAssignmentResponse(released=released)

    async def WatchAssignment(
        self, request: pb.WatchAssignmentRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.WatchAssignmentResponse]:
        tenant = self._tenant(request.tenant, self._callers.of_context(context))
        client_id = check_client_id(request.client_id)
        proof = self._proofs.of_context(context, tenant, client_id, request.ticket, Role.VIEWER)
        watched = WatchedClientProof(proof, partial(self._assignments.find, tenant.id, client_id))
        await watched.check()
        async with self._watches.watch(
            tenant.id, client_id, known_epoch=request.known_epoch, revision=request.revision
        ) as watch:
            while True:
                event = await watch.next()
                if event.kind is WatchEventKind.HOME and not await watched.tells(event.home):
                    continue
                yield await self._watch_response(tenant.id, client_id, event, watched.tickets)

    async def _watch_response(
        self, tenant_id: str, client_id: str, event: WatchEvent, with_ticket: bool
    ) -> pb.WatchAssignmentResponse:
        """The event for a watcher, with a ticket for the unit that its client has now."""
        response = pb.WatchAssignmentResponse(
            revision=event.revision, released=event.kind is WatchEventKind.RELEASED
        )
        home = event.home
        if event.kind is not WatchEventKind.KEEPALIVE:
            response.cause = home.cause
        if event.kind is WatchEventKind.HOME:
            # The tenant may have changed since the watch began.
            tenant = self._fleet_view.tenant_or_raise(tenant_id)
            if not with_ticket:
                response.assignment.CopyFrom(
                    self._answers.message(tenant_id, client_id, home.unit, home.epoch, home.at_ms)
                )
                return response
            answer = await self._answers.ticketed(
                tenant, client_id, home.unit, home.epoch, home.at_ms, first_ms=home.first_ms
            )
            response.assignment.CopyFrom(answer.assignment)
            response.ticket = answer.ticket
            response.ticket_ttl.CopyFrom(answer.ticket_ttl)
        return response

    async def ExplainPlacement(
        self, request: pb.ExplainPlacementRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ExplainPlacementResponse:
        tenant = self._tenant(request.tenant, self._callers.of_context(context))
        client_id = check_client_id(request.client_id)
        origin = origin_of(request)
        told = told_attributes(request)
        if origin is not UNSAID or told or request.HasField("waited"):
            check_declares(self._callers.of_context(context))
        wait = wait_to_explain(self._provisioner, request, tenant.id)
        proof = self._proofs.of_context(context, tenant, client_id, request.ticket, Role.VIEWER)
        record: AssignmentRecord | None = None
        stale = False
        try:
            async with asyncio.timeout(self._store_status.wait_s):
                found = await self._assignments.find(tenant.id, client_id)
        except (StoreUnavailable, TimeoutError):
            stale = True
            if not proof.vouched and proof.ticket is None:
                raise StoreUnavailable("the store is away, and has the client's key") from None
        else:
            record = checked_record(proof, found)
        locator = self._provisioner.locator
        recorded_km = NO_RECORD
        if origin is UNSAID:
            recorded_km = recorded_distance(record)
            location, how = unsaid_location(
                locator,
                record,
                tenant.default_position,
                caller=lambda: self._callers.peer_of_context(context),
                store_away=stale,
            )
        else:
            location, how = locator.explain(
                origin.address, origin.position, tenant.default_position
            )
        kept = record.attributes if record is not None else None
        key = with_attributes(keys.assignment(tenant.id, client_id), told_anew(kept, told))
        waits, said = self._provisioner.hook_waits, None
        if waits is not None:
            said = await waits.explained(tenant.id, location, key)
        explanation = self._provisioner.placer.explain(
            tenant.id, key, location, recorded_km, wait.waited_s
        )
        response = await explained(
            tenant.id, key, location, how, explanation, self._policies, said, wait.since_ms,
            with_rules=proof.sees_rules, latencies=self._latencies,
            no_place=None if record or stale else self._provisioner.placer.why_no_place(key),
        )  # fmt: skip
        if stale:
            response.stale = True
            response.as_of_time.CopyFrom(mapping.timestamp(self._store_status.as_of))
        if record is not None:
            response.current.CopyFrom(self._message(tenant, client_id, record))
            decision = recorded_decision(record)
            if decision is not None:
                response.current_decision.CopyFrom(decision)
        return response
