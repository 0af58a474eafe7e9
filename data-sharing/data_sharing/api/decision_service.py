"""DecisionService: the gRPC methods of decisions, instructions and dead letters, each a map in,
a use case, a map out."""

from __future__ import annotations

import sqlite3
from typing import Any, TypeAlias

from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.serving.server import Service
from data_sharing.api.ancestry_messages import ancestry_to_proto
from data_sharing.api.callers import Callers
from data_sharing.api.decision_messages import (
    decision_to_proto,
    explanation_to_proto,
    instruction_to_proto,
    letter_to_proto,
)
from data_sharing.api.pages import first_looked_at, next_row, row_of, size_of, within
from data_sharing.api.read_turns import ReadTurns
from data_sharing.api.redaction import Redaction
from data_sharing.database import Database
from data_sharing.decisions import dead_letters, history, outbox
from data_sharing.decisions.dead_letters import DeadLetter
from data_sharing.decisions.history import Decision
from data_sharing.decisions.outbox import InstructionState, StoredInstruction
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.feeds.log_tables import record_at
from data_sharing.instruction import Cause
from data_sharing.management.ancestry import DEPTH, MOST_DEPTH, MOST_NODES, NODES, ancestry
from data_sharing.management.approvals import Approvals
from data_sharing.management.explanations import (
    Explanation,
    explain_decision,
    explain_event,
    position_of,
)
from data_sharing.management.operator_actions import OperatorActions, require_letter
from data_sharing.management.shown_records import Reads, ShownRecords
from homeport.api.datasharing.v1 import decision_pb2 as pb
from homeport.api.datasharing.v1 import decision_pb2_grpc as pb_grpc

NAME = "homeport.api.datasharing.v1.DecisionService"

Context: TypeAlias = aio.ServicerContext[Any, Any]


