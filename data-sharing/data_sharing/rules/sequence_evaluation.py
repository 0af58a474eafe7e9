"""Evaluation of a sequence at one key: what an event does to partial matches, and what fires when
nothing came.

A match is complete when its last step's event has come and `when` holds of all of them; where
something must stay absent, `when` is asked once its time is over. Says of each event which step is
waited for, until when, and what has been seen. Nothing here raises.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from msgspec.structs import replace

from control_plane.expressions.expression import Fault
from control_plane.expressions.values import instant, time_text
from data_sharing.rules.cell_cache import (
    PartialMatch,
    RuleCell,
    SequenceState,
    StoredEvent,
    stored_event,
)
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.condition_evaluator import ConditionEvaluator
from data_sharing.rules.evaluation_context import (
    EvaluationContext,
    RuleResult,
    refs_of,
    rule_result,
)
from data_sharing.rules.patterns import Advance, Pattern, PatternPart
from data_sharing.rules.results import RuleVerdict, Timer
from data_sharing.rules.rule_state_store import RuleStateStore

_HELD = (
    RuleVerdict.FIRED,
    RuleVerdict.PENDING,
    RuleVerdict.COOLDOWN,
    RuleVerdict.LIMITED,
    RuleVerdict.QUIET_HOURS,
    RuleVerdict.DEFERRED,
    RuleVerdict.LOOP,
)  # `when` did hold


class SequenceEvaluation:
    """Of one rule within one evaluation context. evict(cell, key, count): so many made room.
    too_late(key, cell, why): what becomes of an event that is; None: it is decided all the same."""

    def __init__(
        self,
        context: EvaluationContext,
        rule: CompiledRule,
        states: RuleStateStore,
        conditions: ConditionEvaluator,
        evict: Callable[[RuleCell, str, int], None],
        too_late: Callable[[str, RuleCell, str], RuleResult | None],
    ) -> None:
        assert rule.pattern is not None
        self._context, self._rule, self._states = context, rule, states
        self._conditions, self._evict = conditions, evict
        self._too_late = too_late
        self._pattern: Pattern = rule.pattern
        self._errors: dict[str, str] = {}  # by place: conditions that failed
        self._key = ""

    def accept(self, key: str, cell: RuleCell, names: Collection[str]) -> list[RuleResult]:
        """The event has come as these inputs, and is not late."""
        self._key, self._errors = key, {}
        assert self._context.event is not None
        event, pattern, late_ms = (
            stored_event(self._context.event),
            self._pattern,
            self._rule.late_ms,
        )
        state = self._state(cell)
        if pattern.silence and event.time_ms < state.ended_ms:
            said = f"that nothing came before {_at(state.ended_ms)} was decided before it"
            late = self._too_late(key, cell, said)
            if late is not None:
                return [late]
        pattern.prune(state, cell.newest_ms, late_ms)
        advance = pattern.advance(state, names, event, late_ms, self._meets)
        for one in advance.ended:
            self._drop_timer(key, one)
        found, fired = self._complete(key, cell, state, advance, event)
        begun = None if fired else pattern.begin(state, names, event, late_ms, self._meets)
        if begun is not None and not cell.expires_ms:  # what is there was looked at before
            full = self._states.full(cell, key)
            if full is not None:
                return [full]
        waiting = [*advance.awaiting, *([begun] if begun is not None and begun.due_ms else [])]
        for one in waiting:
            self._context.set_timer(self._timer(key, one))
        gone = pattern.make_room(state)
        for one in gone:
            self._drop_timer(key, one)
        self._evict(cell, key, len(gone))
        if fired or begun or advance.moved or advance.awaiting or advance.ended:
            self._states.save(cell, key, event.time_ms)
        found += [
            self._result(RuleVerdict.ERROR, f"{place}: {said}", key=key)
            for place, said in self._errors.items()
        ]
        return found or [self._waits(key, state, advance, begun)]

    def _complete(
        self, key: str, cell: RuleCell, state: SequenceState, advance: Advance, event: StoredEvent
    ) -> tuple[list[RuleResult], bool]:
        """Asks `when` of what is complete, what began first first; whether one of them is over."""
        found: list[RuleResult] = []
        for match in advance.complete:
            judged = self._judge(key, cell, match, event.time_ms)
            found += judged
            if any(one.outcome.verdict in _HELD for one in judged):
                for one in self._pattern.skip_past(state, match):
                    self._drop_timer(key, one)
                return found, True
        return found, False

    def _judge(
        self, key: str, cell: RuleCell, match: PartialMatch, at_ms: int, timer: Timer | None = None
    ) -> list[RuleResult]:
        events = {name: [one] for name, one in match.events.items()}
        judged = self._conditions.evaluate(key, cell, events, at_ms, timer=timer)
        refs = refs_of(events)
        return [
            replace(one, outcome=replace(one.outcome, consumed=refs))
            if one.outcome.verdict in _HELD
            else one
            for one in judged
        ]

    def stayed_absent(self, timer: Timer) -> list[RuleResult]:
        """The time of a match is over, and nothing has ended it."""
        key, pattern = timer.key, self._pattern
        cell = self._states.get(key)
        state = cell.sequence
        if state is None or state.shape != pattern.shape:
            return []
        match = next(
            (one for one in state.partials if one.due_ms and self._timer(key, one).id == timer.id),
            None,
        )
        if match is None:
            return []
        state.partials.remove(match)
        if pattern.silence:
            state.ended_ms = max(state.ended_ms, match.until_ms)
        judged = self._judge(key, cell, match, match.until_ms, timer)
        if any(one.outcome.verdict in _HELD for one in judged):
            for one in pattern.skip_past(state, match):
                self._drop_timer(key, one)
        self._states.save(cell, key, cell.newest_ms)
        absent = [part.name for part in pattern.without[-1]] or [pattern.steps[0].name]
        said = f"no {' and no '.join(absent)} came before {_at(match.until_ms)}"
        said += f", which was to be decided at {_at(match.due_ms)}"
        return [self._with_detail(one, said) for one in judged]

    def _state(self, cell: RuleCell) -> SequenceState:
        if cell.sequence is None or cell.sequence.shape != self._pattern.shape:
            cell.sequence = SequenceState(self._pattern.shape)
        return cell.sequence

    def _meets(self, part: PatternPart, events: Mapping[str, StoredEvent]) -> bool:
        if part.condition is None:
            return True
        rule = self._rule
        values: dict[str, object] = {
            name: rule.views[name, one.type].of(one)
            for name, one in events.items()
            if name in part.reads
        }
        if "key" in part.reads:
            values["key"] = self._key
        said = part.condition.holds(rule.environment.bind(values))
        if isinstance(said, Fault):
            if not said.missing:
                self._errors.setdefault(part.place, said.message)
            return False
        return said

    def _waits(
        self,
        key: str,
        state: SequenceState,
        advance: Advance,
        begun: PartialMatch | None,
    ) -> RuleResult:
        """What the event has done, and what is waited for now."""
        said = [f"it ended {_many(len(advance.ended))}"] if advance.ended else []
        touched = [*advance.awaiting, *advance.moved, *([begun] if begun is not None else [])]
        if touched:
            said += [self._progress(one) for one in touched[:1]]
        elif state.partials and not advance.ended:
            said += ["no partial match takes it", self._progress(state.partials[0])]
        elif not state.partials:
            said.append(
                f"no partial match is open; {self._wanted(self._pattern.steps[0])} begins one"
            )
        verdict = RuleVerdict.WAITING if touched else RuleVerdict.NOT_MATCHED
        return self._result(verdict, "; ".join(said), key=key)

    def _progress(self, one: PartialMatch) -> str:
        """What it has seen, what it waits for, and until when."""
        pattern, seen = self._pattern, len(one.events)
        names = ", ".join(f"{name} = {event.id}" for name, event in one.events.items())
        until = _at(one.until_ms)
        if one.due_ms:
            absent = pattern.without[-1] or pattern.steps
            unless = " or ".join(self._wanted(part) for part in absent)
            return f"seen {names}; fires at {_at(one.due_ms)} unless {unless} comes before {until}"
        step = pattern.steps[seen]
        said = f"seen {names}; waits for step {seen + 1} of {len(pattern.steps)}, "
        said += f"{self._wanted(step)}, until {until}"
        between = pattern.without[seen]
        if between:
            said += f", unless {' or '.join(self._wanted(part) for part in between)} comes before"
        return said

    def _wanted(self, part: PatternPart) -> str:
        """For people: which events it takes."""
        given = self._rule.spec.watch[part.name]
        asked = [one for one in (given.where, part.condition and part.condition.text) if one]
        where = f" where {' and '.join(asked)}" if asked else ""
        return f"{part.name} ({given.feed}{where})"

    def _timer(self, key: str, one: PartialMatch) -> Timer:
        token = "|".join(f"{event.source} {event.id}" for event in one.events.values())
        rule = self._rule
        return Timer(rule.tenant, rule.state, "sequence", key, token, one.due_ms)

    def _drop_timer(self, key: str, one: PartialMatch) -> None:
        if one.due_ms:
            self._context.drop_timer(self._timer(key, one))

    def _with_detail(self, one: RuleResult, said: str) -> RuleResult:
        detail = f"{one.outcome.detail}; {said}" if one.outcome.detail else said
        return replace(one, outcome=replace(one.outcome, detail=detail))

    def _result(self, verdict: RuleVerdict, detail: str, *, key: str) -> RuleResult:
        return rule_result(self._context, self._rule, verdict, detail, key=key)


def _many(count: int) -> str:
    return "1 partial match" if count == 1 else f"{count:,} partial matches"


def _at(ms: int) -> str:
    return time_text(instant(ms)) or ""
