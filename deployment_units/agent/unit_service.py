"""UnitService: the gRPC servicer of one unit. Admit checks a ticket offline; the other calls
export, import and forget a client's state, by order of the control plane."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from grpc import aio

from control_plane.errors import InvalidInput, Unavailable
from control_plane.identity.admission import Admission, AdmissionReason, TicketVerifier
from control_plane.printable import number_of
from deployment_units.agent.capacity_limit import CapacityLimit
from deployment_units.agent.state import StateHandoff
from homeport.api.unit.v1 import unit_pb2 as pb
from homeport.api.unit.v1 import unit_pb2_grpc as pb_grpc

NAME = "homeport.api.unit.v1.UnitService"
NO_KEYS = "no-keys"

_REASONS = {
    AdmissionReason.ADMITTED: pb.ADMIT_REASON_ADMITTED,
    AdmissionReason.MALFORMED: pb.ADMIT_REASON_MALFORMED,
    AdmissionReason.FORGED: pb.ADMIT_REASON_FORGED,
    AdmissionReason.EXPIRED: pb.ADMIT_REASON_EXPIRED,
    AdmissionReason.NOT_YET_VALID: pb.ADMIT_REASON_NOT_YET_VALID,
    AdmissionReason.WRONG_UNIT: pb.ADMIT_REASON_WRONG_UNIT,
    AdmissionReason.FOREIGN_TENANT: pb.ADMIT_REASON_FOREIGN_TENANT,
    AdmissionReason.STALE_EPOCH: pb.ADMIT_REASON_STALE_EPOCH,
    AdmissionReason.UNIT_FULL: pb.ADMIT_REASON_UNIT_FULL,
}


class UnitService(pb_grpc.UnitServiceServicer):
    """Servicer of homeport.api.unit.v1 for one unit. wall: Unix seconds; limit: how many clients
    it lets in; on_admitted hears of each client that may come in."""

    def __init__(
        self,
        verifier: TicketVerifier,
        handoff: StateHandoff,
        limit: CapacityLimit,
        *,
        wall: Callable[[], float],
        on_admitted: Callable[[Admission], None] = lambda admission: None,
    ) -> None:
        self._verifier = verifier
        self._handoff = handoff
        self._limit = limit
        self._wall = wall
        self._on_admitted = on_admitted
        self.admissions: Counter[str] = Counter()  # by reason; NO_KEYS: not even looked at

    async def Admit(
        self, request: pb.AdmitRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.AdmitResponse:
        if not request.ticket:
            self.admissions[AdmissionReason.MALFORMED] += 1
            raise InvalidInput("ticket", "ticket is empty; send the one you were given")
        if not self._verifier.has_keys:
            self.admissions[NO_KEYS] += 1
            raise Unavailable("this unit has no ticket keys yet; try again shortly")
        now = self._wall()
        admission = self._verifier.verify(request.ticket, now)
        if admission.admitted:
            admission = self._within_capacity(admission, now)
        self.admissions[admission.reason] += 1
        if admission.admitted:
            self._on_admitted(admission)
        return admission_to_proto(admission)

    def _within_capacity(self, admission: Admission, now: float) -> Admission:
        """The admission, or that the unit is full."""
        limit = self._limit
        if limit.admit(admission.tenant, admission.client_id, admission.expires_at, now):
            return admission
        return msgspec.structs.replace(
            admission,
            reason=AdmissionReason.UNIT_FULL,
            message=f"the unit has let in {number_of(len(limit), 'client')} and takes no more; "
            "try again later, or provision again",
        )

    async def ExportClient(
        self, request: pb.ExportClientRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.ExportClientResponse]:
        async for response in self._handoff.export_state(request.order):
            yield response

    async def ImportClient(
        self,
        requests: AsyncIterator[pb.ImportClientRequest],
        context: aio.ServicerContext[Any, Any],
    ) -> pb.ImportClientResponse:
        return await self._handoff.import_state(aiter(requests))

    async def ForgetClient(
        self, request: pb.ForgetClientRequest, context: aio.ServicerContext[Any, Any]
    ) -> pb.ForgetClientResponse:
        await self._handoff.forget(request.order)
        return pb.ForgetClientResponse()


def admission_to_proto(admission: Admission) -> pb.AdmitResponse:
    """An admission, or a refusal with its reason."""
    response = pb.AdmitResponse(
        admitted=admission.admitted,
        reason=_REASONS[admission.reason],
        message=admission.message,
        tenant=admission.tenant,
        client_id=admission.client_id,
        epoch=admission.epoch,
    )
    departed = admission.departed
    if departed is not None:
        response.redirect.unit_id = departed.unit_id
        response.redirect.endpoint = departed.endpoint
        response.redirect.epoch = departed.epoch
    if admission.expires_at:
        response.expire_time.FromMilliseconds(int(admission.expires_at * 1000))
    return response
