"""Trying: rules on sample events and plans, as deciding would be, keeping nothing. Pure.

The clock is the samples': timers and actions of plans come due between the events, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from control_plane.errors import InvalidInput
from data_sharing.event import Event
from data_sharing.plans.changing import apply
from data_sharing.plans.due import DueAction, advance
from data_sharing.plans.plan import EventPlan, created
from data_sharing.plans.spec import parse_plan
from data_sharing.plans.view import view
from data_sharing.rules.decided import Decided, RuleOutcome, Timer
from data_sharing.rules.effects import Effect, PlanChange, PlanView
from data_sharing.rules.ruleset import RuleSet
from data_sharing.rules.state import State

MOST_DUE = 1_000  # timers and actions of plans, all together
DAY_MS = 86_400_000
LONGEST_AFTER_MS = 31 * DAY_MS  # how long after the last event timers are still awaited


class Tried(NamedTuple):
    """What came of one sample event, of a timer, or of plans whose actions fell due."""

    event: str  # id of the event or timer; empty: actions alone
    at_ms: int  # by the samples' clock
    outcomes: tuple[RuleOutcome, ...] = ()
    effects: tuple[Effect, ...] = ()
    actions: tuple[DueAction, ...] = ()


KeyOf = Callable[[str, Mapping[str, Any]], str | None]  # of a feed and an event in JSON


def try_rules(
    rules: RuleSet,
    tenant: str,
    *,
    events: Sequence[Mapping[str, Any]],
    plans: Sequence[Mapping[str, Any]] = (),
    key_of: KeyOf = lambda feed, event: None,
) -> list[Tried]:
    """events: in the CloudEvents JSON format; `id` and `source` may be left out, and `key` says
    what it is about where `key_of` does not. Raises InvalidInput naming what is no event or plan.
    """
    samples: list[Event] = []
    for place, one in enumerate(events):
        after_ms = samples[-1].time_ms if samples else 0
        samples.append(_event(tenant, one, place, key_of, after_ms))
    start_ms = samples[0].time_ms if samples else 0
    made = [created(tenant, _plan(one, place), start_ms) for place, one in enumerate(plans)]
    trial = _Trial(rules, made, start_ms)
    for event in samples:
        trial.pass_to(event.time_ms)
        trial.event(event)
    last_ms = max(trial.now_ms, max((one.time_ms for one in samples), default=0))
    trial.pass_to(last_ms + LONGEST_AFTER_MS, plans_to_ms=last_ms + DAY_MS)
    return trial.tried


class _Trial:
    """A decision worker in memory: one state, some plans, some timers."""

    def __init__(self, rules: RuleSet, plans: Sequence[EventPlan], now_ms: int) -> None:
        self._rules = rules
        self._plans = {plan.id: plan for plan in plans}
        self._state = State(lambda cell: None)
        self._timers: dict[str, Timer] = {}
        self._left = MOST_DUE
        self.now_ms = now_ms
        self.tried: list[Tried] = []

    def of(self, tenant: str, key: str, named: str | None) -> Sequence[PlanView]:
        """The port that rules look for plans through."""
        return [
            view(plan, now_ms=self.now_ms)
            for _, plan in sorted(self._plans.items())
            if key in plan.keys and (named is None or plan.name == named)
        ]

    def event(self, event: Event) -> None:
        self.now_ms = max(self.now_ms, event.time_ms)
        decided = self._rules.decide(
            event,
            now_ms=self.now_ms,
            state=self._state,
            plans=self,
            explaining=True,
            whole=True,
        )
        self._take(event.id, decided)

    def pass_to(self, until_ms: int, *, plans_to_ms: int | None = None) -> None:
        """Timers of rules, and actions of plans, each at its time."""
        plans_to_ms = until_ms if plans_to_ms is None else plans_to_ms
        while self._left > 0:
            timer = min(self._timers.values(), key=lambda one: (one.due_ms, one.id), default=None)
            action_ms = self._next_action_ms()
            if action_ms is not None and action_ms > plans_to_ms:
                action_ms = None
            if timer is not None and (action_ms is None or timer.due_ms <= action_ms):
                if timer.due_ms > until_ms:
                    return
                del self._timers[timer.id]
                self.now_ms = max(self.now_ms, timer.due_ms)
                decided = self._rules.due(
                    timer, now_ms=self.now_ms, state=self._state, plans=self, explaining=True
                )
                self._take(timer.id, decided)
            elif action_ms is not None:
                self.now_ms = max(self.now_ms, action_ms)
                self.tried.append(Tried("", self.now_ms, actions=self._run_due()))
            else:
                return
            self._left -= 1

    def _take(self, name: str, decided: Decided) -> None:
        for effect in decided.effects:
            if isinstance(effect, PlanChange) and effect.plan_id in self._plans:
                plan = self._plans[effect.plan_id]
                self._plans[plan.id] = apply(plan, effect, now_ms=self.now_ms).plan
        for gone in decided.dropped:
            self._timers.pop(gone, None)
        self._timers.update({timer.id: timer for timer in decided.timers})
        self.tried.append(
            Tried(name, self.now_ms, decided.outcomes, decided.effects, self._run_due())
        )

    def _next_action_ms(self) -> int | None:
        waiting = [advance(plan, now_ms=self.now_ms).next_ms for plan in self._plans.values()]
        return min((one for one in waiting if one is not None), default=None)

    def _run_due(self) -> tuple[DueAction, ...]:
        due: list[DueAction] = []
        for name, plan in sorted(self._plans.items()):
            found = advance(plan, now_ms=self.now_ms)
            self._plans[name] = found.plan
            due += found.due
        return tuple(due)


def _plan(given: Mapping[str, Any], place: int) -> Any:
    try:
        return parse_plan(msgspec.json.encode(given).decode())
    except InvalidInput as error:
        field = f"plans[{place}].{error.field}"
        raise InvalidInput(field, f"plans[{place}]: {error.message}") from None


def _event(
    tenant: str, given: Mapping[str, Any], place: int, key_of: KeyOf, after_ms: int
) -> Event:
    """One without a time comes with the one before it."""
    field = f"events[{place}]"
    if not isinstance(given, Mapping):
        raise InvalidInput(field, f"{field}: must be a CloudEvent, a JSON object")
    data = given.get("data", {})
    if not isinstance(given.get("type"), str) or not isinstance(data, Mapping):
        raise InvalidInput(field, f"{field}: needs a type, and data: an object")
    time_ms = after_ms
    if "time" in given:
        try:
            moment = datetime.fromisoformat(str(given["time"]))
        except ValueError as error:
            raise InvalidInput(f"{field}.time", f"{field}.time: {error}") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        time_ms = round(moment.timestamp() * 1_000)
    subject = str(given.get("subject", ""))
    key = key_of(given["type"], given)
    return Event(
        tenant=tenant,
        source=str(given.get("source", "/samples")),
        id=str(given.get("id", place + 1)),
        type=given["type"],
        key=str(given.get("key", given.get("partitionkey", subject))) if key is None else key,
        time_ms=time_ms,
        data=dict(data),
        subject=subject,
        position=place + 1,
    )