class DecisionService(pb_grpc.DecisionServiceServicer):
    """Servicer of homeport.api.datasharing.v1.DecisionService."""

    def __init__(
        self,
        database: Database,
        worker: DecisionWorker,
        dispatcher: Dispatcher,
        operator_actions: OperatorActions,
        approvals: Approvals,
        callers: Callers,
        shown: ShownRecords,
        redaction: Redaction,
        turns: ReadTurns,
    ) -> None:
        self._turns = turns
        self._database = database
        self._shown = shown
        self._redaction = redaction
        self._worker = worker
        self._dispatcher = dispatcher
        self._operator_actions = operator_actions
        self._approvals = approvals
        self._callers = callers

    def service(self) -> Service:
        return Service(
            add=pb_grpc.add_DecisionServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ListDecisions(
        self, request: pb.ListDecisionsRequest, context: Context
    ) -> pb.ListDecisionsResponse:
        tenant, size = self._tenant(context, request.tenant), size_of(request.page_size)
        before = row_of(request.page_token)
        rule, plan = request.rule_id, request.plan_id

        def read(db: sqlite3.Connection) -> tuple[list[tuple[int, Decision]], int]:
            some = bool(rule or plan)
            start = first_looked_at(db, "decisions", tenant, before) if some else 0
            found = history.page(db, tenant, before, size + 1, rule=rule, plan=plan, from_row=start)
            return found, start

        async with self._turns.turn(tenant):
            found, start = self._database.read(read)
            return pb.ListDecisionsResponse(
                decisions=[
                    self._redaction.decision(decision_to_proto(one)) for _, one in found[:size]
                ],
                next_page_token=next_row([row for row, _ in found], size, start),
            )

    async def ExplainDecision(
        self, request: pb.ExplainDecisionRequest, context: Context
    ) -> pb.ExplainDecisionResponse:
        tenant, event = self._tenant(context, request.tenant), request.event

        def explain(db: Any) -> Explanation:
            rules = self._worker.rules
            if request.decision_id:
                return explain_decision(db, rules, tenant, request.decision_id, request.purpose)
            if event.id:
                position = position_of(db, tenant, event.source, event.id)
            elif event.position:
                position = event.position
            else:
                raise InvalidInput("event", "name a decision, or an event by source and id")
            return explain_event(db, rules, tenant, position, request.purpose)

        async with self._turns.turn(tenant):
            found = self._database.read(explain)
            record = found.event
            reads = Reads()
            shown = (
                None if record is None else self._shown.to_operator(record, request.purpose, reads)
            )
        await self._shown.count(reads)
        return self._redaction.explanation(tenant, explanation_to_proto(found, shown))

    async def GetAncestry(
        self, request: pb.GetAncestryRequest, context: Context
    ) -> pb.GetAncestryResponse:
        tenant, event = self._tenant(context, request.tenant), request.event
        depth = within(request.max_depth or DEPTH, MOST_DEPTH, "max_depth")
        nodes = within(request.max_nodes or NODES, MOST_NODES, "max_nodes")
        named = Cause(event.source, event.id, position=event.position)
        whose = named if request.HasField("event") else None
        async with self._turns.turn(tenant):
            found = self._database.read(
                lambda db: ancestry(db, tenant, request.node_id, whose, depth=depth, nodes=nodes)
            )
            answer = ancestry_to_proto(
                found,
                lambda record: self._shown.to_operator(record, request.purpose),
                lambda name: self._database.read(lambda db: outbox.get(db, name)),
            )
        return self._redaction.ancestry(tenant, answer)

    async def ListInstructions(
        self, request: pb.ListInstructionsRequest, context: Context
    ) -> pb.ListInstructionsResponse:
        tenant, size = self._tenant(context, request.tenant), size_of(request.page_size)
        before = row_of(request.page_token)
        state = InstructionState(int(request.state)) if request.state else None

        def read(db: sqlite3.Connection) -> tuple[list[StoredInstruction], int]:
            some = state is not None
            start = first_looked_at(db, "instructions", tenant, before) if some else 0
            return outbox.page(db, tenant, before, size + 1, state, from_row=start), start

        async with self._turns.turn(tenant):
            found, start = self._database.read(read)
            return pb.ListInstructionsResponse(
                instructions=map(self._instruction, found[:size]),
                next_page_token=next_row([one.row for one in found], size, start),
            )

    async def ApproveInstruction(
        self, request: pb.ApproveInstructionRequest, context: Context
    ) -> pb.Instruction:
        whose = self._callers.of_context(context, request.tenant)
        return self._instruction(
            await self._approvals.approve(whose.tenant, request.instruction_id, whose.caller)
        )

    async def DenyInstruction(
        self, request: pb.DenyInstructionRequest, context: Context
    ) -> pb.Instruction:
        whose = self._callers.of_context(context, request.tenant)
        return self._instruction(
            await self._approvals.reject(
                whose.tenant, request.instruction_id, whose.caller, request.reason
            )
        )

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: Context
    ) -> pb.ListDeadLettersResponse:
        tenant, size = self._tenant(context, request.tenant), size_of(request.page_size)
        before = row_of(request.page_token)
        every = request.with_redriven

        def read(db: sqlite3.Connection) -> tuple[list[DeadLetter], int]:
            start = 0 if every else first_looked_at(db, "dead_letters", tenant, before)
            found = dead_letters.page(
                db, tenant, before, size + 1, with_redriven=every, from_row=start
            )
            return found, start

        async with self._turns.turn(tenant):
            found, start = self._database.read(read)
            rows = [int(one.id.removeprefix("d-")) for one in found]
            return pb.ListDeadLettersResponse(
                dead_letters=map(self._letter, found[:size]),
                next_page_token=next_row(rows, size, start),
            )

    async def GetDeadLetter(
        self, request: pb.GetDeadLetterRequest, context: Context
    ) -> pb.DeadLetter:
        tenant = self._tenant(context, request.tenant)
        async with self._turns.turn(tenant):
            return self._letter(
                self._database.read(lambda db: require_letter(db, tenant, request.dead_letter_id))
            )

    async def RedriveDeadLetter(
        self, request: pb.RedriveDeadLetterRequest, context: Context
    ) -> pb.DeadLetter:
        tenant = self._tenant(context, request.tenant)
        return self._letter(
            await self._operator_actions.redrive(
                tenant, request.dead_letter_id, force=request.force
            )
        )

    def instruction(
        self, context: Context, tenant: str, instruction_id: str
    ) -> pb.Instruction | None:
        """One instruction of a tenant; None: it has none of that id."""
        owner = self._tenant(context, tenant)
        stored = self._database.read(lambda db: outbox.get(db, instruction_id))
        if stored is None or stored.instruction.tenant != owner:
            return None
        return self._instruction(stored)

    def _tenant(self, context: Context, tenant: str) -> str:
        return self._callers.of_context(context, tenant).tenant

    def _instruction(self, stored: StoredInstruction) -> pb.Instruction:
        return self._redaction.instruction(
            instruction_to_proto(stored, self._dispatcher.platform_of(stored.instruction.id))
        )

    def _letter(self, letter: DeadLetter) -> pb.DeadLetter:
        stored = (
            self._database.read(lambda db: outbox.get(db, letter.instruction))
            if letter.instruction
            else None
        )
        return self._redaction.letter(letter_to_proto(letter, stored, self._flow_of(letter)))

    def _flow_of(self, letter: DeadLetter) -> str:
        """That the event of a letter is of; of an event that not all may see, its own id."""
        event = letter.event
        if event is None or not event.position:
            return ""
        if self._worker.rules.policies.get(letter.tenant, event.type) is not None:
            return event.id
        record = self._database.read(lambda db: record_at(db, letter.tenant, event.position))
        return "" if record is None else record.event().correlation_id
