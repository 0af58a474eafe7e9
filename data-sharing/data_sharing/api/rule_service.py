"""RuleService: the gRPC methods of rules, each a map in, a use case, a map out."""

from __future__ import annotations

from itertools import repeat
from typing import Any, TypeAlias

import msgspec
from grpc import aio

from control_plane.errors import InvalidInput
from control_plane.offloading.port import Offload
from control_plane.serving.server import Service
from data_sharing.api.callers import Callers
from data_sharing.api.memory_messages import bounds_to_proto, memory_to_proto
from data_sharing.api.pages import size_of
from data_sharing.api.read_turns import ReadTurns
from data_sharing.api.redaction import Redaction
from data_sharing.api.rollout_messages import pause_to_proto, rollout_to_proto
from data_sharing.api.tested_rules import TEST
from data_sharing.decisions.pauses import Pauses
from data_sharing.decisions.rollouts import Rollouts, RolloutStatus
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.decisions.rule_tables import RuleVersion
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.memory_limits import MemorySpec
from data_sharing.platforms.messages import timestamp
from data_sharing.rules.memory_uses import MemoryName
from data_sharing.rules.rule_health import RuleHealth
from homeport.api.datasharing.v1 import rule_pb2 as pb
from homeport.api.datasharing.v1 import rule_pb2_grpc as pb_grpc

NAME = "homeport.api.datasharing.v1.RuleService"
MAX_DOCUMENT_BYTES = 1 << 20
MOST_SAMPLES = 1_000
MOST_SOURCE = 2_048  # characters
MOST_REASON = 400  # characters
RULES_AT_ONCE = 20  # of a list, in one turn of its tenant: each is a few reads

Context: TypeAlias = aio.ServicerContext[Any, Any]


