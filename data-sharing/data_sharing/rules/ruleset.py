"""RuleSet: all rules and forecasts in force, and the decision by them.

The same events in the same order, the same timers and the same clock give the same decisions and
ids, whether in one run or in several. So `now_ms` must be part of what is replayed: for an event
the time of its acceptance as the log has it, for a timer the later of when it was due and the
newest event decided before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Self

from data_sharing.event import Event
from data_sharing.forecasts.forecast import Forecast
from data_sharing.rules.asked_rules import asked, count_failures, decided, health_of, parked, paused
from data_sharing.rules.cell_cache import CellCache
from data_sharing.rules.compiled import CompiledForecast, CompiledRule
from data_sharing.rules.estimating import known_at, take_in
from data_sharing.rules.evaluation import on_timer
from data_sharing.rules.evaluation_context import EvaluationContext, Plans
from data_sharing.rules.feed_subscribers import (
    NOTHING,
    FeedSubscribers,
    Place,
    Subscriber,
    parts_of,
    place_of,
    places_of,
)
from data_sharing.rules.fields_read import feeds_of
from data_sharing.rules.index import Subscription
from data_sharing.rules.parking import parked_row
from data_sharing.rules.results import NO_RESULT, EvaluationResult, Timer
from data_sharing.rules.rollout import CANDIDATE
from data_sharing.rules.shown_decision import Seer, decided_shown
from data_sharing.sharing.audience import Audience
from data_sharing.sharing.consent import NO_CONSENTS, Consents
from data_sharing.sharing.policies import OPEN, Memory, SharingPolicies

MOST_HOPS = 16  # decisions that follow on one another, where nothing else is set


class RuleSet:
    """Immutable; `with_changes` makes the next one, sharing what did not change."""

    def __init__(
        self,
        rules: Iterable[CompiledRule] = (),
        forecasts: Iterable[CompiledForecast] = (),
        policies: SharingPolicies = OPEN,
        most_hops: int = MOST_HOPS,
    ) -> None:
        """policies: by which rules and forecasts are shown events. most_hops: decisions that may
        follow on one another."""
        self.policies = policies
        self.most_hops = most_hops
        self._rules: dict[tuple[str, str], CompiledRule] = {}
        self._states: dict[tuple[str, str], CompiledRule] = {}  # by tenant and their timers' name
        self._forecasts: dict[tuple[str, str], CompiledForecast] = {}
        self._feeds: dict[Place, FeedSubscribers] = {}
        # Of feeds that have a policy: who sees them, each in its own way.
        self._audiences: dict[tuple[str, str], tuple[Audience, ...]] = {}
        self._seals: dict[tuple[str, str], str] = {}
        self._shapes: dict[Memory, str] = {}  # of forecasts, as they are asked for
        self._seers: dict[tuple[str, str], Sequence[Seer]] = {}  # of feeds, likewise
        self._change(rules, forecasts, (), ())

    @property
    def rules(self) -> Mapping[tuple[str, str], CompiledRule]:
        """By tenant and id; the new version in a rollout by its slot."""
        return self._rules

    def versions(self, tenant: str, rule_id: str) -> list[CompiledRule]:
        """That decide: of a rule in a rollout two."""
        names = (rule_id, rule_id + CANDIDATE)
        return [self._rules[tenant, name] for name in names if (tenant, name) in self._rules]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What rules and forecasts can fail on, each with its place."""
        found = [warning for one in self._forecasts.values() for warning in one.warnings]
        return (*found, *(warning for one in self._rules.values() for warning in one.warnings))

    @property
    def forecasts(self) -> Mapping[tuple[str, str], CompiledForecast]:
        """By tenant and name."""
        return self._forecasts

    def alone(self, tenant: str, rule_id: str) -> Self:
        """The versions of one rule as they decide here: shown the same, and with forecasts to read,
        which they do not feed."""
        made = type(self)(self.versions(tenant, rule_id), (), self.policies, self.most_hops)
        made._forecasts, made._shapes = self._forecasts, self._shapes
        return made

    def resumed(self, tenant: str, rule_id: str) -> Self:
        """With all versions of that rule deciding."""
        return self.with_changes(
            replace(one, activation=replace(one.activation, paused=False))
            for one in self.versions(tenant, rule_id)
        )

    def with_changes(
        self,
        rules: Iterable[CompiledRule] = (),
        forecasts: Iterable[CompiledForecast] = (),
        retired: Iterable[tuple[str, str]] = (),
        ended: Iterable[tuple[str, str]] = (),
    ) -> Self:
        """These added or in place of older versions, those (tenant, slot) gone, and the forecasts
        `ended` by (tenant, name). What it costs grows with the changes; of other rules only names
        are copied."""
        made = self._copied()
        made._change(rules, forecasts, retired, ended)
        return made

    def with_policies(self, policies: SharingPolicies) -> Self:
        """Decides by these. What it costs grows with the rules of the feeds concerned."""
        changed = set(self.policies.changed(policies))
        rules = [
            rule
            for rule in self._rules.values()
            if any((rule.tenant, feed) in changed for feed in feeds_of(rule))
        ]
        forecasts = [
            one for one in self._forecasts.values() if (one.tenant, one.spec.feed) in changed
        ]
        made = self._copied()
        made._change(
            (), (), [(one.tenant, one.slot) for one in rules],
            [(one.tenant, one.spec.forecast) for one in forecasts],
        )  # fmt: skip
        made.policies = policies
        made._change(rules, forecasts, (), ())
        for memory in self.policies.reset_since(policies):
            rule = made._states.get((memory.tenant, memory.name))
            if memory.kind == "rule" and rule is not None:
                made._seal(rule)
        return made

    def _copied(self) -> Self:
        made = type(self).__new__(type(self))
        made.policies, made.most_hops = self.policies, self.most_hops
        made._rules, made._forecasts = self._rules.copy(), self._forecasts.copy()
        made._feeds, made._audiences = self._feeds.copy(), self._audiences.copy()
        made._seals, made._states = self._seals.copy(), self._states.copy()
        made._shapes, made._seers = {}, {}
        return made

    def _change(
        self,
        rules: Iterable[CompiledRule],
        forecasts: Iterable[CompiledForecast],
        retired: Iterable[tuple[str, str]],
        ended: Iterable[tuple[str, str]],
    ) -> None:
        old: list[CompiledRule] = []
        new = {(rule.tenant, rule.slot): rule for rule in rules}
        for name in dict.fromkeys((*retired, *new)):
            before = self._rules.pop(name, None)
            if before is not None:
                old.append(before)
                del self._states[before.tenant, before.state]
        self._rules |= new
        self._states |= {(rule.tenant, rule.state): rule for rule in new.values()}
        gone = dict.fromkeys(ended)
        estimates = {(one.tenant, one.spec.forecast): one for one in forecasts}
        feeds: set[Place] = set()  # whose forecasts are others
        for name in (*gone, *estimates):
            estimate = self._forecasts.pop(name, None)
            if estimate is not None:
                feeds.add(self._place(estimate))
        self._forecasts |= estimates
        feeds |= {self._place(one) for one in estimates.values()}
        self._index(old, list(new.values()))
        for place in feeds:
            estimated = [
                one
                for one in self._forecasts.values()
                if one.spec.feed == place[1] and self._place(one) == place
            ]
            estimated.sort(key=lambda one: one.spec.forecast)
            feed = self._feeds.get(place, NOTHING)
            self._keep(place, FeedSubscribers(feed.index, feed.subscribers, tuple(estimated)))

    def _place(self, one: CompiledForecast) -> Place:
        return place_of(self.policies, one.tenant, one.spec.feed, one.audience)

    def _index(self, old: Iterable[CompiledRule], new: Iterable[CompiledRule]) -> None:
        removed: dict[Place, list[CompiledRule]] = defaultdict(list)
        added: dict[Place, list[Subscriber]] = defaultdict(list)
        for rule in old:
            self._seals.pop((rule.tenant, rule.slot), None)
            for place in places_of(self.policies, rule):
                removed[place].append(rule)
        for rule in new:
            self._seal(rule)
            for number, part in enumerate(parts_of(rule)):
                place = place_of(self.policies, rule.tenant, part.feed, rule.audience)
                added[place].append(Subscriber(rule, part, number))
        for place in removed.keys() | added.keys():
            feed = self._feeds.get(place, NOTHING)
            subscribers = dict(feed.subscribers)
            gone = [one for rule in removed[place] for one in subscribers.pop(rule.slot)]
            for each in added[place]:
                slot = each.rule.slot
                subscribers[slot] = (*subscribers.get(slot, ()), each)
            index = feed.index.with_changes(
                (Subscription(each, each.part.conjuncts) for each in added[place]), gone
            )
            self._keep(place, FeedSubscribers(index, subscribers, feed.forecasts))

    def _seal(self, rule: CompiledRule) -> None:
        memory = Memory(rule.tenant, "rule", rule.state)
        seal = self.policies.seal(memory, feeds_of(rule), rule.audience)
        self._seals.pop((rule.tenant, rule.slot), None)
        if seal:
            self._seals[rule.tenant, rule.slot] = seal

    def _keep(self, place: Place, feed: FeedSubscribers) -> None:
        if feed.empty:
            self._feeds.pop(place, None)
        else:
            self._feeds[place] = feed
        tenant, name, audience = place
        if audience is None:
            return
        others = [one for one in self._audiences.get((tenant, name), ()) if one != audience]
        those = tuple(others if feed.empty else (*others, audience))
        if those:
            self._audiences[tenant, name] = those
        else:
            self._audiences.pop((tenant, name), None)

    def decide(
        self,
        event: Event,
        *,
        now_ms: int,
        state: CellCache,
        plans: Plans,
        explaining: bool = False,
        whole: bool = False,
        consents: Consents = NO_CONSENTS,
        again: bool = False,
    ) -> EvaluationResult:
        """What follows from an event. With `explaining`, outcomes carry their clauses; with
        `whole`, rules are asked as well that the index leaves out: nothing else follows, but
        each says why it did not match. consents: that hold for the event. again: somebody asks
        for it, although it was late or is in a loop."""
        if (event.tenant, event.type) in self._audiences:
            make = partial(self._context, event, now_ms, state, plans, explaining, again)
            seers = self._seers_of(event.tenant, event.type)
            return decided_shown(event, seers, make, self.shape, whole=whole, consents=consents)
        feed = self._feeds.get((event.tenant, event.type, None))
        if feed is None:
            return NO_RESULT
        concerned = feed.index.touched(event)
        touched = feed.index.subscriptions if whole else concerned
        if not touched and not feed.forecasts:
            return NO_RESULT
        context = self._context(event, now_ms, state, plans, explaining, again)
        for one in feed.forecasts:
            take_in(one, self.shape(one), context)
        if not touched:
            return EvaluationResult(full=tuple(context.full)) if context.full else NO_RESULT
        left_out = feed.index.subscriptions.keys() - concerned if whole else set()
        return decided(asked(context, touched, left_out, {}), context)

    def seen_by(self, tenant: str, feed: str) -> list[tuple[Audience, FeedSubscribers]]:
        """Who sees a feed that has a policy, and all that reads it so; none where it has none."""
        audiences = self._audiences.get((tenant, feed), ())
        return [(one, self._feeds[tenant, feed, one]) for one in audiences]

    def _seers_of(self, tenant: str, name: str) -> Sequence[Seer]:
        """Who sees a feed that has a policy, each in its own way."""
        found = self._seers.get((tenant, name))
        if found is None:
            found = self._seers[tenant, name] = [
                Seer(self._feeds[tenant, name, audience], view)
                for audience in self._audiences[tenant, name]
                if (view := self.policies.view(tenant, name, audience)) is not None
            ]
        return found

    def due(
        self,
        timer: Timer,
        *,
        now_ms: int,
        state: CellCache,
        plans: Plans,
        explaining: bool = False,
        clock_ms: int = 0,
    ) -> EvaluationResult:
        """What follows from a timer. One that means nothing any more decides nothing; one of what
        is parked comes again when that is retried. clock_ms: when it was noticed, if that was
        later; hours of rules go by it."""
        rule = self._states.get((timer.tenant, timer.rule))
        if rule is None:
            return NO_RESULT
        context = self._context(None, now_ms, state, plans, explaining)
        context.clock_ms = max(now_ms, clock_ms)
        if rule.activation.paused:
            return EvaluationResult(outcomes=(paused(context, rule).outcome,))
        health = health_of(rule, state)
        if health.rows:
            row = parked_row(health, (timer.key,), "", now_ms)
            if row is not None:
                again = timer._replace(due_ms=row.retry_ms)
                return EvaluationResult(outcomes=(parked(rule, row, timer.key),), timers=(again,))
        found = on_timer(context, rule, timer)
        count_failures(context, rule, health, found)
        return decided(found, context, timer)

    def _context(
        self,
        event: Event | None,
        now_ms: int,
        state: CellCache,
        plans: Plans,
        explaining: bool,
        again: bool = False,
    ) -> EvaluationContext:
        def forecast_of(rule: CompiledRule, name: str, key: str) -> Forecast | None:
            one = self._forecasts.get((rule.tenant, name))
            if one is None or not self.may_tell(one, rule):
                return None
            return known_at(one, self.shape(one), key, now_ms, state)

        return EvaluationContext(
            event, now_ms, state, plans, explaining, forecast_of, self._seals, again,
            self.most_hops,
        )  # fmt: skip

    def may_tell(self, forecast: CompiledForecast, rule: CompiledRule) -> bool:
        """Whether the rule may read it: it is of a feed without a policy, or all whom the rule
        tells may know."""
        governed = self.policies.get(forecast.tenant, forecast.spec.feed)
        return governed is None or rule.audience.within(forecast.audience)

    def shape(self, one: CompiledForecast) -> str:
        """Of its state: of another way to estimate, or of other fields, it is another."""
        memory = Memory(one.tenant, "forecast", one.spec.forecast)
        found = self._shapes.get(memory)
        if found is None:
            seal = self.policies.seal(memory, (one.spec.feed,), one.audience)
            found = f"{one.method.shape}/{seal}" if seal else one.method.shape
            self._shapes[memory] = found
        return found

    def mark(self, memory: Memory) -> str | None:
        """What of a memory that is in force is alive has this: the seal of a rule's, the shape of a
        forecast's. None: it is not in force."""
        if memory.kind == "forecast":
            one = self._forecasts.get((memory.tenant, memory.name))
            return None if one is None else self.shape(one)
        rule = self._states.get((memory.tenant, memory.name))
        return None if rule is None else self._seals.get((rule.tenant, rule.slot), "")
