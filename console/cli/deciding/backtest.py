"""What `homeport rules backtest` does: reads the events a server has kept, and decides them here
by the rules proposed and by those in force, so that the server only has to read its log."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from console.cli.calls.data_sharing import DataSharingCalls
from control_plane.errors import ServiceError
from data_sharing.event import Event
from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.instruction import OUTCOME_FEED
from data_sharing.management.backtest import Backtest
from data_sharing.plans.plan import EventPlan, created
from data_sharing.plans.spec import PlanSpec
from data_sharing.rules.compiled import CompiledForecast, CompiledRule
from data_sharing.rules.compiler import compile_forecast, compile_rule, parse
from data_sharing.rules.feed_schema import FeedSchema
from data_sharing.rules.ruleset import RuleSet
from data_sharing.rules.spec import RuleSpec
from homeport.api.datasharing.v1 import feed_pb2 as pb


class Document(NamedTuple):
    """A file of rules: what it says, and what messages call it."""

    text: str
    name: str


@dataclass(slots=True)
class BacktestReport:
    """rules: those of the file. trimmed: older events were asked for, but are not kept any
    more. left_out: why a rule in force could not be compared, by name. warnings: of the file's
    rules, as applying them would tell."""

    backtest: Backtest
    rules: Sequence[str]
    trimmed: bool = False
    left_out: dict[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def run(
    service: DataSharingCalls,
    request: pb.TailRequest,
    file: Document,
    *,
    until_ms: int | None,
    plans: Sequence[PlanSpec] | None,
    advance: Callable[[int], None],
) -> BacktestReport:
    """request: which events. plans: None: the tenant's own, as they were planned.
    Raises CommandFailed, ServiceError."""
    tenant = request.tenant
    applied = service.apply_rules(tenant, file.text, dry_run=True)  # says all that is wrong with it
    feeds = _Feeds(service.list_feeds(tenant))
    in_force, left_out = _in_force(service, tenant, feeds)
    document = parse(file.text, file.name)
    estimated = [compile_forecast(one, tenant=tenant, schemas=feeds) for one in document.forecasts]
    known = {one.spec.forecast: one for one in (*in_force.forecasts.values(), *estimated)}
    proposed = in_force.with_changes(
        [_compiled(one, tenant, feeds, known) for one in document.rules], estimated
    )
    names = [one.rule for one in document.rules]
    report: BacktestReport | None = None
    trimmed = False
    for answer in service.tail(request):
        trimmed = trimmed or answer.trimmed
        for kept in answer.events:
            accepted_ms = kept.accept_time.ToMilliseconds()
            if until_ms is not None and accepted_ms >= until_ms:
                break
            if report is None:
                planned = _plans(service, tenant, plans, accepted_ms)
                backtest = Backtest(proposed, in_force, planned, start_ms=accepted_ms)
                report = BacktestReport(backtest, names)
            report.backtest.add_event(_event(tenant, kept), accepted_ms)
        else:
            advance(len(answer.events))
            continue
        break
    if report is None:
        report = BacktestReport(Backtest(proposed, in_force, start_ms=0), names)
    elif until_ms is not None:
        report.backtest.advance_to(until_ms)
    report.trimmed, report.left_out = trimmed, left_out
    report.warnings = tuple(applied.warnings)
    return report


class _Feeds:
    """The schemas of the tenant's feeds."""

    def __init__(self, feeds: Sequence[pb.Feed]) -> None:
        self._schemas = {one.type: FeedSchema(one.type, json.loads(one.schema)) for one in feeds}
        self._schemas[OUTCOME_FEED] = FeedSchema(OUTCOME_FEED, None)

    def get(self, feed: str, /) -> FeedSchema | None:
        return self._schemas.get(feed)


def _in_force(
    service: DataSharingCalls, tenant: str, feeds: _Feeds
) -> tuple[RuleSet, dict[str, str]]:
    left_out: dict[str, str] = {}
    estimated: dict[str, CompiledForecast] = {}
    compiled: list[CompiledRule] = []
    for forecast in service.list_forecasts(tenant):
        spec = msgspec.json.decode(forecast.spec, type=ForecastSpec)
        try:
            made = compile_forecast(spec, tenant=tenant, schemas=feeds)
            estimated[forecast.name] = made
        except ServiceError as error:
            left_out[f"forecast {forecast.name}"] = error.message
    for rule in service.list_rules(tenant, with_retired=False):
        try:
            one = msgspec.json.decode(rule.spec, type=RuleSpec)
            compiled.append(_compiled(one, tenant, feeds, estimated, rule.version))
        except ServiceError as error:
            left_out[rule.rule_id] = error.message
    return RuleSet(compiled, estimated.values()), left_out


def _compiled(
    spec: RuleSpec,
    tenant: str,
    feeds: _Feeds,
    forecasts: dict[str, CompiledForecast],
    version: int = 0,
) -> CompiledRule:
    return compile_rule(spec, tenant=tenant, version=version, schemas=feeds, forecasts=forecasts)


def _plans(
    service: DataSharingCalls, tenant: str, given: Sequence[PlanSpec] | None, start_ms: int
) -> list[EventPlan]:
    if given is None:
        kept = service.list_plans(tenant, "")
        given = [msgspec.json.decode(plan.spec, type=PlanSpec) for plan in kept]
    return [created(tenant, spec, start_ms) for spec in given]


def _event(tenant: str, kept: pb.FeedEvent) -> Event:
    event, attributes = kept.event, kept.event.attributes
    return Event(
        tenant=tenant,
        source=event.source,
        id=event.id,
        type=event.type,
        key=kept.key,
        time_ms=attributes["time"].ce_timestamp.ToMilliseconds(),
        data=msgspec.json.decode(event.text_data),
        subject=attributes["subject"].ce_string if "subject" in attributes else "",
        position=kept.position,
    )
