"""Simulator: a decision worker in memory, for dry runs and backtests. Pure; it keeps nothing.

One state, some plans, some timers, and a clock that moves only when told: timers of rules and
actions of plans come due between the events, in order.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from data_sharing.event import Event
from data_sharing.plans.changes import apply
from data_sharing.plans.due_actions import DueAction, advance
from data_sharing.plans.plan import EventPlan
from data_sharing.plans.plan_view import view
from data_sharing.rules.cell_cache import CellCache
from data_sharing.rules.effects import Effect, PlanChange, PlanView
from data_sharing.rules.results import EvaluationResult, RuleOutcome, Timer
from data_sharing.rules.ruleset import RuleSet


class SimulatedStep(NamedTuple):
    """What came of one event, of a timer, or of plans whose actions fell due."""

    event: str  # id of the event or timer; empty: actions alone
    at_ms: int  # by the simulator's clock
    outcomes: tuple[RuleOutcome, ...] = ()
    effects: tuple[Effect, ...] = ()
    actions: tuple[DueAction, ...] = ()


class Simulator:
    """explaining, whole: as in RuleSet.decide. now_ms: where its clock begins."""

    def __init__(
        self,
        rules: RuleSet,
        plans: Sequence[EventPlan],
        now_ms: int,
        *,
        explaining: bool = False,
        whole: bool = False,
    ) -> None:
        self._rules = rules
        self._explaining = explaining
        self._whole = whole
        self._plans = {plan.id: plan for plan in plans}
        self._of_key: dict[str, list[str]] = defaultdict(list)
        for plan in sorted(plans, key=lambda one: one.id):
            for key in plan.keys:
                self._of_key[key].append(plan.id)
        self._state = CellCache(lambda cell: None)
        self._timers: dict[str, Timer] = {}
        # What is due when; an entry that its table does not confirm means nothing any more.
        self._timers_by_time: list[tuple[int, str]] = []
        self._due_plans: dict[str, int] = {}  # by plan: when something of it may be due
        self._due_plans_by_time: list[tuple[int, str]] = []
        self.now_ms = now_ms
        for plan in plans:
            self._schedule(plan, now_ms)

    def of(self, tenant: str, key: str, named: str | None) -> Sequence[PlanView]:
        """The port that rules look for plans through."""
        plans = (self._plans[name] for name in self._of_key.get(key, ()))
        return [
            view(plan, now_ms=self.now_ms) for plan in plans if named is None or plan.name == named
        ]

    def event(self, event: Event, now_ms: int) -> SimulatedStep:
        """What comes of an event at that time; the clock does not go back."""
        self.now_ms = max(self.now_ms, now_ms)
        decided = self._rules.decide(
            event,
            now_ms=self.now_ms,
            state=self._state,
            plans=self,
            explaining=self._explaining,
            whole=self._whole,
        )
        return self._apply(event.id, decided)

    def next(self, until_ms: int, plans_to_ms: int) -> SimulatedStep | None:
        """What is due next: a timer until `until_ms` or actions until `plans_to_ms`; None:
        nothing is, so far."""
        timer = self._next_timer()
        action_ms = self._next_plan_ms()
        if action_ms is not None and action_ms > plans_to_ms:
            action_ms = None
        if timer is not None and (action_ms is None or timer.due_ms <= action_ms):
            if timer.due_ms > until_ms:
                return None
            del self._timers[timer.id]
            self.now_ms = max(self.now_ms, timer.due_ms)
            decided = self._rules.due(
                timer,
                now_ms=self.now_ms,
                state=self._state,
                plans=self,
                explaining=self._explaining,
            )
            return self._apply(timer.id, decided)
        if action_ms is None:
            return None
        self.now_ms = max(self.now_ms, action_ms)
        return SimulatedStep("", self.now_ms, actions=self._run_due())

    def _apply(self, name: str, decided: EvaluationResult) -> SimulatedStep:
        for effect in decided.effects:
            if isinstance(effect, PlanChange) and effect.plan_id in self._plans:
                changed = apply(self._plans[effect.plan_id], effect, now_ms=self.now_ms).plan
                self._schedule(changed, self.now_ms)
        for gone in decided.dropped:
            self._timers.pop(gone, None)
        for timer in decided.timers:
            self._timers[timer.id] = timer
            heapq.heappush(self._timers_by_time, (timer.due_ms, timer.id))
        return SimulatedStep(name, self.now_ms, decided.outcomes, decided.effects, self._run_due())

    def _next_timer(self) -> Timer | None:
        waiting = self._timers_by_time
        while waiting:
            due_ms, name = waiting[0]
            timer = self._timers.get(name)
            if timer is not None and timer.due_ms == due_ms:
                return timer
            heapq.heappop(waiting)
        return None

    def _next_plan_ms(self) -> int | None:
        waiting = self._due_plans_by_time
        while waiting and self._due_plans.get(waiting[0][1]) != waiting[0][0]:
            heapq.heappop(waiting)
        return waiting[0][0] if waiting else None

    def _schedule(self, plan: EventPlan, at_ms: int | None) -> None:
        """The plan is this now, and something of it may be due at that time."""
        self._plans[plan.id] = plan
        if at_ms is None:
            self._due_plans.pop(plan.id, None)
        else:
            self._due_plans[plan.id] = at_ms
            heapq.heappush(self._due_plans_by_time, (at_ms, plan.id))

    def _run_due(self) -> tuple[DueAction, ...]:
        due: list[DueAction] = []
        while (at_ms := self._next_plan_ms()) is not None and at_ms <= self.now_ms:
            _, name = heapq.heappop(self._due_plans_by_time)
            found = advance(self._plans[name], now_ms=self.now_ms)
            self._schedule(found.plan, found.next_ms)
            due += found.due
        return tuple(due)
