"""RuleSet: all rules and forecasts in force, and the decision by them.

The same events in the same order, the same timers and the same clock give the same decisions and
ids, whether in one run or in several. So `now_ms` must be part of what is replayed: for an event
the time of its acceptance as the log has it, for a timer the later of when it was due and the
newest event decided before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Self

from msgspec.structs import replace

from control_plane.expressions.expression import Fault
from data_sharing.event import Event
from data_sharing.forecasts.forecast import Forecast, is_number
from data_sharing.rules.cell_cache import CellCache, CellId
from data_sharing.rules.compiled import CompiledForecast, CompiledRule, FedWindow, Input
from data_sharing.rules.effect_builder import resolve_effects
from data_sharing.rules.effects import Effect
from data_sharing.rules.evaluation import on_event, on_timer
from data_sharing.rules.evaluation_context import EvaluationContext, Plans, RuleResult
from data_sharing.rules.index import FeedIndex, Subscription
from data_sharing.rules.parking import FailureCount, parked_row
from data_sharing.rules.results import NO_RESULT, EvaluationResult, RuleOutcome, RuleVerdict, Timer
from data_sharing.rules.rule_health import FailureRow, RuleHealth, parked_text
from data_sharing.rules.stateless_rule import on_event_alone


class Subscriber:
    """A window or an input of a rule: what an index finds. alone: the input of a rule that looks
    at one event alone. Equal to itself alone."""

    __slots__ = ("alone", "part", "place", "rule")

    def __init__(self, rule: CompiledRule, part: FedWindow | Input, number: int) -> None:
        """number: of the part within its rule."""
        self.rule = rule
        self.part = part
        self.place = (*rule.order, number)  # in the order of deciding
        self.alone = part if rule.alone and isinstance(part, Input) else None


_place = attrgetter("place")


@dataclass(frozen=True, slots=True)
class _Feed:
    """All that depends on one feed. forecasts: by name."""

    index: FeedIndex[Subscriber]
    subscribers: Mapping[str, tuple[Subscriber, ...]]  # by their rule
    forecasts: tuple[CompiledForecast, ...]

    @property
    def empty(self) -> bool:
        return not (self.subscribers or self.forecasts)


_NOTHING = _Feed(FeedIndex(), {}, ())


class RuleSet:
    """Immutable; `with_changes` makes the next one, sharing what did not change."""

    def __init__(
        self,
        rules: Iterable[CompiledRule] = (),
        forecasts: Iterable[CompiledForecast] = (),
    ) -> None:
        self._rules: dict[tuple[str, str], CompiledRule] = {}
        self._forecasts: dict[tuple[str, str], CompiledForecast] = {}
        self._feeds: dict[tuple[str, str], _Feed] = {}
        self._change(rules, forecasts, (), ())

    @property
    def rules(self) -> Mapping[tuple[str, str], CompiledRule]:
        """By tenant and id."""
        return self._rules

    @property
    def warnings(self) -> tuple[str, ...]:
        """What rules and forecasts can fail on, each with its place."""
        found = [warning for one in self._forecasts.values() for warning in one.warnings]
        return (*found, *(warning for one in self._rules.values() for warning in one.warnings))

    @property
    def forecasts(self) -> Mapping[tuple[str, str], CompiledForecast]:
        """By tenant and name."""
        return self._forecasts

    def with_changes(
        self,
        rules: Iterable[CompiledRule] = (),
        forecasts: Iterable[CompiledForecast] = (),
        retired: Iterable[tuple[str, str]] = (),
        ended: Iterable[tuple[str, str]] = (),
    ) -> Self:
        """These added or in place of older versions, those (tenant, id) gone, and the forecasts
        `ended` by (tenant, name). What it costs grows with the changes; of other rules only names
        are copied."""
        made = type(self).__new__(type(self))
        made._rules, made._forecasts = self._rules.copy(), self._forecasts.copy()
        made._feeds = self._feeds.copy()
        made._change(rules, forecasts, retired, ended)
        return made

    def _change(
        self,
        rules: Iterable[CompiledRule],
        forecasts: Iterable[CompiledForecast],
        retired: Iterable[tuple[str, str]],
        ended: Iterable[tuple[str, str]],
    ) -> None:
        old: list[CompiledRule] = []
        new = {(rule.tenant, rule.id): rule for rule in rules}
        for name in dict.fromkeys((*retired, *new)):
            before = self._rules.pop(name, None)
            if before is not None:
                old.append(before)
        self._rules |= new
        gone = dict.fromkeys(ended)
        estimates = {(one.tenant, one.spec.forecast): one for one in forecasts}
        feeds: set[tuple[str, str]] = set()  # whose forecasts are others
        for name in (*gone, *estimates):
            estimate = self._forecasts.pop(name, None)
            if estimate is not None:
                feeds.add((estimate.tenant, estimate.spec.feed))
        self._forecasts |= estimates
        feeds |= {(one.tenant, one.spec.feed) for one in estimates.values()}
        self._index(old, list(new.values()))
        for place in feeds:
            estimated = [
                one for one in self._forecasts.values() if (one.tenant, one.spec.feed) == place
            ]
            estimated.sort(key=lambda one: one.spec.forecast)
            feed = self._feeds.get(place, _NOTHING)
            self._keep(place, _Feed(feed.index, feed.subscribers, tuple(estimated)))

    def _index(self, old: Iterable[CompiledRule], new: Iterable[CompiledRule]) -> None:
        removed: dict[tuple[str, str], list[CompiledRule]] = defaultdict(list)
        added: dict[tuple[str, str], list[Subscriber]] = defaultdict(list)
        for rule in old:
            for place in _places(rule):
                removed[place].append(rule)
        for rule in new:
            for number, part in enumerate(_parts(rule)):
                added[rule.tenant, part.feed].append(Subscriber(rule, part, number))
        for place in removed.keys() | added.keys():
            feed = self._feeds.get(place, _NOTHING)
            subscribers = dict(feed.subscribers)
            gone = [one for rule in removed[place] for one in subscribers.pop(rule.id)]
            for each in added[place]:
                subscribers[each.rule.id] = (*subscribers.get(each.rule.id, ()), each)
            index = feed.index.with_changes(
                (Subscription(each, each.part.conjuncts) for each in added[place]), gone
            )
            self._keep(place, _Feed(index, subscribers, feed.forecasts))

    def _keep(self, place: tuple[str, str], feed: _Feed) -> None:
        if feed.empty:
            self._feeds.pop(place, None)
        else:
            self._feeds[place] = feed

    def decide(
        self,
        event: Event,
        *,
        now_ms: int,
        state: CellCache,
        plans: Plans,
        explaining: bool = False,
        whole: bool = False,
    ) -> EvaluationResult:
        """What follows from an event. With `explaining`, outcomes carry their clauses; with
        `whole`, rules are asked as well that the index leaves out: nothing else follows, but
        each says why it did not match."""
        feed = self._feeds.get((event.tenant, event.type))
        if feed is None:
            return NO_RESULT
        concerned = feed.index.touched(event)
        touched = feed.index.subscriptions if whole else concerned
        if not touched and not feed.forecasts:
            return NO_RESULT
        context = self._context(event, now_ms, state, plans, explaining)
        for one in feed.forecasts:
            _estimate(one, context)
        if not touched:
            return NO_RESULT
        found: list[RuleResult] = []
        left_out = feed.index.subscriptions.keys() - concerned if whole else set()
        subscribers = sorted(touched, key=_place)
        at, count = 0, len(subscribers)
        while at < count:
            first = subscribers[at]
            rule, start, at = first.rule, at, at + 1
            if first.alone is not None and first not in left_out:
                found += _of_rule_alone(context, rule, first.alone)
                continue
            while at < count and subscribers[at].rule is rule:
                at += 1
            those = subscribers[start:at]
            parts = [each.part for each in those]
            if left_out and left_out.issuperset(those):
                found += on_event(context, rule, *_by_kind(parts))
            else:
                found += _of_rule(context, rule, parts)
        return _decided(found, context)

    def due(
        self,
        timer: Timer,
        *,
        now_ms: int,
        state: CellCache,
        plans: Plans,
        explaining: bool = False,
    ) -> EvaluationResult:
        """What follows from a timer. One that means nothing any more decides nothing; one of what
        is parked comes again when that is retried."""
        rule = self._rules.get((timer.tenant, timer.rule))
        if rule is None:
            return NO_RESULT
        context = self._context(None, now_ms, state, plans, explaining)
        health = _health(rule, state)
        if health.rows:
            row = parked_row(health, (timer.key,), "", now_ms)
            if row is not None:
                again = timer._replace(due_ms=row.retry_ms)
                return EvaluationResult(outcomes=(_parked(rule, row, timer.key),), timers=(again,))
        found = on_timer(context, rule, timer)
        _count_failures(context, rule, health, found)
        return _decided(found, context)

    def _context(
        self, event: Event | None, now_ms: int, state: CellCache, plans: Plans, explaining: bool
    ) -> EvaluationContext:
        def forecast_of(tenant: str, name: str, key: str) -> Forecast | None:
            one = self._forecasts.get((tenant, name))
            return None if one is None else _forecast(one, key, now_ms, state)

        return EvaluationContext(event, now_ms, state, plans, explaining, forecast_of)


def _places(rule: CompiledRule) -> set[tuple[str, str]]:
    return {(rule.tenant, part.feed) for part in _parts(rule)}


def _parts(rule: CompiledRule) -> list[FedWindow | Input]:
    """Windows before inputs: an event is in the windows that its own decision reads."""
    return [*rule.windows.values(), *rule.inputs.values()]


def _by_kind(parts: Sequence[FedWindow | Input]) -> tuple[list[FedWindow], list[Input]]:
    windows = [part for part in parts if isinstance(part, FedWindow)]
    return windows, [part for part in parts if isinstance(part, Input)]


def _decided(found: Sequence[RuleResult], context: EvaluationContext) -> EvaluationResult:
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
        parking=tuple(context.parking),
    )


# How rules fare


def _health(rule: CompiledRule, state: CellCache) -> RuleHealth:
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
    health = _health(rule, context.state)
    windows, inputs = _by_kind(parts)
    keys: list[str] = []
    if health.rows:
        found_keys = [context.of_event(part.key) for part in parts]
        keys = [key for key in found_keys if isinstance(key, str)]
        row = parked_row(health, keys, event.source, context.now_ms)
        if row is not None:
            return [RuleResult(_parked(rule, row, row.key or next(iter(keys), "")), rule)]
    found = on_event(context, rule, windows, inputs)
    _count_failures(context, rule, health, found, keys if windows and not inputs else ())
    return found


def _of_rule_alone(context: EvaluationContext, rule: CompiledRule, one: Input) -> list[RuleResult]:
    """The same of a rule that looks at one event alone."""
    health: RuleHealth | None = context.state.get(rule.health_cell)
    if health is not None and health.rows and health.version == rule.version:
        return _of_rule(context, rule, [one])
    found = on_event_alone(context, rule, one)
    if found[0].outcome.verdict is RuleVerdict.ERROR:
        _count_failures(context, rule, RuleHealth(rule.version), found)
    return found


def _parked(rule: CompiledRule, row: FailureRow, key: str) -> RuleOutcome:
    detail = parked_text(rule.id, row)
    return RuleOutcome(rule.id, rule.version, RuleVerdict.PARKED, key, detail=detail)


def _count_failures(
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


# Forecasts


def _forecast(one: CompiledForecast, key: str, now_ms: int, state: CellCache) -> Forecast | None:
    """What is known at the key; nothing where it was made otherwise or is forgotten."""
    found: Forecast | None = state.get(CellId(one.tenant, "forecast", one.spec.forecast, key))
    if found is None or found.shape != one.method.shape:
        return None
    return None if now_ms > found.last_ms + one.method.forget_ms else found


def _estimate(one: CompiledForecast, context: EvaluationContext) -> None:
    """Takes the event into a forecast. One that lacks the value or the key is left out."""
    event, state = context.event, context.state
    assert event is not None
    if one.where is not None and context.of_event(one.where) is not True:
        return
    value, key = context.of_event(one.value), context.of_event(one.key)
    if isinstance(value, Fault) or not is_number(value) or not isinstance(key, str):
        return
    found = _forecast(one, key, context.now_ms, state) or Forecast.new(one.method)
    found.add(float(value), event.time_ms, one.method)
    expires_ms = found.last_ms + one.method.forget_ms
    state.put(CellId(one.tenant, "forecast", one.spec.forecast, key), found, expires_ms)
