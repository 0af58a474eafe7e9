"""DecisionWriter: turns what rules and plans decided into rows: instructions, changed plans,
decisions, timers, and dead letters of what failed. Everything in the caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from msgspec.structs import replace

from control_plane.errors import Refused
from control_plane.histogram import Histogram
from data_sharing.decisions import (
    dead_letters,
    decision_records,
    history,
    loops,
    pause_tables,
    worker_tables,
)
from data_sharing.decisions.instruction_factory import InstructionFactory, cause_of
from data_sharing.decisions.plan_store import PlanStore
from data_sharing.decisions.write_batch import WriteBatch
from data_sharing.event import Event
from data_sharing.feeds.backlog import FeedName, FeedNames
from data_sharing.instruction import Cause
from data_sharing.plans.changes import apply
from data_sharing.plans.due_actions import DueAction
from data_sharing.plans.plan import EventPlan
from data_sharing.rules.effects import Effect, PlanChange
from data_sharing.rules.results import (
    EvaluationResult,
    ParkingChangeKind,
    RuleOutcome,
    RuleVerdict,
    Timer,
)
from data_sharing.rules.rule_health import ParkingScope

EVENT_SECONDS = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0)
"""Of deciding one event: few, as each feed has them."""
_TO_DEAD_LETTERS = (
    RuleVerdict.ERROR, RuleVerdict.PARKED, RuleVerdict.LOOP, RuleVerdict.FULL,
)  # fmt: skip
_HELD_BACK = (RuleVerdict.QUIET_HOURS, RuleVerdict.DEFERRED, RuleVerdict.LIMITED)
_LOST = (
    f"rule {{rule}} is paused, and {pause_tables.MOST_WAITING:,} events wait for it already, as "
    "many as may; this one is a dead letter: `homeport dlq redrive` once the rule is resumed"
)


class DecisionCounts:
    """What a process decided, transactions that were undone and repeated included."""

    __slots__ = (
        "ahead",
        "decided",
        "evicted",
        "failed",
        "feed_names",
        "feeds",
        "fired",
        "full",
        "group_seconds",
        "late",
        "late_seconds",
        "loops",
        "parking",
    )

    def __init__(self) -> None:
        self.decided = 0  # events
        self.fired = 0  # times that a rule did
        self.failed = 0  # times that a rule did on an event, or was parked
        self.evicted: Counter[tuple[str, str]] = Counter()  # events, by tenant and rule
        self.late: Counter[tuple[str, str]] = Counter()  # that came too late; likewise
        self.ahead: Counter[tuple[str, str]] = Counter()  # too far ahead of the clock; likewise
        self.loops: Counter[tuple[str, str]] = Counter()  # that were cut; likewise
        # Events that there was no room for, by tenant and rule, or `forecast NAME`.
        self.full: Counter[tuple[str, str]] = Counter()
        self.feed_names = FeedNames()
        self.feeds: dict[FeedName, Histogram] = {}  # deciding one event each
        self.group_seconds = Histogram()  # deciding the events of one transaction
        self.late_seconds = Histogram()  # of timers and due actions of plans
        # How often a scope of a rule was parked or retried, by tenant and rule.
        self.parking: Counter[tuple[str, str, ParkingChangeKind, ParkingScope]] = Counter()

    def time_event(self, tenant: str, feed: str, seconds: float) -> None:
        """All rules were asked about an event of a feed; how long that took."""
        name = self.feed_names.name_of(tenant, feed)
        histogram = self.feeds.get(name)
        if histogram is None:
            histogram = self.feeds[name] = Histogram(EVENT_SECONDS)
        histogram.observe(seconds)

    def add_parking(self, tenant: str, decided: EvaluationResult) -> None:
        for rule, kind, scope in decided.parking:
            self.parking[tenant, rule, kind, scope] += 1


class DecisionWriter:
    """Rows that many decisions have alike gather in a WriteBatch; the rest is written at once."""

    def __init__(
        self, plans: PlanStore, instructions: InstructionFactory, counts: DecisionCounts
    ) -> None:
        self._plans = plans
        self._instructions = instructions
        self._counts = counts

    def event(
        self,
        db: sqlite3.Connection,
        batch: WriteBatch,
        event: Event,
        decided: EvaluationResult,
        now_ms: int,
        trace: str = "",
    ) -> EvaluationResult:
        """What came of an event. trace: which instructions are of. The same, told in full."""
        decided = self._looped(db, event.tenant, decided)
        cause = Cause(event.source, event.id, event.type, event.position)
        tenant = event.tenant
        instruction_ids = self._effects(
            db, batch, decided.effects, now_ms, cause, trace, decided.outcomes
        )
        lost: set[str] = set()
        for outcome in decided.outcomes:
            if outcome.verdict is RuleVerdict.FIRED:
                self._fired(batch, tenant, outcome, instruction_ids, now_ms, event.position, cause)
            elif outcome.verdict in _TO_DEAD_LETTERS or outcome.dead_letter:
                self._failed(db, tenant, outcome, [cause], now_ms)
                if outcome.verdict is RuleVerdict.FULL:
                    self._counts.full[tenant, outcome.rule] += 1
            elif outcome.verdict is RuleVerdict.PAUSED and not self._waits(
                db, tenant, outcome, cause, now_ms
            ):
                lost.add(outcome.rule)
        for rule, count in decided.evicted:
            self._counts.evicted[tenant, rule] += count
        for forecast in decided.full:
            self._counts.full[tenant, f"forecast {forecast}"] += 1
        for rule in decided.late:
            self._counts.late[tenant, rule] += 1
        for rule in decided.ahead:
            self._counts.ahead[tenant, rule] += 1
        self._counts.add_parking(tenant, decided)
        _store_timers(db, decided)
        return _not_waiting(decided, lost) if lost else decided

    def _looped(
        self, db: sqlite3.Connection, tenant: str, decided: EvaluationResult
    ) -> EvaluationResult:
        """Where a loop was cut, with the rules in it."""
        for rule in decided.loops:
            self._counts.loops[tenant, rule] += 1
        return loops.told(db, tenant, decided) if decided.loops else decided

    def timer(
        self,
        db: sqlite3.Connection,
        batch: WriteBatch,
        timer: Timer,
        decided: EvaluationResult,
        *,
        at_ms: int,
        now_ms: int,
    ) -> None:
        """What came of a rule's timer. at_ms: when it counts as having come; now_ms: when it
        was noticed."""
        decided = self._looped(db, timer.tenant, decided)
        instruction_ids = self._effects(
            db, batch, decided.effects, at_ms, None, outcomes=decided.outcomes
        )
        for outcome in decided.outcomes:
            late_ms = max(0, now_ms - timer.due_ms)
            if outcome.verdict is RuleVerdict.FIRED:
                decision_id = self._fired(
                    batch, timer.tenant, outcome, instruction_ids, at_ms, 0, None, late_ms=late_ms
                )
                history.put_timer_judgements(
                    db, decision_id, at_ms, decided.outcomes, decided.shadow
                )
            elif outcome.verdict in _HELD_BACK:  # no event tells of it
                held = decision_records.rule_held_back(
                    timer.tenant, outcome, now_ms=at_ms, late_ms=late_ms
                )
                batch.decisions.append(held)
                history.put_timer_judgements(db, held.id, at_ms, decided.outcomes, decided.shadow)
            elif outcome.verdict in (RuleVerdict.ERROR, RuleVerdict.LOOP):
                self._failed(db, timer.tenant, outcome, map(cause_of, outcome.events), at_ms)
            elif outcome.verdict is RuleVerdict.PAUSED:
                pause_tables.add_timer(db, outcome.rule, timer)
        self._counts.add_parking(timer.tenant, decided)
        _store_timers(db, decided)

    def action(
        self,
        db: sqlite3.Connection,
        batch: WriteBatch,
        plan: EventPlan,
        due: DueAction,
        now_ms: int,
    ) -> None:
        """An action of a plan fell due, or is too late to be wanted."""
        if due.skipped:
            batch.decisions.append(decision_records.action_due(due, None, now_ms))
            return
        new = self._instructions.of_plan(db, plan, due, now_ms)
        batch.instructions.append(new)
        batch.decisions.append(decision_records.action_due(due, new.instruction, now_ms))

    def _effects(
        self,
        db: sqlite3.Connection,
        batch: WriteBatch,
        effects: Sequence[Effect],
        now_ms: int,
        cause: Cause | None,
        trace: str = "",
        outcomes: Sequence[RuleOutcome] = (),
    ) -> dict[str, str]:
        """Carries them out; ids of instructions by those of their effects. outcomes: that they are
        of."""
        instruction_ids: dict[str, str] = {}
        ordered_by = {each.effect.id: one for one in outcomes for each in one.effects}
        for effect in effects:
            if isinstance(effect, PlanChange):
                self._change_plan(db, effect, now_ms, cause)
                continue
            names = [(one.source, one.id) for one in effect.cause.events]
            origins = self._instructions.origins(db, effect.tenant, names, cause)
            outcome = ordered_by[effect.id]
            decision = decision_records.rule_decision_id(
                effect.tenant, outcome, now_ms=now_ms, cause=cause,
                position=0 if cause is None else cause.position,
            )  # fmt: skip
            new = self._instructions.of_effect(
                effect, now_ms, trace, caused_by=origins, decision=decision
            )
            if new.needs_approval:
                new = new._replace(read=outcome.read)
            batch.instructions.append(new)
            instruction_ids[effect.id] = new.instruction.id
        return instruction_ids

    def _change_plan(
        self, db: sqlite3.Connection, effect: PlanChange, now_ms: int, cause: Cause | None
    ) -> None:
        plan = self._plans.get(effect.tenant, effect.plan_id)
        if plan is None or plan.cancelled:
            return
        try:
            changed = apply(plan, effect, now_ms=now_ms)
        except Refused as error:  # a plan has bounds
            causes = [cause] if cause is not None else map(cause_of, effect.cause.events)
            for event in causes:
                dead_letters.put_event(
                    db, effect.tenant, event, rule=effect.cause.rule,
                    rule_version=effect.cause.rule_version, reason=error.message, now_ms=now_ms,
                )  # fmt: skip
            return
        if changed.record is not None:
            self._plans.put(changed.plan, changed.record, now_ms=now_ms)

    def _fired(
        self,
        batch: WriteBatch,
        tenant: str,
        outcome: RuleOutcome,
        instruction_ids: dict[str, str],
        now_ms: int,
        position: int,
        cause: Cause | None,
        late_ms: int = 0,
    ) -> str:
        """The decision's id."""
        self._counts.fired += 1
        decision = decision_records.rule_fired(
            tenant, outcome, instruction_ids, now_ms=now_ms, position=position, cause=cause,
            late_ms=late_ms,
        )  # fmt: skip
        batch.decisions.append(decision)
        return decision.id

    def _waits(
        self, db: sqlite3.Connection, tenant: str, outcome: RuleOutcome, cause: Cause, now_ms: int
    ) -> bool:
        """An event of a paused rule waits; where too many do already, it is a dead letter."""
        waits = pause_tables.add_event(db, tenant, outcome.rule, cause.position, now_ms)
        if not waits:
            full = f"{pause_tables.MOST_WAITING:,} events wait for it already"
            self._failed(db, tenant, replace(outcome, detail=full), [cause], now_ms)
        return waits

    def _failed(
        self,
        db: sqlite3.Connection,
        tenant: str,
        outcome: RuleOutcome,
        causes: Iterable[Cause],
        now_ms: int,
    ) -> None:
        self._counts.failed += 1
        for cause in causes:
            dead_letters.put_event(
                db, tenant, cause, rule=outcome.rule, rule_version=outcome.version,
                reason=f"{outcome.verdict.value}: {outcome.detail}", now_ms=now_ms,
            )  # fmt: skip


def _not_waiting(decided: EvaluationResult, rules: Collection[str]) -> EvaluationResult:
    """The same, told of an event that does not wait for these paused rules, in either version."""

    def told(outcomes: Sequence[RuleOutcome]) -> tuple[RuleOutcome, ...]:
        return tuple(
            replace(one, detail=_LOST.format(rule=one.rule))
            if one.verdict is RuleVerdict.PAUSED and one.rule in rules
            else one
            for one in outcomes
        )

    return replace(decided, outcomes=told(decided.outcomes), shadow=told(decided.shadow))


def _store_timers(db: sqlite3.Connection, decided: EvaluationResult) -> None:
    if decided.dropped:
        worker_tables.drop_timers(db, decided.dropped)
    if decided.timers:
        worker_tables.set_timers(db, decided.timers)