class RuleService(pb_grpc.RuleServiceServicer):
    """Servicer of homeport.api.datasharing.v1.RuleService."""

    def __init__(
        self,
        rules: RuleRegistry,
        rollouts: Rollouts,
        pauses: Pauses,
        worker: DecisionWorker,
        offload: Offload,
        callers: Callers,
        redaction: Redaction,
        turns: ReadTurns,
    ) -> None:
        self._turns = turns
        self._redaction = redaction
        self._rules = rules
        self._rollouts = rollouts
        self._pauses = pauses
        self._worker = worker
        self._offload = offload
        self._callers = callers

    def service(self) -> Service:
        return Service(
            add=pb_grpc.add_RuleServiceServicer_to_server, servicer=self, name=NAME, hot={}
        )

    async def ApplyRules(
        self, request: pb.ApplyRulesRequest, context: Context
    ) -> pb.ApplyRulesResponse:
        whose = self._callers.of_context(context, request.tenant)
        text = _bounded(request.document)
        applied = await self._rules.apply(
            whose.tenant, text, dry_run=request.dry_run, by=whose.caller.name
        )
        return pb.ApplyRulesResponse(
            rules=map(self._rule, applied.versions),
            forecasts=applied.forecasts,
            warnings=applied.warnings,
        )

    async def GetRule(self, request: pb.GetRuleRequest, context: Context) -> pb.Rule:
        tenant = self._tenant(context, request.tenant)
        async with self._turns.turn(tenant):
            rule = self._rules.rule(tenant, request.rule_id, request.version)
            return self._rule(rule, with_scopes=True)

    async def ListRules(
        self, request: pb.ListRulesRequest, context: Context
    ) -> pb.ListRulesResponse:
        tenant = self._tenant(context, request.tenant)
        size = size_of(request.page_size)
        async with self._turns.turn(tenant):
            rules = self._rules.rules(tenant, with_retired=request.with_retired)
        rest = [rule for rule in rules if rule.spec.rule > request.page_token]
        more = rest[size - 1].spec.rule if len(rest) > size else ""
        found: list[pb.Rule] = []
        for start in range(0, min(size, len(rest)), RULES_AT_ONCE):
            async with self._turns.turn(tenant):
                found += map(self._rule, rest[start : min(start + RULES_AT_ONCE, size)])
        return pb.ListRulesResponse(rules=found, next_page_token=more)

    async def ListForecasts(
        self, request: pb.ListForecastsRequest, context: Context
    ) -> pb.ListForecastsResponse:
        tenant = self._tenant(context, request.tenant)
        size = size_of(request.page_size)
        async with self._turns.turn(tenant):
            forecasts = self._rules.forecasts(tenant)
        rest = [one for one in forecasts if one.forecast > request.page_token]
        found: list[pb.Forecast] = []
        for start in range(0, min(size, len(rest)), RULES_AT_ONCE):
            async with self._turns.turn(tenant):
                found += map(
                    self._forecast, rest[start : min(start + RULES_AT_ONCE, size)], repeat(tenant)
                )
        more = rest[size - 1].forecast if len(rest) > size else ""
        return pb.ListForecastsResponse(forecasts=found, next_page_token=more)

    async def GetMemory(
        self, request: pb.GetMemoryRequest, context: Context
    ) -> pb.GetMemoryResponse:
        tenant = self._tenant(context, request.tenant)
        if len(request.source) > MOST_SOURCE:
            raise InvalidInput("source", f"a source has at most {MOST_SOURCE} characters")
        async with self._turns.turn(tenant):
            used = self._rules.memory_used(tenant, request.source)
        return pb.GetMemoryResponse(bounds=bounds_to_proto(self._worker.state.limits, tenant, used))

    async def TestRules(
        self, request: pb.TestRulesRequest, context: Context
    ) -> pb.TestRulesResponse:
        tenant = self._tenant(context, request.tenant)
        if len(request.events) > MOST_SAMPLES:
            raise InvalidInput("events", f"{len(request.events)} events; at most {MOST_SAMPLES}")
        if len(request.plans) > MOST_SAMPLES:
            raise InvalidInput("plans", f"{len(request.plans)} plans; at most {MOST_SAMPLES}")
        response = await self._offload.offload(
            TEST,
            [tenant, _bounded(request.document), list(request.events), list(request.plans)],
            tenant=tenant,
            subject="document",
            answer=lambda question: self._rules.answer(tenant, question),
        )
        return pb.TestRulesResponse.FromString(response)

    async def RetryRule(
        self, request: pb.RetryRuleRequest, context: Context
    ) -> pb.RetryRuleResponse:
        tenant = self._tenant(context, request.tenant)
        self._redaction.check_key(tenant, request.rule_id, request.key)
        rule, unparked = await self._rules.retry(
            tenant, request.rule_id, key=request.key, source=request.source
        )
        return pb.RetryRuleResponse(rule=self._rule(rule, with_scopes=True), unparked=unparked)

    async def GetRollout(self, request: pb.GetRolloutRequest, context: Context) -> pb.Rollout:
        tenant = self._tenant(context, request.tenant)
        async with self._turns.turn(tenant):
            return self._rollout(
                tenant, request.rule_id, self._rollouts.status(tenant, request.rule_id)
            )

    async def PromoteRollout(
        self, request: pb.PromoteRolloutRequest, context: Context
    ) -> pb.Rollout:
        whose = self._callers.of_context(context, request.tenant)
        return self._rollout(whose.tenant, request.rule_id,
            await self._rollouts.promote(
                whose.tenant, request.rule_id, by=whose.caller.name,
                from_step=request.from_step, full=request.full,
            )
        )  # fmt: skip

    async def HoldRollout(self, request: pb.HoldRolloutRequest, context: Context) -> pb.Rollout:
        whose = self._callers.of_context(context, request.tenant)
        reason = _reason(request.reason)
        return self._rollout(
            whose.tenant,
            request.rule_id,
            await self._rollouts.hold(whose.tenant, request.rule_id, reason, by=whose.caller.name),
        )

    async def AbortRollout(self, request: pb.AbortRolloutRequest, context: Context) -> pb.Rollout:
        whose = self._callers.of_context(context, request.tenant)
        reason = _reason(request.reason)
        return self._rollout(
            whose.tenant,
            request.rule_id,
            await self._rollouts.abort(whose.tenant, request.rule_id, reason, by=whose.caller.name),
        )

    async def RollbackRule(self, request: pb.RollbackRuleRequest, context: Context) -> pb.Rule:
        whose = self._callers.of_context(context, request.tenant)
        return self._rule(
            await self._rollouts.rollback(
                whose.tenant, request.rule_id, by=whose.caller.name,
                to=request.to_version, from_version=request.from_version,
            )
        )  # fmt: skip

    async def PauseRule(self, request: pb.PauseRuleRequest, context: Context) -> pb.Rule:
        whose = self._callers.of_context(context, request.tenant)
        tenant, rule_id, reason = whose.tenant, request.rule_id, _reason(request.reason)
        await self._pauses.pause(tenant, rule_id, reason, by=whose.caller.name)
        return self._rule(self._rules.rule(tenant, rule_id))

    async def ResumeRule(self, request: pb.ResumeRuleRequest, context: Context) -> pb.Rule:
        tenant = self._tenant(context, request.tenant)
        await self._pauses.resume(tenant, request.rule_id, skip=request.skip_backlog)
        return self._rule(self._rules.rule(tenant, request.rule_id))

    async def RetireRule(self, request: pb.RetireRuleRequest, context: Context) -> pb.Rule:
        tenant = self._tenant(context, request.tenant)
        return self._rule(await self._rules.retire(tenant, request.rule_id))

    def rollout(self, context: Context, tenant: str, rule_id: str) -> pb.Rollout | None:
        """Of a rule, as it is in ListRules; None: it never had any."""
        found = self._rollouts.find(self._tenant(context, tenant), rule_id)
        return None if found is None else rollout_to_proto(found, whole=False)

    def _tenant(self, context: Context, tenant: str) -> str:
        return self._callers.of_context(context, tenant).tenant

    def _rollout(self, tenant: str, rule_id: str, status: RolloutStatus) -> pb.Rollout:
        return self._redaction.rollout(tenant, rule_id, rollout_to_proto(status))

    def _rule(self, rule: RuleVersion, *, with_scopes: bool = False) -> pb.Rule:
        health = self._worker.health(rule.tenant, rule.slot, rule.version)
        suspended = self._rules.suspended.get((rule.tenant, rule.slot), "")
        rollout = self._rollouts.find(rule.tenant, rule.spec.rule)
        pause = self._pauses.find(rule.tenant, rule.spec.rule)
        message = pb.Rule(
            tenant=rule.tenant,
            rule_id=rule.spec.rule,
            version=rule.version,
            application=rule.spec.application or "",
            spec=msgspec.json.encode(rule.spec).decode(),
            apply_time=timestamp(rule.applied_ms),
            retired=rule.retired,
            health=health_to_proto(health, suspended, with_scopes=with_scopes),
            warnings=self._rules.warnings(rule),
            rollout=None if rollout is None else rollout_to_proto(rollout, whole=False),
            pause=None if pause is None else pause_to_proto(pause),
            looped_events=self._worker.counts.loops[rule.tenant, rule.spec.rule],
            memory=self._memory(
                (rule.tenant, "rule", rule.activation.state or rule.spec.rule),
                rule.spec.memory,
                rule.spec.rule,
            ),
        )
        return self._redaction.rule(message)

    def _forecast(self, spec: ForecastSpec, tenant: str) -> pb.Forecast:
        name = spec.forecast
        return pb.Forecast(
            tenant=tenant,
            name=name,
            spec=msgspec.json.encode(spec).decode(),
            memory=self._memory((tenant, "forecast", name), spec.memory, f"forecast {name}"),
        )

    def _memory(self, name: MemoryName, own: MemorySpec | None, called: str) -> pb.RuleMemory:
        """own: what it says of it itself; called: as events are counted for which it had no
        room."""
        use, full = self._worker.memory(name, own)
        full_events = self._worker.counts.full[name[0], called]
        return memory_to_proto(self._worker.state.limits, name[0], own, use, full, full_events)


