"""ConditionEvaluator: evaluates a rule's `when` for these events and each plan.

Where it holds, the rule fires, waits out its debounce, or is held back by its cooldown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from control_plane.expressions.expression import Bindings, Fault
from control_plane.expressions.values import instant
from control_plane.printable import quoted
from data_sharing.event import Event
from data_sharing.rules import explanation
from data_sharing.rules.cell_cache import Pending, RuleCell, StoredEvent
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.effect_builder import EffectFailed, RequestedEffect, requested_effects
from data_sharing.rules.effects import Cause, EventRef, PlanView
from data_sharing.rules.evaluation_context import (
    EvaluationContext,
    RuleResult,
    cause_of,
    refs_of,
    rule_result,
    stored_events,
    went_too_far,
)
from data_sharing.rules.hold_backs import HoldBacks
from data_sharing.rules.results import ClauseOutcome, RuleVerdict, Timer
from data_sharing.rules.rule_state_store import RuleStateStore

MOST_PLANS = 100  # one rule looks at for one event
MOST_REMEMBERED = 1_000  # plans whose cooldown or debounce is kept at one key


class Match(msgspec.Struct, frozen=True):
    """A combination of events, and a plan or none, for which `when` holds."""

    key: str
    events: tuple[EventRef, ...]
    plan: PlanView | None
    bindings: Bindings
    read: Mapping[str, Any]  # what `when` read, by path
    clauses: ClauseOutcome | None = None  # where explaining was asked for

    @property
    def plan_id(self) -> str:
        """Empty: no plan was looked at."""
        return "" if self.plan is None else self.plan.id


class ConditionEvaluator:
    """Of one rule within one evaluation."""

    def __init__(
        self, context: EvaluationContext, rule: CompiledRule, cells: RuleStateStore
    ) -> None:
        self._context, self._rule, self._states = context, rule, cells
        self._hold_backs = HoldBacks(context, rule, cells) if rule.limits or rule.hours else None

    def evaluate(
        self,
        key: str,
        cell: RuleCell | None,
        events: Mapping[str, Sequence[Event | StoredEvent]],
        at_ms: int,
        *,
        ended: Mapping[str, Any] | None = None,
        timer: Timer | None = None,
    ) -> list[RuleResult]:
        """`when` for each plan; what is true fires, waits, or is held back."""
        rule = self._rule
        refs = refs_of(events)
        values = self._values(key, cell, events, at_ms, ended)
        plans = self._plans(values)
        if isinstance(plans, Fault):
            verdict = RuleVerdict.NO_PLAN if plans.missing else RuleVerdict.ERROR
            return [self._result(verdict, f"plan.of: {plans.message}", key=key, events=refs)]
        if not plans:
            return [self._result(RuleVerdict.NO_PLAN, key=key, events=refs)]
        found: list[RuleResult] = []
        for plan in plans:
            if plan is not None:
                values = {**values, "plan": plan.fields}
            bindings = rule.environment.bind(values)
            holds = rule.when.holds(bindings)
            clauses = None
            if self._context.explaining:
                clauses = explanation.clauses(rule, values, bindings, holds)
            if isinstance(holds, Fault) or not holds:
                verdict, detail = RuleVerdict.NOT_MATCHED, ""
                if isinstance(holds, Fault):
                    verdict = verdict if holds.missing else RuleVerdict.ERROR
                    detail = holds.message
                found.append(
                    self._result(verdict, detail, key=key, plan=plan, events=refs, clauses=clauses)
                )
                continue
            if clauses is not None:
                read = explanation.read_by(clauses)
            else:
                read = explanation.read(rule, values)
            match = Match(key, refs, plan, bindings, read, clauses)
            found.append(self._matched(cell, events, match, timer))
        return found

    def _matched(
        self,
        cell: RuleCell | None,
        events: Mapping[str, Sequence[Event | StoredEvent]],
        match: Match,
        timer: Timer | None,
    ) -> RuleResult:
        rule, now_ms, key = self._rule, self._context.now_ms, match.key
        plan_id = match.plan_id
        if rule.cooldown_ms and cell is not None:
            last_ms = cell.fired_ms.get(plan_id)
            if last_ms is not None and now_ms - last_ms < rule.cooldown_ms:
                return self._outcome(RuleVerdict.COOLDOWN, match)
        if cell is not None and (rule.wait_ms or rule.cooldown_ms or self._hold_backs is not None):
            full = self._states.why_full(cell, key)
            if full:
                return self._outcome(RuleVerdict.FULL, match, full)
        consumed: tuple[EventRef, ...] = ()
        if rule.join is not None and timer is None:
            consumed = tuple(one.ref for one in rule.join.consumes(stored_events(events)))
        if rule.wait_ms and cell is not None:
            before = cell.pending.get(plan_id)
            first_ms = now_ms if before is None else before.first_ms
            due_ms = min(now_ms + rule.wait_ms, first_ms + rule.wait_at_most_ms)
            cell.pending[plan_id] = Pending(due_ms, first_ms, stored_events(events))
            _bound(cell.pending)
            self._context.set_timer(
                Timer(rule.tenant, rule.state, "debounce", key, plan_id, due_ms)
            )
            self._states.save(cell, key, cell.newest_ms)
            return self._outcome(RuleVerdict.PENDING, match, consumed=consumed)
        return self._fire(cell, events, match, timer, consumed)

    def _fire(
        self,
        cell: RuleCell | None,
        events: Mapping[str, Sequence[Event | StoredEvent]],
        match: Match,
        timer: Timer | None,
        consumed: tuple[EventRef, ...] = (),
    ) -> RuleResult:
        rule = self._rule
        due = "" if timer is None else f"{timer.id}@{timer.due_ms}"
        cause = cause_of(self._context, rule, match.events, due)
        too_far = went_too_far(self._context, rule, cause)
        if too_far:
            return self._outcome(RuleVerdict.LOOP, match, too_far, cause=cause)
        held = None
        if self._hold_backs is not None:
            held = self._hold_backs.check(cell, match.key, match.plan_id, events)
        if held is not None:
            used = consumed if held.verdict is RuleVerdict.DEFERRED else ()
            return self._outcome(held.verdict, match, held.detail, consumed=used)
        try:
            effects = requested_effects(
                rule,
                match.bindings,
                match.plan,
                cause,
                self._context.now_ms,
                self._context.clock_ms,
            )
        except EffectFailed as error:
            return self._outcome(RuleVerdict.ERROR, match, f"do: {error}", cause=cause)
        if rule.cooldown_ms and cell is not None:
            cell.fired_ms[match.plan_id] = self._context.now_ms
            _bound(cell.fired_ms)
            self._states.save(cell, match.key, cell.newest_ms)
        if self._hold_backs is not None:
            self._hold_backs.count(cell, match.key)
        return self._outcome(
            RuleVerdict.FIRED, match, consumed=consumed, effects=effects, cause=cause
        )

    def fire_debounced(self, timer: Timer) -> list[RuleResult]:
        """`when` held at its newest match and is not asked again; effects see what is now."""
        cell = self._states.get(timer.key)
        pending = cell.pending.get(timer.token)
        if pending is None or pending.due_ms > timer.due_ms:
            return []
        del cell.pending[timer.token]
        self._states.save(cell, timer.key, cell.newest_ms)
        return [self._fire_kept(cell, pending.events, timer.token, timer)]

    def fire_deferred(self, timer: Timer) -> list[RuleResult]:
        """The rule's hours have begun: what was deferred to them fires, the oldest first."""
        rule, cell = self._rule, self._states.get(timer.key)
        due = [one for one in cell.deferred if one.due_ms <= timer.due_ms]
        if not due:
            return []
        cell.deferred = [one for one in cell.deferred if one.due_ms > timer.due_ms]
        self._states.save(cell, timer.key, cell.newest_ms)
        found: list[RuleResult] = []
        for one in due:
            last_ms = cell.fired_ms.get(one.plan_id)
            if last_ms is not None and self._context.now_ms - last_ms < rule.cooldown_ms:
                refs = refs_of(one.events)
                found.append(self._result(RuleVerdict.COOLDOWN, key=timer.key, events=refs))
            else:
                found.append(self._fire_kept(cell, one.events, one.plan_id, timer))
        return found

    def _fire_kept(
        self, cell: RuleCell, events: dict[str, list[StoredEvent]], plan_id: str, timer: Timer
    ) -> RuleResult:
        """Events for which `when` held."""
        rule = self._rule
        times = [one.time_ms for those in events.values() for one in those]
        at_ms = max(times, default=cell.newest_ms)
        values = self._values(timer.key, cell, events, at_ms, None)
        refs = refs_of(events)
        plan = None
        if rule.plan_of is not None:
            plans = self._plans(values)
            same = () if isinstance(plans, Fault) else plans
            plan = next((one for one in same if one and one.id == plan_id), None)
            if plan is None:
                return self._result(RuleVerdict.NO_PLAN, key=timer.key, events=refs)
            values["plan"] = plan.fields
        bindings = rule.environment.bind(values)
        match = Match(timer.key, refs, plan, bindings, explanation.read(rule, values))
        return self._fire(cell, events, match, timer)

    def _values(
        self,
        key: str,
        cell: RuleCell | None,
        events: Mapping[str, Sequence[Event | StoredEvent]],
        at_ms: int,
        ended: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        rule, context, reads = self._rule, self._context, self._rule.reads
        values: dict[str, Any] = {"key": key}
        for name, those in events.items():
            if name in reads:
                many = rule.join is not None and rule.join.consume == "cumulative"
                seen = [rule.views[name, one.type].of(one) for one in those]
                values[name] = seen if many else seen[0]
        if "event" in reads and events:
            newest = max((one for those in events.values() for one in those), key=_newest)
            # At an event it is that event, whichever is the newest.
            event = context.event or newest
            values["event"] = rule.views["event", event.type].of(event)
        if "now" in reads:
            values["now"] = instant(context.now_ms)
        if "window" in reads:
            values["window"] = {
                name: fed.window.read(self._states.readable(cell, fed), at_ms)
                for name, fed in rule.windows.items()
            } | dict(ended or {})
        if "forecast" in reads:
            values["forecast"] = {
                name: self._forecast(name, fields, key)
                for name, fields in rule.read_forecasts.items()
            }
        return values

    def _forecast(self, name: str, fields: Sequence[str], key: str) -> dict[str, Any]:
        found = self._context.forecast_of(self._rule, name, key)
        if found is None:
            return {}
        method = self._rule.forecasts[name]
        read = {field: found.read(field, method) for field in fields}
        return {field: value for field, value in read.items() if value is not None}

    def _plans(self, values: Mapping[str, Any]) -> Sequence[PlanView | None] | Fault:
        rule = self._rule
        if rule.plan_of is None:
            return (None,)
        of = rule.plan_of.evaluate(rule.environment.bind(values))
        if isinstance(of, Fault):
            return of
        keys = of if isinstance(of, list) else [of]
        if not all(isinstance(key, str) for key in keys):
            return Fault(f"{quoted(of)} is neither a text nor a list of texts", missing=False)
        assert rule.spec.plan is not None
        plans = {
            plan.id: plan
            for key in keys[:MOST_PLANS]
            for plan in self._context.plans.of(rule.tenant, key, rule.spec.plan.named)
            if plan.occurrence_ms is not None
        }
        return [plans[name] for name in sorted(plans)[:MOST_PLANS]]

    def _result(
        self,
        verdict: RuleVerdict,
        detail: str = "",
        *,
        key: str,
        events: tuple[EventRef, ...],
        plan: PlanView | None = None,
        clauses: ClauseOutcome | None = None,
    ) -> RuleResult:
        """Where `when` did not hold, or was not asked."""
        return rule_result(
            self._context, self._rule, verdict, detail, key=key, plan=plan, events=events,
            clauses=clauses,
        )  # fmt: skip

    def _outcome(
        self,
        verdict: RuleVerdict,
        match: Match,
        detail: str = "",
        *,
        consumed: tuple[EventRef, ...] = (),
        effects: Sequence[RequestedEffect] = (),
        cause: Cause | None = None,
    ) -> RuleResult:
        """Where it held."""
        return rule_result(
            self._context, self._rule, verdict, detail, key=match.key, plan=match.plan,
            events=match.events, consumed=consumed, effects=effects, read=match.read,
            clauses=match.clauses, cause=cause,
        )  # fmt: skip


def _newest(event: Event | StoredEvent) -> tuple[int, int]:
    return (event.time_ms, event.position)


def _bound(kept_by_plan: dict[str, Any]) -> None:
    while len(kept_by_plan) > MOST_REMEMBERED:
        del kept_by_plan[next(iter(kept_by_plan))]
