"""Asked rules: what each rule makes of an event, unless it is parked for it, and what all of them
come to. How each fares is counted on the way.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from msgspec.structs import replace

from data_sharing.event import Event
from data_sharing.rules.cell_cache import CellCache
from data_sharing.rules.compiled import CompiledRule, FedWindow, Input
from data_sharing.rules.effect_builder import resolve_effects
from data_sharing.rules.effects import Effect
from data_sharing.rules.evaluation import on_event
from data_sharing.rules.evaluation_context import EvaluationContext, RuleResult, rule_result
from data_sharing.rules.feed_subscribers import Subscriber, by_kind, in_order
from data_sharing.rules.parking import FailureCount, parked_row
from data_sharing.rules.plain_rule import plain_of
from data_sharing.rules.results import EvaluationResult, RuleOutcome, RuleVerdict, Timer
from data_sharing.rules.rule_health import FailureRow, RuleHealth, parked_text
from data_sharing.rules.shadow import compare, separated
from data_sharing.rules.stateless_rule import on_event_alone


def asked(
    context: EvaluationContext,
    touched: Iterable[Subscriber],
    left_out: Container[Subscriber],
    shown: Mapping[Subscriber, Event],
) -> list[RuleResult]:
    """What each rule makes of the event, in their order. left_out: of those touched, which the
    index would not have asked. shown: the event as each of them sees it, where that differs."""
    found: list[RuleResult] = []
    subscribers = sorted(touched, key=in_order)
    at, count = 0, len(subscribers)
    while at < count:
        first = subscribers[at]
        rule, start, at = first.rule, at, at + 1
        if shown:
            context.event = shown[first]
        if rule.activation.paused and first not in left_out:
            found.append(paused(context, rule))
            while at < count and subscribers[at].rule is rule:
                at += 1
            continue
        if first.alone is not None and first not in left_out:
            found += _of_rule_alone(context, rule, first.alone, first)
            continue
        while at < count and subscribers[at].rule is rule:
            at += 1
        those = subscribers[start:at]
        parts = [each.part for each in those]
        if left_out and all(one in left_out for one in those):
            found += on_event(context, rule, *by_kind(parts))
        else:
            found += _of_rule(context, rule, parts)
    return found


def decided(
    found: Sequence[RuleResult], context: EvaluationContext, timer: Timer | None = None
) -> EvaluationResult:
    """What all of them come to. timer: that was due, if one was."""
    shadow: tuple[RuleOutcome, ...] = ()
    if any(one.rule.activation.rollout for one in found):
        compare(found, context, timer)
        found, shadow = separated(found)
    fired = [at for at, one in enumerate(found) if one.outcome.verdict is RuleVerdict.FIRED]
    outcomes = [one.outcome for one in found]
    effects: tuple[Effect, ...] = ()
    if fired:
        resolved = resolve_effects([(found[at].rule, found[at].effects) for at in fired])
        effects = resolved.effects
        for at, statuses in zip(fired, resolved.outcomes, strict=True):
            outcomes[at] = replace(outcomes[at], effects=statuses)
    return EvaluationResult(
        outcomes=tuple(outcomes),
        effects=effects,
        timers=tuple(context.timers.values()),
        dropped=tuple(context.dropped),
        evicted=tuple(context.evicted.items()),
        late=tuple(context.late),
        ahead=tuple(context.ahead),
        loops=tuple(context.loops),
        full=tuple(context.full),
        parking=tuple(context.parking),
        shadow=shadow,
    )


def health_of(rule: CompiledRule, state: CellCache) -> RuleHealth:
    """Of this version: a new one starts anew."""
    found: RuleHealth | None = state.get(rule.health_cell)
    return (
        found if found is not None and found.version == rule.version else RuleHealth(rule.version)
    )


def _of_rule(
    context: EvaluationContext, rule: CompiledRule, parts: Sequence[FedWindow | Input]
) -> list[RuleResult]:
    """What one rule makes of the event, unless it is parked for it: then it does not even go into
    a window, because what is decided later would rest on a part of it."""
    event = context.event
    assert event is not None
    health = health_of(rule, context.state)
    windows, inputs = by_kind(parts)
    keys: list[str] = []
    if health.rows:
        found_keys = [context.of_event(part.key) for part in parts]
        keys = [key for key in found_keys if isinstance(key, str)]
        row = parked_row(health, keys, event.source, context.now_ms)
        if row is not None:
            return [RuleResult(parked(rule, row, row.key or next(iter(keys), "")), rule)]
    found = on_event(context, rule, windows, inputs)
    count_failures(context, rule, health, found, keys if windows and not inputs else ())
    return found


def _of_rule_alone(
    context: EvaluationContext, rule: CompiledRule, one: Input, subscriber: Subscriber
) -> list[RuleResult]:
    """The same of a rule that looks at one event alone. subscriber: the input's."""
    health: RuleHealth | None = context.state.get(rule.health_cell)
    if health is not None and health.rows and health.version == rule.version:
        return _of_rule(context, rule, [one])
    plain = subscriber.plain
    if plain is False:
        plain = subscriber.plain = plain_of(rule, one)
    if plain is not None and (fired := plain.fired(context)) is not None:
        return [fired]
    found = on_event_alone(context, rule, one)
    if found[0].outcome.verdict is RuleVerdict.ERROR:
        count_failures(context, rule, RuleHealth(rule.version), found)
    return found


def paused(context: EvaluationContext, rule: CompiledRule) -> RuleResult:
    """It is not asked; what came waits."""
    detail = f"rule {rule.id} is paused; it waits for `homeport rules resume {rule.id}`"
    return rule_result(context, rule, RuleVerdict.PAUSED, detail)


def parked(rule: CompiledRule, row: FailureRow, key: str) -> RuleOutcome:
    detail = parked_text(rule.id, row)
    return RuleOutcome(rule.id, rule.version, RuleVerdict.PARKED, key, detail=detail)


def count_failures(
    context: EvaluationContext,
    rule: CompiledRule,
    health: RuleHealth,
    found: Sequence[RuleResult],
    fed: Sequence[str] = (),
) -> None:
    """fed: keys of windows, where an event was for windows alone."""
    if not health.rows and not any(one.outcome.verdict is RuleVerdict.ERROR for one in found):
        return
    count = FailureCount(rule, health, context.now_ms)
    source = "" if context.event is None else context.event.source
    count.add(found, source)
    if fed and not found:
        count.add_fed(fed, source)
    if count.changed:
        context.parking += count.changes
        stored = health if health.rows else None
        context.state.put(rule.health_cell, stored)