def health_to_proto(health: RuleHealth, suspended: str, *, with_scopes: bool) -> pb.RuleHealth:
    """suspended: why the rule is; empty: it is not. with_scopes: each that is parked."""
    counts, parked = health.counts, list(health.parked())
    retry_ms = min((row.retry_ms for row in parked), default=None)
    return pb.RuleHealth(
        parked=counts.any or bool(suspended),
        parked_whole=counts.whole or bool(suspended),
        failures=health.failures,
        last_error=suspended or health.last_error,
        parked_keys=counts.keys,
        parked_producers=counts.producers,
        retry_time=None if retry_ms is None else timestamp(retry_ms),
        parked_scopes=[
            pb.ParkedScope(
                key=row.key,
                source=row.source,
                park_time=timestamp(row.parked_ms or 0),
                retry_time=timestamp(row.retry_ms),
                failures=row.in_a_row,
                last_error=row.last_error,
            )
            for row in (parked if with_scopes else ())
        ],
    )


def _bounded(document: str) -> str:
    if len(document.encode()) > MAX_DOCUMENT_BYTES:
        raise InvalidInput("document", f"the document has more than {MAX_DOCUMENT_BYTES:,} bytes")
    return document


def _reason(text: str) -> str:
    if len(text) > MOST_REASON:
        raise InvalidInput("reason", f"a reason has at most {MOST_REASON} characters")
    return text
