"""PlanService: the gRPC methods of event plans, each a map in, a use case, a map out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.serving.server import Service
from data_sharing.api.callers import Callers, Party
from data_sharing.api.pages import row_of, size_of
from data_sharing.api.read_turns import ReadTurns
from data_sharing.database import Database
from data_sharing.decisions import plan_store
from data_sharing.management.planning import Planning, spec_json
from data_sharing.plans.changes import ChangeRecord, explain, undone
from data_sharing.plans.plan import EVERY, EventPlan, Occurrence
from data_sharing.plans.plan_view import next_occurrence
from data_sharing.platforms.messages import timestamp, unix_ms
from homeport.api.datasharing.v1 import plan_pb2 as pb
from homeport.api.datasharing.v1 import plan_pb2_grpc as pb_grpc

NAME = "homeport.api.datasharing.v1.PlanService"
PLANS_AT_ONCE = 20  # of a list, in one turn of its tenant: of each the next time is worked out
MAX_PLAN_BYTES = 64 * 1024

Context: TypeAlias = aio.ServicerContext[Any, Any]


class PlanService(pb_grpc.PlanServiceServicer):
    """Servicer of homeport.api.datasharing.v1.PlanService. wall_ms: Unix ms."""

    def __init__(
        self,
        planning: Planning,
        database: Database,
        callers: Callers,
        turns: ReadTurns,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._planning = planning
        self._database = database
        self._callers = callers
        self._turns = turns
        self._wall_ms = wall_ms

    def service(self) -> Service:
        return Service(
            add=pb_grpc.add_PlanServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def CreatePlan(self, request: pb.CreatePlanRequest, context: Context) -> pb.Plan:
        party = self._party(context, request.tenant)
        if len(request.spec.encode()) > MAX_PLAN_BYTES:
            raise InvalidInput("spec", f"the plan has more than {MAX_PLAN_BYTES:,} bytes")
        return self._plan(await self._planning.create(party.tenant, request.spec))

    async def GetPlan(self, request: pb.GetPlanRequest, context: Context) -> pb.Plan:
        party = self._party(context, request.tenant)
        async with self._turns.turn(party.tenant):
            return self._plan(
                self._database.read(
                    lambda db: plan_store.require(db, party.tenant, request.plan_id)
                )
            )

    async def ListPlans(
        self, request: pb.ListPlansRequest, context: Context
    ) -> pb.ListPlansResponse:
        party, size = self._party(context, request.tenant), size_of(request.page_size)
        async with self._turns.turn(party.tenant):
            plans = self._database.read(
                lambda db: plan_store.page(
                    db, party.tenant, request.page_token, size + 1, request.owner
                )
            )
        more = plans[size - 1].id if len(plans) > size else ""
        found: list[pb.Plan] = []
        for start in range(0, min(size, len(plans)), PLANS_AT_ONCE):
            async with self._turns.turn(party.tenant):
                found += map(self._plan, plans[start : min(start + PLANS_AT_ONCE, size)])
        return pb.ListPlansResponse(plans=found, next_page_token=more)

    async def ChangePlan(self, request: pb.ChangePlanRequest, context: Context) -> pb.Plan:
        party = self._party(context, request.tenant)
        fields: dict[str, Any] = {}
        if request.HasField("shift"):
            fields["shift_ms"] = request.shift.seconds * 1000 + request.shift.nanos // 1_000_000
        if request.HasField("cancelled"):
            fields["cancelled"] = request.cancelled
        for action, text in request.config_json.items():
            for name, value in _settings(action, text).items():
                fields[f"actions.{action}.config.{name}"] = value
        plan = await self._planning.change(
            party.tenant,
            request.plan_id,
            occurrence_ms=unix_ms(request.occurrence_time)
            if request.HasField("occurrence_time")
            else None,
            fields=fields,
            user=party.caller.name,
            note=request.note,
            expected_version=request.expected_version,
        )
        return self._plan(plan)

    async def UndoChange(self, request: pb.UndoChangeRequest, context: Context) -> pb.Plan:
        party = self._party(context, request.tenant)
        return self._plan(
            await self._planning.undo(
                party.tenant, request.plan_id, request.change_id, party.caller.name
            )
        )

    async def GetPlanHistory(
        self, request: pb.GetPlanHistoryRequest, context: Context
    ) -> pb.GetPlanHistoryResponse:
        party, size = self._party(context, request.tenant), size_of(request.page_size)
        before = row_of(request.page_token)

        def read(db: Any) -> list[ChangeRecord]:
            plan_store.require(db, party.tenant, request.plan_id)
            return plan_store.history(db, party.tenant, request.plan_id)

        async with self._turns.turn(party.tenant):
            history = self._database.read(read)
            gone = undone(history)
            shown = [one for one in reversed(history) if one.version < before]
            more = str(shown[size - 1].version) if len(shown) > size else ""
            return pb.GetPlanHistoryResponse(
                changes=[_change(history, one, one.id in gone) for one in shown[:size]],
                next_page_token=more,
            )

    async def CancelPlan(self, request: pb.CancelPlanRequest, context: Context) -> pb.Plan:
        party = self._party(context, request.tenant)
        return self._plan(
            await self._planning.cancel(party.tenant, request.plan_id, party.caller.name)
        )

    def _party(self, context: Context, tenant: str) -> Party:
        return self._callers.of_context(context, tenant)

    def _plan(self, plan: EventPlan) -> pb.Plan:
        following = next_occurrence(plan, now_ms=self._wall_ms())
        return pb.Plan(
            tenant=plan.tenant,
            plan_id=plan.id,
            version=plan.version,
            spec=spec_json(plan),
            cancelled=plan.cancelled,
            next=None if following is None else _occurrence(following),
            warnings=self._planning.warnings(plan, following),
        )


def _occurrence(occurrence: Occurrence) -> pb.Occurrence:
    return pb.Occurrence(
        planned_time=timestamp(occurrence.planned_ms),
        effective_time=timestamp(occurrence.at_ms),
        cancelled=occurrence.cancelled,
        actions=[
            pb.PlannedAction(
                name=one.name,
                application=one.application,
                action=one.action,
                due_time=timestamp(one.due_ms),
                config_json=msgspec.json.encode(one.config).decode(),
            )
            for one in sorted(occurrence.actions, key=lambda one: (one.due_ms, one.name))
        ],
    )


def _change(history: list[ChangeRecord], record: ChangeRecord, gone: bool) -> pb.PlanChange:
    cause = record.cause
    first = cause.refs[0] if cause.refs else None
    return pb.PlanChange(
        change_id=record.id,
        version=record.version,
        change_time=timestamp(record.at_ms),
        occurrence_time=None if record.occurrence == EVERY else timestamp(int(record.occurrence)),
        fields=[
            pb.FieldChange(field=one.field, before=_json(one.before), after=_json(one.after))
            for one in record.fields
        ],
        user=cause.user,
        rule_id=cause.rule,
        rule_version=cause.rule_version,
        event_source=first.source if first else "",
        event_id=first.id if first else "",
        undoes=record.undoes,
        note=cause.note or explain(history, record),
        undone=gone,
    )


def _json(value: Any) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()


def _settings(action: str, text: str) -> dict[str, Any]:
    """JSON text, because no protobuf message has JSON's numbers. Raises InvalidInput."""
    if len(text) > MAX_PLAN_BYTES:
        raise InvalidInput(
            "config_json", f"config_json: {action}: more than {MAX_PLAN_BYTES:,} characters"
        )
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput("config_json", f"config_json: {action}: {error}") from None
