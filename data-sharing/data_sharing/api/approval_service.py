"""ApprovalService: the gRPC methods of approvals, each a map in, a use case, a map out."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.serving.server import Service
from data_sharing.api.callers import Callers
from data_sharing.api.decision_messages import cause_to_proto, instruction_to_proto
from data_sharing.api.pages import row_of, size_of
from data_sharing.api.read_turns import ReadTurns
from data_sharing.api.redaction import Redaction
from data_sharing.decisions.approval_tables import Verdict
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.feeds.port import Record
from data_sharing.instruction import Cause
from data_sharing.management.approvals import ApprovalCase, Approvals
from data_sharing.management.shown_records import ShownRecords
from data_sharing.platforms.messages import timestamp
from homeport.api.datasharing.v1 import approval_pb2 as pb
from homeport.api.datasharing.v1 import approval_pb2_grpc as pb_grpc

NAME = "homeport.api.datasharing.v1.ApprovalService"
MOST_REASON = 400  # characters

Context: TypeAlias = aio.ServicerContext[Any, Any]

_encode = msgspec.json.Encoder(enc_hook=repr).encode
_VERDICTS = {
    Verdict.WAITING: pb.APPROVAL_VERDICT_WAITING,
    Verdict.APPROVED: pb.APPROVAL_VERDICT_APPROVED,
    Verdict.REJECTED: pb.APPROVAL_VERDICT_REJECTED,
    Verdict.EXPIRED: pb.APPROVAL_VERDICT_EXPIRED,
}
_OF_PROTO = {number: verdict for verdict, number in _VERDICTS.items()}


class ApprovalService(pb_grpc.ApprovalServiceServicer):
    """Servicer of homeport.api.datasharing.v1.ApprovalService."""

    def __init__(
        self,
        approvals: Approvals,
        dispatcher: Dispatcher,
        callers: Callers,
        shown: ShownRecords,
        redaction: Redaction,
        turns: ReadTurns,
    ) -> None:
        self._turns = turns
        self._approvals = approvals
        self._dispatcher = dispatcher
        self._callers = callers
        self._shown = shown
        self._redaction = redaction

    def service(self) -> Service:
        return Service(
            add=pb_grpc.add_ApprovalServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ListApprovals(
        self, request: pb.ListApprovalsRequest, context: Context
    ) -> pb.ListApprovalsResponse:
        tenant, size = self._tenant(context, request.tenant), size_of(request.page_size)
        before = row_of(request.page_token)
        verdict = _OF_PROTO[request.verdict] if request.verdict else None
        async with self._turns.turn(tenant):
            found = self._approvals.cases(tenant, before, size + 1, verdict)
            next_token = str(found[size - 1].approval.row) if len(found) > size else ""
            return pb.ListApprovalsResponse(
                approvals=map(self._approval, found[:size]), next_page_token=next_token
            )

    async def GetApproval(self, request: pb.GetApprovalRequest, context: Context) -> pb.Approval:
        tenant = self._tenant(context, request.tenant)
        async with self._turns.turn(tenant):
            case = self._approvals.case(tenant, request.instruction_id)
            return self._approval(case, request.purpose)

    async def ApproveApproval(
        self, request: pb.ApproveApprovalRequest, context: Context
    ) -> pb.Approval:
        whose = self._callers.of_context(context, request.tenant)
        await self._approvals.approve(
            whose.tenant, request.instruction_id, whose.caller, revision=request.revision
        )
        return self._approval(self._approvals.case(whose.tenant, request.instruction_id))

    async def RejectApproval(
        self, request: pb.RejectApprovalRequest, context: Context
    ) -> pb.Approval:
        whose = self._callers.of_context(context, request.tenant)
        if len(request.reason) > MOST_REASON:
            raise InvalidInput("reason", f"a reason has at most {MOST_REASON} characters")
        await self._approvals.reject(
            whose.tenant, request.instruction_id, whose.caller, request.reason,
            revision=request.revision,
        )  # fmt: skip
        return self._approval(self._approvals.case(whose.tenant, request.instruction_id))

    def _tenant(self, context: Context, tenant: str) -> str:
        return self._callers.of_context(context, tenant).tenant

    def _approval(self, case: ApprovalCase, purpose: str = "") -> pb.Approval:
        found, stored = case.approval, case.stored
        waits = found.verdict is Verdict.WAITING
        platform = self._dispatcher.platform_of(stored.instruction.id)
        message = pb.Approval(
            instruction=instruction_to_proto(stored, platform),
            verdict=_VERDICTS[found.verdict],
            ask_time=timestamp(found.asked_ms),
            expire_time=timestamp(stored.deadline_ms) if waits else None,
            role=found.terms.role,
            approvers=found.terms.by,
            four_eyes=found.terms.four_eyes,
            rule_applied_by=case.rule_by,
            revision=case.revision,
            rule_change=case.changed,
            read={name: _encode(value).decode() for name, value in found.read.items()},
            events=[self._event(cause, record, purpose) for cause, record in case.events],
            decide_time=None if waits else timestamp(found.decided_ms),
            approver=found.approver,
            reason=found.reason,
            decided_revision=found.revision,
        )
        return self._redaction.approval(message)

    def _event(self, cause: Cause, record: Record | None, purpose: str) -> pb.ApprovalEvent:
        shown = None if record is None else self._shown.to_operator(record, purpose)
        return pb.ApprovalEvent(
            event=cause_to_proto(cause),
            event_json="" if shown is None else shown.record.content.decode(),
            event_hidden=record is not None and (shown is None or shown.fields is not None),
        )
