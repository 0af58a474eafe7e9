"""Evaluation of one rule at one key, for one event or one timer that was due.

Changes the rule's cell and returns its results; effects are computed but not resolved against other
rules', which is `effect_builder.resolve_effects`'s. Nothing here raises: what fails is an outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from control_plane.expressions.expression import Fault
from control_plane.printable import quoted
from data_sharing.forecasts.forecast import is_number
from data_sharing.forecasts.spec import shown as duration_text
from data_sharing.rules.cell_cache import JoinState, RuleCell, StoredEvent, stored_event
from data_sharing.rules.compiled import CompiledRule, FedWindow, Input
from data_sharing.rules.condition_evaluator import ConditionEvaluator
from data_sharing.rules.effects import EventRef
from data_sharing.rules.evaluation_context import (
    EvaluationContext,
    RuleResult,
    refs_of,
    rule_result,
)
from data_sharing.rules.joins import MOST_COMBINATIONS, Combination
from data_sharing.rules.kept_parts import kept_parts
from data_sharing.rules.results import KeptPart, RuleVerdict, Timer
from data_sharing.rules.rule_state_store import RuleStateStore
from data_sharing.rules.sequence_evaluation import SequenceEvaluation
from data_sharing.rules.windows import shown


def on_event(
    context: EvaluationContext,
    rule: CompiledRule,
    windows: Sequence[FedWindow],
    inputs: Sequence[Input],
) -> list[RuleResult]:
    """windows and inputs: of the rule, those that the index says the event can concern."""
    evaluation = _RuleEvaluation(context, rule)
    event = context.event
    assert event is not None
    if rule.max_age_ms and context.now_ms - event.time_ms > rule.max_age_ms:
        return [rule_result(context, rule, RuleVerdict.TOO_OLD)] if inputs else []
    for fed in windows:
        failure = evaluation.add_to_window(fed)
        if failure is not None:
            return [failure]
    found: list[RuleResult] = []
    if rule.pattern is not None:
        found += evaluation.accept_in_sequence(inputs)
    else:
        for one in inputs:
            found += evaluation.accept(one)
    return evaluation.with_kept(evaluation.with_notes(found))


def on_timer(context: EvaluationContext, rule: CompiledRule, timer: Timer) -> list[RuleResult]:
    """Empty where the timer no longer means anything."""
    evaluation = _RuleEvaluation(context, rule)
    found = {
        "window": evaluation.window_end,
        "debounce": evaluation.conditions.fire_debounced,
        "deferred": evaluation.conditions.fire_deferred,
        "absent": evaluation.stayed_absent,
        "sequence": evaluation.stayed_absent_after,
    }.get(timer.kind, lambda _: [])(timer)
    return evaluation.with_kept(found)


class _RuleEvaluation:
    """One rule within one evaluation context."""

    def __init__(self, context: EvaluationContext, rule: CompiledRule) -> None:
        self._context, self._rule = context, rule
        self._states = RuleStateStore(context, rule)
        self._evictions: dict[str, int] = {}  # by key: ever
        self._notes: dict[str, str] = {}  # by key: what is to be said of the event's time
        self.conditions = ConditionEvaluator(context, rule, self._states)

    def add_to_window(self, fed: FedWindow) -> RuleResult | None:
        """Puts the event into a window. Returns a failure, or that it came too late."""
        context, rule, window = self._context, self._rule, fed.window
        event = context.event
        assert event is not None
        if fed.where is not None:
            counts = context.of_event(fed.where)
            if isinstance(counts, Fault) and not counts.missing:
                return self._not_fed(fed, f"where: {counts.message}")
            if counts is not True:
                return None
        value = None
        if fed.value is not None:
            value = context.of_event(fed.value)
            if isinstance(value, Fault):
                if value.missing:
                    return None
                return self._not_fed(fed, f"value: {value.message}")
            if not is_number(value):
                return self._not_fed(fed, "value: no number")
        key = context.of_event(fed.key)
        if not isinstance(key, str):
            return None
        cell = self._states.get(key)
        refused = self._late(key, cell) or self._states.full(cell, key)
        if refused is not None:
            return refused
        state = self._states.window(cell, fed)
        start = window.start(event.time_ms) if window.every_ms else 0
        opens = bool(window.every_ms) and start not in state.open
        number = None if value is None else float(value)
        evicted = window.add(state, event.time_ms, number, event.hops)
        if evicted < 0:
            return self._too_late(key, cell, "its window had ended")
        self._evict(cell, key, evicted)
        if opens and rule.spec.at_end_of == window.name:
            due_ms = start + window.every_ms + rule.late_ms
            context.set_timer(Timer(rule.tenant, rule.state, "window", key, str(start), due_ms))
        self._states.save(cell, key, event.time_ms)
        return None

    def _not_fed(self, fed: FedWindow, what: str) -> RuleResult:
        """An event could not be put into a window, at the key that it would have had there."""
        key = self._context.of_event(fed.key)
        failure = self._result(
            RuleVerdict.ERROR,
            f"windows.{fed.window.name}.{what}",
            key=key if isinstance(key, str) else "",
        )
        return replace(failure, feeding=True)

    def window_end(self, timer: Timer) -> list[RuleResult]:
        fed = self._rule.windows.get(self._rule.spec.at_end_of or "")
        cell = self._states.get(timer.key)
        state = None if fed is None else cell.windows.get(fed.window.name)
        if fed is None or state is None or state.shape != fed.window.shape:
            return []
        start = int(timer.token)
        total = fed.window.close(state, start)
        self._states.save(cell, timer.key, cell.newest_ms)
        if total is None:
            return []
        self._context.hops = total.hops
        end_ms = start + fed.window.every_ms
        ended = {fed.window.name: shown(total, start, end_ms)}
        return self.conditions.evaluate(timer.key, cell, {}, end_ms - 1, ended=ended, timer=timer)

    # Events and joins

    def accept(self, one: Input) -> list[RuleResult]:
        """The event as an input of the rule."""
        rule, event = self._rule, self._context.event
        assert event is not None
        key = self._key_of(one)
        if not isinstance(key, str):
            return key
        if not rule.stateful:
            return self.conditions.evaluate(key, None, {one.name: [event]}, event.time_ms)
        cell = self._states.get(key)
        if rule.windows or rule.join:
            late = self._late(key, cell)
            if late is not None:
                return [late]
        if rule.join is None:
            return self.conditions.evaluate(key, cell, {one.name: [event]}, event.time_ms)
        full = self._states.full(cell, key)
        if full is not None:
            return [full]
        self._states.save(cell, key, event.time_ms)
        return self._join(one, key, cell, stored_event(event))

    def accept_in_sequence(self, inputs: Sequence[Input]) -> list[RuleResult]:
        """The event as inputs of a sequence, which takes it once however many watch its feed."""
        found: list[RuleResult] = []
        names: dict[str, list[str]] = {}
        for one in inputs:
            key = self._key_of(one)
            if isinstance(key, str):
                names.setdefault(key, []).append(one.name)
            else:
                found += key
        for key, those in names.items():
            cell = self._states.get(key)
            known = bool(cell.expires_ms)  # one that is not is looked at where a match begins
            refused = self._late(key, cell) or (self._states.full(cell, key) if known else None)
            found += self._sequence().accept(key, cell, those) if refused is None else [refused]
        return found

    def _sequence(self) -> SequenceEvaluation:
        return SequenceEvaluation(
            self._context, self._rule, self._states, self.conditions, self._evict, self._too_late
        )

    def stayed_absent_after(self, timer: Timer) -> list[RuleResult]:
        return [] if self._rule.pattern is None else self._sequence().stayed_absent(timer)

    def _key_of(self, one: Input) -> str | list[RuleResult]:
        """At which key the event is one of that input; what there is to say where it is none."""
        context, rule = self._context, self._rule
        event = context.event
        assert event is not None
        key = context.of_event(one.key)
        if not isinstance(key, str):
            if isinstance(key, Fault) and not key.missing:
                return [self._result(RuleVerdict.ERROR, f"key: {key.message}")]
            what = key.message if isinstance(key, Fault) else f"{quoted(key)} is no text"
            return [self._result(RuleVerdict.NO_KEY, what)]
        if one.where is not None:
            counts = context.of_event(one.where)
            if counts is not True:
                return self._not_counted(one, key, counts)
        if one.own is not None:
            seen = rule.views[one.name, one.feed].of(event)
            counts = one.own.holds(rule.environment.bind({one.name: seen}))
            if counts is not True:
                return self._not_counted(one, key, counts)
        return key

    def _not_counted(self, one: Input, key: str, counts: Any) -> list[RuleResult]:
        if isinstance(counts, Fault):
            verdict = RuleVerdict.NOT_MATCHED if counts.missing else RuleVerdict.ERROR
            return [self._result(verdict, f"{one.name} does not count: {counts.message}", key=key)]
        detail = f"{one.name} does not count: what is asked of it alone is false"
        return [self._result(RuleVerdict.NOT_MATCHED, detail, key=key)]

    def _join(self, one: Input, key: str, cell: RuleCell, event: StoredEvent) -> list[RuleResult]:
        context, rule, join = self._context, self._rule, self._rule.join
        assert join is not None
        if cell.join is None or cell.join.shape != join.shape:
            cell.join = JoinState(join.shape)
        state = cell.join
        join.prune(state, cell.newest_ms, rule.late_ms)
        self._evict(cell, key, join.add(state, one.name, event))
        if one.absent:
            stopped = join.stop_awaiting(state, event)
            for each in stopped:
                context.drop_timer(self._absence_timer(key, each.due_ms, each.events))
            detail = f"{one.name} came: {len(stopped)} that awaited its absence will not fire"
            return [self._result(RuleVerdict.NOT_MATCHED, detail, key=key)] if stopped else []
        found: list[RuleResult] = []
        tried = 0
        used: set[tuple[str, str]] = set()
        for combination in join.combinations(state, one.name, event):
            parts = [part for events in combination.values() for part in events]
            if join.consume == "continuous" and used & {(p.source, p.id) for p in parts[1:]}:
                continue
            tried += 1
            if tried > MOST_COMBINATIONS:
                detail = f"more than {MOST_COMBINATIONS} combinations; the others were left out"
                found.append(self._result(RuleVerdict.WAITING, detail, key=key))
                break
            if join.absent:
                found += self._await_absence(key, cell, combination)
                if join.consume != "unrestricted":
                    break
                continue
            judged = self.conditions.evaluate(key, cell, combination, event.time_ms)
            found += judged
            if any(each.outcome.consumed for each in judged):
                used |= {(part.source, part.id) for part in parts if part is not event}
                if join.consume != "continuous":
                    break
        if used:
            used_up = [
                kept_one
                for kept_ones in state.buffers.values()
                for kept_one in kept_ones
                if (kept_one.source, kept_one.id) in used or kept_one is event
            ]
            join.remove(state, tuple(used_up))
        if not found:
            missing = join.missing(state)
            detail = f"waits for {', '.join(missing)}" if missing else "nothing near enough in time"
            found.append(self._result(RuleVerdict.WAITING, detail, key=key))
        return found

    def _await_absence(
        self, key: str, cell: RuleCell, combination: Combination
    ) -> list[RuleResult]:
        rule, join, state = self._rule, self._rule.join, cell.join
        assert join is not None
        assert state is not None
        refs = refs_of(combination)
        what = " and ".join(join.absent)
        due_ms = join.await_absence(state, combination, rule.late_ms)
        if due_ms is None:
            detail = f"{what} had come already"
            return [self._result(RuleVerdict.NOT_MATCHED, detail, key=key, events=refs)]
        if len(state.awaiting) > join.keep:
            first = state.awaiting.pop(0)
            self._evict(cell, key, 1)
            self._context.drop_timer(self._absence_timer(key, first.due_ms, first.events))
        self._context.set_timer(self._absence_timer(key, due_ms, combination))
        consumed = join.remove(state, join.consumes(combination))
        detail = f"fires unless {what} comes"
        return [
            self._result(RuleVerdict.WAITING, detail, key=key, events=refs, consumed=consumed)
        ]  # fmt: skip

    def _absence_timer(
        self, key: str, due_ms: int, events: Mapping[str, list[StoredEvent]]
    ) -> Timer:
        token = "|".join(f"{ref.source} {ref.id}" for ref in refs_of(events))
        return Timer(self._rule.tenant, self._rule.state, "absent", key, token, due_ms)

    def stayed_absent(self, timer: Timer) -> list[RuleResult]:
        cell, join = self._states.get(timer.key), self._rule.join
        if join is None or cell.join is None or cell.join.shape != join.shape:
            return []
        for one in cell.join.awaiting:
            if self._absence_timer(timer.key, one.due_ms, one.events).id == timer.id:
                cell.join.awaiting.remove(one)
                self._states.save(cell, timer.key, cell.newest_ms)
                at_ms = max(part.time_ms for events in one.events.values() for part in events)
                return self.conditions.evaluate(timer.key, cell, one.events, at_ms, timer=timer)
        return []

    def _evict(self, cell: RuleCell, key: str, count: int) -> None:
        """So many events had to make room."""
        if count:
            cell.evicted += count
            self._evictions[key] = cell.evicted
            evicted = self._context.evicted
            evicted[self._rule.id] = evicted.get(self._rule.id, 0) + count

    def with_kept(self, found: list[RuleResult]) -> list[RuleResult]:
        """Where explaining is asked for, with what the rule holds now at each outcome's key."""
        rule, event = self._rule, self._context.event
        if not self._context.explaining or not (rule.windows or rule.join):
            return found
        kept: dict[str, tuple[KeptPart, ...]] = {}
        for key in {one.outcome.key for one in found if one.outcome.key}:
            cell = self._states.get(key)
            at_ms = cell.newest_ms if event is None else event.time_ms
            kept[key] = kept_parts(rule, cell, at_ms)
        return [
            replace(one, outcome=replace(one.outcome, kept=kept.get(one.outcome.key, ())))
            for one in found
        ]

    def with_notes(self, found: list[RuleResult]) -> list[RuleResult]:
        """Says so where the rule, at an outcome's key, has just let go of older events, and where
        the event is late or far ahead."""
        if not (self._evictions or self._notes):
            return found
        return [self._with_notes(one) for one in found]

    def _with_notes(self, one: RuleResult) -> RuleResult:
        key = one.outcome.key
        ever = self._evictions.get(key)
        room = "" if ever is None else f"older events made room, {ever:,} so far at this key"
        said = [one.outcome.detail, room and f"{room} (`limit`, `keep`)", self._notes.get(key, "")]
        detail = "; ".join(filter(None, said))
        return replace(one, outcome=replace(one.outcome, detail=detail))

    def _late(self, key: str, cell: RuleCell) -> RuleResult | None:
        """None: the event is in time, or the rule decides late ones as well."""
        context, lateness = self._context, self._rule.lateness
        event = context.event
        assert event is not None
        if lateness.ahead_by(event.time_ms, context.now_ms):
            context.ahead[self._rule.id] = None
            ahead = duration_text(event.time_ms - context.now_ms)
            self._notes[key] = f"{ahead} ahead of the clock, so that it makes no other event late"
        late_ms = self._states.late_by(cell)
        if not late_ms:
            return None
        behind = duration_text(late_ms + lateness.allowed_ms)
        allowed = duration_text(lateness.allowed_ms)
        detail = f"{behind} older than the newest event of its key; {allowed} are allowed (`late`)"
        return self._too_late(key, cell, detail)

    def _too_late(self, key: str, cell: RuleCell, detail: str) -> RuleResult | None:
        if self._rule.id not in self._context.late:
            cell.late += 1
            self._context.late[self._rule.id] = None
            self._states.save(cell, key, cell.newest_ms)
        then = self._rule.lateness.then
        if then == "decide" or self._context.again:
            self._notes[key] = f"{detail}; decided by what is still kept"
            return None
        found = self._result(RuleVerdict.LATE, detail, key=key)
        kept = replace(found.outcome, dead_letter=then == "dead_letter")
        return replace(found, outcome=kept)

    def _result(
        self,
        verdict: RuleVerdict,
        detail: str = "",
        *,
        key: str = "",
        events: tuple[EventRef, ...] | None = None,
        consumed: tuple[EventRef, ...] = (),
    ) -> RuleResult:
        return rule_result(
            self._context, self._rule, verdict, detail, key=key, events=events, consumed=consumed
        )
