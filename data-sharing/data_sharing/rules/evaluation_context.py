"""EvaluationContext: what all rules share while one event or timer is decided.

The event, the clock, the cells, the plans; and what the rules give back: timers, evictions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

from data_sharing.event import Event
from data_sharing.forecasts.forecast import Forecast
from data_sharing.rules.cell_cache import CellCache, StoredEvent, stored_event
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.effect_builder import RequestedEffect
from data_sharing.rules.effects import Cause, EventRef, PlanView
from data_sharing.rules.event_view import EventExpression
from data_sharing.rules.results import (
    ClauseOutcome,
    ParkingChange,
    RuleOutcome,
    RuleVerdict,
    Timer,
)


class Plans(Protocol):
    """Plans as they are now."""

    def of(self, tenant: str, key: str, named: str | None) -> Sequence[PlanView]:
        """Those whose owner the key is or that follow it, by id."""
        ...


class NoPlans:
    """Where there are none."""

    def of(self, tenant: str, key: str, named: str | None) -> Sequence[PlanView]:
        return ()


class RuleResult(msgspec.Struct, frozen=True):
    """An outcome, with what the rule wants done where it fired."""

    outcome: RuleOutcome
    rule: CompiledRule
    effects: Sequence[RequestedEffect] = ()
    feeding: bool = False  # an error in putting the event into a window


class EvaluationContext:
    """What one decision shares: the event or none, the clock, state, plans, what it gathers."""

    __slots__ = (
        "again", "ahead", "clock_ms", "dropped", "event", "evicted", "explaining", "forecast_of",
        "full", "hops", "late", "loops", "most_hops", "now_ms", "parking", "plans", "producer",
        "refs", "seals", "state", "timers",
    )  # fmt: skip

    def __init__(
        self,
        event: Event | None,
        now_ms: int,
        state: CellCache,
        plans: Plans,
        explaining: bool,
        forecast_of: Callable[[CompiledRule, str, str], Forecast | None],
        seals: Mapping[tuple[str, str], str] = MappingProxyType({}),
        again: bool = False,
        most_hops: int = 1,
    ) -> None:
        self.event = event
        self.now_ms = now_ms
        self.clock_ms = now_ms  # for what may happen now; later where a timer was noticed late
        self.state = state
        self.plans = plans
        self.explaining = explaining
        self.forecast_of = forecast_of  # which rule reads it, its name, key
        self.seals = seals  # of rules that read what has a sharing policy, by tenant and slot
        self.again = again  # somebody asks for it, although it was late or went too far
        self.most_hops = most_hops  # decisions that may follow on one another
        self.hops = 0  # decisions that came before a window's events, at its end
        # Of the event alone that is decided, if one is.
        self.refs: tuple[EventRef, ...] = ()
        self.producer = ""  # whose event it is
        if event is not None:
            self.refs = (_ref(event),)
            self.producer = event.source
        self.timers: dict[str, Timer] = {}
        self.dropped: dict[str, None] = {}
        self.evicted: dict[str, int] = {}  # by rule: events let go for want of room
        self.late: dict[str, None] = {}  # rules for which the event came too late
        self.ahead: dict[str, None] = {}  # for which it is too far ahead of the clock
        self.loops: dict[str, None] = {}  # that may not fire, after so many decisions
        self.full: dict[str, None] = {}  # forecasts that had no room for the event
        self.parking: list[ParkingChange] = []

    def of_event(self, expression: EventExpression) -> Any:
        """An expression over `event` alone."""
        assert self.event is not None
        return expression.of(self.event)

    def set_timer(self, timer: Timer) -> None:
        self.timers[timer.id] = timer
        self.dropped.pop(timer.id, None)

    def drop_timer(self, timer: Timer) -> None:
        self.dropped[timer.id] = None
        self.timers.pop(timer.id, None)


def rule_result(
    context: EvaluationContext,
    rule: CompiledRule,
    verdict: RuleVerdict,
    detail: str = "",
    *,
    key: str = "",
    plan: PlanView | None = None,
    events: tuple[EventRef, ...] | None = None,
    consumed: tuple[EventRef, ...] = (),
    effects: Sequence[RequestedEffect] = (),
    read: Mapping[str, Any] | None = None,
    clauses: ClauseOutcome | None = None,
    cause: Cause | None = None,
) -> RuleResult:
    """An outcome of the rule; events None: of the event alone that is decided, if one is. cause:
    where `when` held."""
    if events is None:
        events = context.refs
    outcome = RuleOutcome(
        rule.id, rule.version, verdict, key, "" if plan is None else plan.id, detail, events,
        consumed, (), {} if read is None else read, clauses,
        hops=0 if cause is None else cause.hops,
        correlation="" if cause is None else cause.correlation,
    )  # fmt: skip
    return RuleResult(outcome, rule, effects)


def refs_of(events: Mapping[str, Sequence[Event | StoredEvent]]) -> tuple[EventRef, ...]:
    return tuple(_ref(one) for those in events.values() for one in those)


def cause_of(
    context: EvaluationContext, rule: CompiledRule, events: tuple[EventRef, ...], timer: str = ""
) -> Cause:
    """Why the rule wants what it wants. The flow is that of the event that is decided, or of the
    newest of those that met."""
    hops = max((one.hops for one in events), default=context.hops)
    newest = context.refs[:1] or sorted(events, key=lambda one: one.position)[-1:]
    correlation = newest[0].correlation if newest else ""
    return Cause(rule.id, rule.version, events, timer, hops=hops, correlation=correlation)


def went_too_far(context: EvaluationContext, rule: CompiledRule, cause: Cause) -> str:
    """Why the rule may not fire: so many decisions have followed on one another that it must be a
    loop. Empty: it may."""
    if cause.hops < context.most_hops or context.again:
        return ""
    context.loops[rule.id] = None
    return (
        f"{cause.hops:,} decisions have led to this one after another; at most "
        f"{context.most_hops:,} may (--max-hops)"
    )


def _ref(event: Event | StoredEvent) -> EventRef:
    return EventRef(event.source, event.id, event.position, event.hops, event.correlation_id)


def stored_events(
    events: Mapping[str, Sequence[Event | StoredEvent]],
) -> dict[str, list[StoredEvent]]:
    return {
        name: [one if isinstance(one, StoredEvent) else stored_event(one) for one in those]
        for name, those in events.items()
    }
