"""Backtest: what rules would have done with events that are past, beside what those in force
do with the same ones. Pure; it keeps counts and a few examples, however many events there are.

Both sides are decided anew from the same start, event by event at the time it was accepted, so
that what differs is due to the rules alone: not to when they were applied, nor to what users
did meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from data_sharing.event import Event
from data_sharing.management.simulator import SimulatedStep, Simulator
from data_sharing.plans.plan import EventPlan
from data_sharing.rules.effects import EventRef
from data_sharing.rules.results import EffectStatus, RuleOutcome, RuleVerdict, effect_text
from data_sharing.rules.ruleset import RuleSet

EXAMPLES = 10  # kept of each kind
MINUTE_MS = 60_000


class RuleFiring(NamedTuple):
    """A rule that fired, once."""

    rule: str
    at_ms: int
    cause: str  # id of the event, or of the timer
    key: str
    plan_id: str  # empty: no plan was looked at
    events: tuple[EventRef, ...]  # that took part
    effects: tuple[str, ...]  # for people; with what became of each

    @property
    def identity(self) -> tuple[Hashable, ...]:
        """The same on both sides, where both fired."""
        return self.rule, self.cause, self.key, self.plan_id, self.events


@dataclass(slots=True)
class RuleCounts:
    """How one rule fared."""

    verdicts: Counter[RuleVerdict] = field(default_factory=Counter)
    statuses: Counter[EffectStatus] = field(default_factory=Counter)  # of its effects
    examples: list[RuleFiring] = field(default_factory=list)  # the first that it fired
    failures: list[str] = field(default_factory=list)  # the first things that went wrong

    def add(self, outcome: RuleOutcome, firing: RuleFiring | None) -> None:
        self.verdicts[outcome.verdict] += 1
        if firing is not None:
            self.statuses.update(effect.status for effect in outcome.effects)
            if len(self.examples) < EXAMPLES:
                self.examples.append(firing)
        failed = outcome.verdict is RuleVerdict.ERROR  # what is parked had failed before
        if failed and len(self.failures) < EXAMPLES and outcome.detail not in self.failures:
            self.failures.append(outcome.detail)


@dataclass(slots=True)
class Differences:
    """What one side did and the other did not."""

    count: int = 0
    examples: list[tuple[RuleFiring | None, RuleFiring | None]] = field(default_factory=list)

    def add(self, proposed: RuleFiring | None, in_force: RuleFiring | None) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append((proposed, in_force))


class BacktestSide:
    """One set of rules, its simulator and how each rule fared."""

    def __init__(self, rules: RuleSet, plans: Sequence[EventPlan], start_ms: int) -> None:
        self.counts_by_rule: dict[str, RuleCounts] = {}
        self.actions = Counter[str]()  # "run" and "skipped", of plans
        self.fired = 0
        self.fired_by_minute = Counter[int]()  # minutes since 1970
        self._simulator = Simulator(rules, plans, start_ms)

    def advance_to(self, until_ms: int) -> Iterator[RuleFiring]:
        """What fires by timers until then."""
        while (one := self._simulator.next(until_ms, until_ms)) is not None:
            yield from self._count(one)

    def add_event(self, event: Event, now_ms: int) -> Iterator[RuleFiring]:
        """What fires by an event."""
        yield from self._count(self._simulator.event(event, now_ms))

    def _count(self, tried: SimulatedStep) -> Iterator[RuleFiring]:
        for action in tried.actions:
            self.actions["skipped" if action.skipped else "run"] += 1
        for outcome in tried.outcomes:
            firing: RuleFiring | None = None
            if outcome.verdict is RuleVerdict.FIRED:
                self.fired += 1
                self.fired_by_minute[tried.at_ms // MINUTE_MS] += 1
                firing = RuleFiring(
                    rule=outcome.rule,
                    at_ms=tried.at_ms,
                    cause=tried.event,
                    key=outcome.key,
                    plan_id=outcome.plan_id,
                    events=outcome.events,
                    effects=tuple(effect_text(effect) for effect in outcome.effects),
                )
                yield firing
            self.counts_by_rule.setdefault(outcome.rule, RuleCounts()).add(outcome, firing)


class Backtest:
    """proposed, in_force: everything that would decide, and that does. plans: as they were
    planned, for each side to change."""

    def __init__(
        self,
        proposed: RuleSet,
        in_force: RuleSet,
        plans: Sequence[EventPlan] = (),
        *,
        start_ms: int,
    ) -> None:
        self.proposed = BacktestSide(proposed, plans, start_ms)
        self.in_force = BacktestSide(in_force, plans, start_ms)
        self.events = 0
        self.first_ms = self.last_ms = start_ms
        self.added = Differences()  # only the proposed rules fire
        self.gone = Differences()  # only those in force do
        self.changed = Differences()  # both fire, and do something else

    def add_event(self, event: Event, accepted_ms: int) -> None:
        """The next event of the log."""
        self.advance_to(accepted_ms)
        self._compare(
            self.proposed.add_event(event, accepted_ms), self.in_force.add_event(event, accepted_ms)
        )
        self.first_ms = self.first_ms if self.events else accepted_ms
        self.events += 1

    def advance_to(self, until_ms: int) -> None:
        """No event came until then; nothing is known of what comes after the last one."""
        self.last_ms = max(self.last_ms, until_ms)
        self._compare(self.proposed.advance_to(until_ms), self.in_force.advance_to(until_ms))

    def _compare(self, proposed: Iterator[RuleFiring], in_force: Iterator[RuleFiring]) -> None:
        ours = {one.identity: one for one in proposed}
        theirs = {one.identity: one for one in in_force}
        for identity, firing in ours.items():
            other = theirs.pop(identity, None)
            if other is None:
                self.added.add(firing, None)
            elif other.effects != firing.effects:
                self.changed.add(firing, other)
        for firing in theirs.values():
            self.gone.add(None, firing)
