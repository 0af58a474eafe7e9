"""Stateless rules: the short way of those that remember nothing and look at one event alone.

What comes of it is what `evaluation` makes of the same rule and event; a test holds it to that.
Cells, windows, joins, plans and forecasts are not asked, and where the condition is plain enough
the event is not even made into what CEL reads until it has matched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from control_plane.expressions.expression import Bindings, Fault
from control_plane.expressions.values import instant
from data_sharing.event import Event
from data_sharing.rules import explanation
from data_sharing.rules.compiled import CompiledRule, Input
from data_sharing.rules.effect_builder import EffectFailed, RequestedEffect, requested_effects
from data_sharing.rules.evaluation import on_event
from data_sharing.rules.evaluation_context import (
    EvaluationContext,
    RuleResult,
    cause_of,
    rule_result,
    went_too_far,
)
from data_sharing.rules.results import RuleVerdict


def on_event_alone(context: EvaluationContext, rule: CompiledRule, one: Input) -> list[RuleResult]:
    """rule: one of which `alone` is true; one: its input, for which an index found the event."""
    event = context.event
    assert event is not None
    key = one.key.of(event)
    if type(key) is not str or (
        rule.max_age_ms and context.now_ms - event.time_ms > rule.max_age_ms
    ):
        return on_event(context, rule, (), (one,))
    if one.where is not None and one.where.of(event) is not True:
        return on_event(context, rule, (), (one,))
    holds: bool | None = True
    if not one.found:
        asked = rule.condition_of_event
        holds = None if asked is None else asked(event)
    values = _values(context, rule, one, event, key)
    bindings = rule.environment.bind(values)
    said = rule.when.holds(bindings) if holds is None else holds
    if said is not True:
        return [_not_matched(context, rule, key, values, bindings, said)]
    if context.explaining:
        clauses = explanation.clauses(rule, values, bindings, True)
        read = explanation.read_by(clauses)
    else:
        clauses, read = None, explanation.read(rule, values)
    cause = cause_of(context, rule, context.refs)
    verdict, detail = RuleVerdict.FIRED, went_too_far(context, rule, cause)
    effects: Sequence[RequestedEffect] = ()
    if detail:
        verdict = RuleVerdict.LOOP
    else:
        try:
            effects = requested_effects(
                rule, bindings, None, cause, context.now_ms, context.clock_ms
            )
        except EffectFailed as error:
            verdict, detail = RuleVerdict.ERROR, f"do: {error}"
    return [
        rule_result(
            context,
            rule,
            verdict,
            detail,
            key=key,
            effects=effects,
            read=read,
            clauses=clauses,
            cause=cause,
        )
    ]


def _values(
    context: EvaluationContext, rule: CompiledRule, one: Input, event: Event, key: str
) -> dict[str, Any]:
    reads = rule.reads
    values: dict[str, Any] = {"key": key}
    if one.name in reads:
        values[one.name] = rule.views[one.name, one.feed].of(event)
    if "event" in reads:
        values["event"] = rule.views["event", one.feed].of(event)
    if "now" in reads:
        values["now"] = instant(context.now_ms)
    return values


def _not_matched(
    context: EvaluationContext,
    rule: CompiledRule,
    key: str,
    values: dict[str, Any],
    bindings: Bindings,
    said: bool | Fault,
) -> RuleResult:
    clauses = explanation.clauses(rule, values, bindings, said) if context.explaining else None
    verdict, detail = RuleVerdict.NOT_MATCHED, ""
    if isinstance(said, Fault):
        detail = said.message
        if not said.missing:
            verdict = RuleVerdict.ERROR
    return rule_result(context, rule, verdict, detail, key=key, clauses=clauses)
