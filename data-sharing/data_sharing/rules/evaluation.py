"""Evaluation: one rule at one key, for one event or one timer that was due.

Changes the rule's cell and says what it found; effects are computed but not weighed against other
rules', which is `firing.settle`'s. Nothing here raises: what fails is an outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from control_plane.expressions.expression import Bindings, Expression, Fault
from control_plane.expressions.tree import Path
from control_plane.expressions.values import instant
from data_sharing.event import Event
from data_sharing.forecasts.forecast import Forecast, is_number
from data_sharing.rules import explanation
from data_sharing.rules.compiled import CompiledRule, FedWindow, Input, read_path
from data_sharing.rules.compiling import EVENT
from data_sharing.rules.decided import RuleOutcome, Timer, Verdict
from data_sharing.rules.effects import Cause, EventRef, PlanView
from data_sharing.rules.firing import Failed, Wanted, wanted
from data_sharing.rules.joins import MOST_COMBINATIONS, Combination
from data_sharing.rules.state import (
    CellId,
    JoinState,
    Kept,
    Pending,
    RuleCell,
    State,
    WindowState,
    kept,
)
from data_sharing.rules.windows import shown

MOST_PLANS = 100  # one rule looks at for one event
MOST_REMEMBERED = 1_000  # plans whose cooldown or debounce is kept at one key
_SLACK_MS = 3_600_000  # how much longer than needed state is kept
_MISSING: Any = object()


class Plans(Protocol):
    """Plans as they are now."""

    def of(self, tenant: str, key: str, named: str | None) -> Sequence[PlanView]:
        """Those whose owner the key is or that follow it, by id."""
        ...


class NoPlans:
    """Where there are none."""

    def of(self, tenant: str, key: str, named: str | None) -> Sequence[PlanView]:
        return ()


class Found(NamedTuple):
    """An outcome, with what the rule wants done where it fired."""

    outcome: RuleOutcome
    rule: CompiledRule
    wanted: Sequence[Wanted] = ()


class Occasion:
    """What one decision shares: the event or none, the clock, state, plans, what it gathers."""

    __slots__ = (
        "_bindings", "_shown", "dropped", "event", "explaining", "forecast_of", "now_ms", "plans",
        "state", "timers",
    )  # fmt: skip

    def __init__(
        self,
        event: Event | None,
        now_ms: int,
        state: State,
        plans: Plans,
        explaining: bool,
        forecast_of: Callable[[str, str, str], Forecast | None],
    ) -> None:
        self.event = event
        self.now_ms = now_ms
        self.state = state
        self.plans = plans
        self.explaining = explaining
        self.forecast_of = forecast_of  # tenant, name, key
        self.timers: dict[str, Timer] = {}
        self.dropped: dict[str, None] = {}
        self._shown: dict[str, Any] | None = None
        self._bindings: Bindings | None = None

    @property
    def shown(self) -> dict[str, Any]:
        """The event as CEL reads it."""
        if self._shown is None:
            assert self.event is not None
            self._shown = _shown(self.event)
        return self._shown

    def of_event(self, expression: Expression) -> Any:
        """An expression over `event` alone. A plain path needs no CEL."""
        assert self.event is not None
        if expression.path is not None and expression.path[0] == "event":
            found = _field(self.event, expression.path)
            if found is not _MISSING:
                return found
        if self._bindings is None:
            self._bindings = EVENT.bind({"event": self.shown})
        return expression.evaluate(self._bindings)

    def set_timer(self, timer: Timer) -> None:
        self.timers[timer.id] = timer
        self.dropped.pop(timer.id, None)

    def drop_timer(self, timer: Timer) -> None:
        self.dropped[timer.id] = None
        self.timers.pop(timer.id, None)


def on_event(
    occasion: Occasion, rule: CompiledRule, windows: Sequence[FedWindow], inputs: Sequence[Input]
) -> list[Found]:
    """windows and inputs: of the rule, those that the index says the event can concern."""
    at = _At(occasion, rule)
    event = occasion.event
    assert event is not None
    if rule.max_age_ms and occasion.now_ms - event.time_ms > rule.max_age_ms:
        return [at.found(Verdict.TOO_OLD)] if inputs else []
    for fed in windows:
        failure = at.feed(fed)
        if failure is not None:
            return [failure]
    found: list[Found] = []
    for one in inputs:
        found += at.take(one)
    return found


def on_timer(occasion: Occasion, rule: CompiledRule, timer: Timer) -> list[Found]:
    """Empty where the timer no longer means anything."""
    at = _At(occasion, rule)
    return {"window": at.window_end, "debounce": at.debounced, "absent": at.stayed_absent}.get(
        timer.kind, lambda _: []
    )(timer)


class _At:
    """One rule within one occasion."""

    def __init__(self, occasion: Occasion, rule: CompiledRule) -> None:
        self._occasion, self._rule = occasion, rule
        self._late_counted = False

    def found(
        self,
        verdict: Verdict,
        detail: str = "",
        *,
        key: str = "",
        plan: PlanView | None = None,
        effects: Sequence[Wanted] = (),
        **more: Any,
    ) -> Found:
        if "events" not in more and self._occasion.event is not None:
            event = self._occasion.event
            more["events"] = (EventRef(event.source, event.id, event.position),)
        rule = self._rule
        outcome = RuleOutcome(
            rule=rule.id, version=rule.version, verdict=verdict, key=key,
            plan_id="" if plan is None else plan.id, detail=detail, **more,
        )  # fmt: skip
        return Found(outcome, rule, effects)

    # Windows

    def feed(self, fed: FedWindow) -> Found | None:
        """Puts the event into a window. Returns a failure, or that it came too late."""
        occasion, rule, window = self._occasion, self._rule, fed.window
        event = occasion.event
        assert event is not None
        if fed.where is not None:
            counts = occasion.of_event(fed.where)
            if isinstance(counts, Fault) and not counts.missing:
                return self.found(Verdict.ERROR, f"windows.{window.name}.where: {counts.message}")
            if counts is not True:
                return None
        value = None
        if fed.value is not None:
            value = occasion.of_event(fed.value)
            if isinstance(value, Fault):
                if value.missing:
                    return None
                return self.found(Verdict.ERROR, f"windows.{window.name}.value: {value.message}")
            if not is_number(value):
                return self.found(Verdict.ERROR, f"windows.{window.name}.value: no number")
        key = occasion.of_event(fed.key)
        if not isinstance(key, str):
            return None
        cell = self._cell(key)
        if self._is_late(cell):
            return self._late(key, cell)
        state = self._window(cell, fed)
        start = window.start(event.time_ms) if window.every_ms else 0
        opens = bool(window.every_ms) and start not in state.open
        evicted = window.add(state, event.time_ms, value)
        if evicted < 0:
            return self._late(key, cell)
        cell.evicted += evicted
        if opens and rule.spec.at_end_of == window.name:
            due_ms = start + window.every_ms + rule.late_ms
            occasion.set_timer(Timer(rule.tenant, rule.id, "window", key, str(start), due_ms))
        self._seen(cell, key, event.time_ms)
        return None

    def _window(self, cell: RuleCell, fed: FedWindow) -> WindowState:
        """Its state; new where there is none, or the window has become another."""
        found = cell.windows.get(fed.window.name)
        if found is None or found.shape != fed.window.shape:
            found = cell.windows[fed.window.name] = WindowState(fed.window.shape)
        return found

    def window_end(self, timer: Timer) -> list[Found]:
        fed = self._rule.windows.get(self._rule.spec.at_end_of or "")
        cell = self._cell(timer.key)
        state = None if fed is None else cell.windows.get(fed.window.name)
        if fed is None or state is None or state.shape != fed.window.shape:
            return []
        start = int(timer.token)
        total = fed.window.close(state, start)
        self._seen(cell, timer.key, cell.newest_ms)
        if total is None:
            return []
        end_ms = start + fed.window.every_ms
        ended = {fed.window.name: shown(total, start, end_ms)}
        return self._judge(timer.key, cell, {}, end_ms - 1, ended=ended, timer=timer)

    # Events and joins

    def take(self, one: Input) -> list[Found]:
        """The event as an input of the rule."""
        occasion, rule = self._occasion, self._rule
        event = occasion.event
        assert event is not None
        key = occasion.of_event(one.key)
        if not isinstance(key, str):
            if isinstance(key, Fault) and not key.missing:
                return [self.found(Verdict.ERROR, f"key: {key.message}")]
            what = key.message if isinstance(key, Fault) else f"{key!r} is no text"
            return [self.found(Verdict.NO_KEY, what)]
        if one.where is not None:
            counts = occasion.of_event(one.where)
            if counts is not True:
                return self._not_counted(one, key, counts)
        if not rule.stateful:
            return self._judge(key, None, {one.name: [event]}, event.time_ms)
        cell = self._cell(key)
        if (rule.windows or rule.join) and self._is_late(cell):
            return [self._late(key, cell)]
        self._seen(cell, key, event.time_ms)
        if rule.join is None:
            return self._judge(key, cell, {one.name: [event]}, event.time_ms)
        return self._join(one, key, cell, kept(event))

    def _not_counted(self, one: Input, key: str, counts: Any) -> list[Found]:
        if isinstance(counts, Fault):
            verdict = Verdict.NOT_MATCHED if counts.missing else Verdict.ERROR
            return [self.found(verdict, f"watch.{one.name}.where: {counts.message}", key=key)]
        return [self.found(Verdict.NOT_MATCHED, f"watch.{one.name}.where is false", key=key)]

    def _join(self, one: Input, key: str, cell: RuleCell, event: Kept) -> list[Found]:
        occasion, rule, join = self._occasion, self._rule, self._rule.join
        assert join is not None
        if cell.join is None or cell.join.shape != join.shape:
            cell.join = JoinState(join.shape)
        state = cell.join
        join.prune(state, cell.newest_ms, rule.late_ms)
        cell.evicted += join.arrive(state, one.name, event)
        if one.absent:
            stopped = join.stop_awaiting(state, event)
            for each in stopped:
                occasion.drop_timer(self._absence_timer(key, each.due_ms, each.events))
            said = f"{one.name} came: {len(stopped)} that awaited its absence will not fire"
            return [self.found(Verdict.NOT_MATCHED, said, key=key)] if stopped else []
        found: list[Found] = []
        seen = 0
        used: set[tuple[str, str]] = set()
        for combination in join.combinations(state, one.name, event):
            parts = [part for events in combination.values() for part in events]
            if join.consume == "continuous" and used & {(p.source, p.id) for p in parts[1:]}:
                continue
            seen += 1
            if seen > MOST_COMBINATIONS:
                said = f"more than {MOST_COMBINATIONS} combinations; the others were left out"
                found.append(self.found(Verdict.WAITING, said, key=key))
                break
            if join.absent:
                found += self._await_absence(key, cell, combination)
                if join.consume != "unrestricted":
                    break
                continue
            judged = self._judge(key, cell, combination, event.time_ms)
            found += judged
            if any(each.outcome.consumed for each in judged):
                used |= {(part.source, part.id) for part in parts if part is not event}
                if join.consume != "continuous":
                    break
        if used:
            gone = [
                kept_one
                for kept_ones in state.buffers.values()
                for kept_one in kept_ones
                if (kept_one.source, kept_one.id) in used or kept_one is event
            ]
            join.take(state, tuple(gone))
        if not found:
            missing = join.missing(state)
            said = f"waits for {', '.join(missing)}" if missing else "nothing near enough in time"
            found.append(self.found(Verdict.WAITING, said, key=key))
        return found

    def _await_absence(self, key: str, cell: RuleCell, combination: Combination) -> list[Found]:
        rule, join, state = self._rule, self._rule.join, cell.join
        assert join is not None
        assert state is not None
        refs = _refs(combination)
        what = " and ".join(join.absent)
        due_ms = join.await_absence(state, combination, rule.late_ms)
        if due_ms is None:
            said = f"{what} had come already"
            return [self.found(Verdict.NOT_MATCHED, said, key=key, events=refs)]
        if len(state.awaiting) > join.keep:
            first = state.awaiting.pop(0)
            cell.evicted += 1
            self._occasion.drop_timer(self._absence_timer(key, first.due_ms, first.events))
        self._occasion.set_timer(self._absence_timer(key, due_ms, combination))
        consumed = join.take(state, join.consumes(combination))
        said = f"fires unless {what} comes"
        return [
            self.found(Verdict.WAITING, said, key=key, events=refs, consumed=consumed)
        ]  # fmt: skip

    def _absence_timer(self, key: str, due_ms: int, events: Mapping[str, list[Kept]]) -> Timer:
        token = "|".join(f"{ref.source} {ref.id}" for ref in _refs(events))
        return Timer(self._rule.tenant, self._rule.id, "absent", key, token, due_ms)

    def stayed_absent(self, timer: Timer) -> list[Found]:
        cell, join = self._cell(timer.key), self._rule.join
        if join is None or cell.join is None or cell.join.shape != join.shape:
            return []
        for one in cell.join.awaiting:
            if self._absence_timer(timer.key, one.due_ms, one.events).id == timer.id:
                cell.join.awaiting.remove(one)
                self._seen(cell, timer.key, cell.newest_ms)
                at_ms = max(part.time_ms for events in one.events.values() for part in events)
                return self._judge(timer.key, cell, one.events, at_ms, timer=timer)
        return []

    # Judging

    def _judge(
        self,
        key: str,
        cell: RuleCell | None,
        events: Mapping[str, Sequence[Event | Kept]],
        at_ms: int,
        *,
        ended: Mapping[str, Any] | None = None,
        timer: Timer | None = None,
    ) -> list[Found]:
        """`when` for each plan; what is true fires, waits, or is held back."""
        rule = self._rule
        refs = _refs(events)
        values = self._values(key, cell, events, at_ms, ended)
        plans = self._plans(values)
        if isinstance(plans, Fault):
            verdict = Verdict.NO_PLAN if plans.missing else Verdict.ERROR
            return [self.found(verdict, f"plan.of: {plans.message}", key=key, events=refs)]
        if not plans:
            return [self.found(Verdict.NO_PLAN, key=key, events=refs)]
        found: list[Found] = []
        for plan in plans:
            if plan is not None:
                values = {**values, "plan": plan.fields}
            bindings = rule.environment.bind(values)
            holds = rule.when.holds(bindings)
            more: dict[str, Any] = {"key": key, "plan": plan, "events": refs}
            if self._occasion.explaining:
                more["clauses"] = explanation.clauses(rule, values, bindings)
            if isinstance(holds, Fault):
                verdict = Verdict.NOT_MATCHED if holds.missing else Verdict.ERROR
                found.append(self.found(verdict, holds.message, **more))
            elif not holds:
                found.append(self.found(Verdict.NOT_MATCHED, **more))
            else:
                more["read"] = {
                    ".".join(path): _json(read_path(values, path)) for path in rule.paths
                }
                found.append(self._matched(cell, events, plan, bindings, timer, more))
        return found

    def _matched(
        self,
        cell: RuleCell | None,
        events: Mapping[str, Sequence[Event | Kept]],
        plan: PlanView | None,
        bindings: Bindings,
        timer: Timer | None,
        more: dict[str, Any],
    ) -> Found:
        rule, now_ms = self._rule, self._occasion.now_ms
        plan_id = "" if plan is None else plan.id
        key: str = more["key"]
        if rule.cooldown_ms and cell is not None:
            last_ms = cell.fired_ms.get(plan_id)
            if last_ms is not None and now_ms - last_ms < rule.cooldown_ms:
                return self.found(Verdict.COOLDOWN, **more)
        consumed: tuple[EventRef, ...] = ()
        if rule.join is not None and timer is None:
            consumed = tuple(one.ref for one in rule.join.consumes(_kept(events)))
        if rule.wait_ms and cell is not None:
            before = cell.pending.get(plan_id)
            first_ms = now_ms if before is None else before.first_ms
            due_ms = min(now_ms + rule.wait_ms, first_ms + rule.wait_at_most_ms)
            cell.pending[plan_id] = Pending(due_ms, first_ms, _kept(events))
            _bound(cell.pending)
            self._occasion.set_timer(Timer(rule.tenant, rule.id, "debounce", key, plan_id, due_ms))
            self._seen(cell, key, cell.newest_ms)
            return self.found(Verdict.PENDING, consumed=consumed, **more)
        return self._fire(cell, plan, bindings, timer, more, consumed)

    def _fire(
        self,
        cell: RuleCell | None,
        plan: PlanView | None,
        bindings: Bindings,
        timer: Timer | None,
        more: dict[str, Any],
        consumed: tuple[EventRef, ...] = (),
    ) -> Found:
        rule = self._rule
        cause = Cause(
            rule=rule.id,
            rule_version=rule.version,
            events=more["events"],
            timer="" if timer is None else f"{timer.id}@{timer.due_ms}",
        )
        try:
            effects = wanted(rule, bindings, plan, cause, self._occasion.now_ms)
        except Failed as error:
            return self.found(Verdict.ERROR, f"do: {error}", **more)
        if rule.cooldown_ms and cell is not None:
            cell.fired_ms[cause_plan(plan)] = self._occasion.now_ms
            _bound(cell.fired_ms)
            self._seen(cell, more["key"], cell.newest_ms)
        return self.found(Verdict.FIRED, consumed=consumed, effects=effects, **more)

    def debounced(self, timer: Timer) -> list[Found]:
        """`when` held at its newest match and is not asked again; effects see what is now."""
        rule, cell = self._rule, self._cell(timer.key)
        pending = cell.pending.get(timer.token)
        if pending is None or pending.due_ms > timer.due_ms:
            return []
        del cell.pending[timer.token]
        self._seen(cell, timer.key, cell.newest_ms)
        times = [one.time_ms for events in pending.events.values() for one in events]
        at_ms = max(times, default=cell.newest_ms)
        values = self._values(timer.key, cell, pending.events, at_ms, None)
        refs = _refs(pending.events)
        plan = None
        if rule.plan_of is not None:
            plans = self._plans(values)
            same = () if isinstance(plans, Fault) else plans
            plan = next((one for one in same if one and one.id == timer.token), None)
            if plan is None:
                return [self.found(Verdict.NO_PLAN, key=timer.key, events=refs)]
            values["plan"] = plan.fields
        bindings = rule.environment.bind(values)
        read = {".".join(path): _json(read_path(values, path)) for path in rule.paths}
        more: dict[str, Any] = {"key": timer.key, "plan": plan, "events": refs, "read": read}
        return [self._fire(cell, plan, bindings, timer, more)]

    # What expressions read

    def _values(
        self,
        key: str,
        cell: RuleCell | None,
        events: Mapping[str, Sequence[Event | Kept]],
        at_ms: int,
        ended: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        rule, occasion, reads = self._rule, self._occasion, self._rule.reads
        values: dict[str, Any] = {"key": key}
        for name, those in events.items():
            if name in reads:
                many = rule.join is not None and rule.join.consume == "cumulative"
                those_shown = [self._shown(one) for one in those]
                values[name] = those_shown if many else those_shown[0]
        if "event" in reads and events:
            newest = max((one for those in events.values() for one in those), key=_newest)
            # At an event it is that event, whichever is the newest.
            values["event"] = occasion.shown if occasion.event else self._shown(newest)
        if "now" in reads:
            values["now"] = instant(occasion.now_ms)
        if "window" in reads:
            values["window"] = {
                name: fed.window.read(self._readable(cell, fed), at_ms)
                for name, fed in rule.windows.items()
            } | dict(ended or {})
        if "forecast" in reads:
            values["forecast"] = {
                name: self._forecast(name, fields, key)
                for name, fields in rule.read_forecasts.items()
            }
        return values

    def _readable(self, cell: RuleCell | None, fed: FedWindow) -> WindowState | None:
        found = None if cell is None else cell.windows.get(fed.window.name)
        return found if found is not None and found.shape == fed.window.shape else None

    def _forecast(self, name: str, fields: Sequence[str], key: str) -> dict[str, Any]:
        found = self._occasion.forecast_of(self._rule.tenant, name, key)
        if found is None:
            return {}
        method = self._rule.forecasts[name]
        read = {field: found.read(field, method) for field in fields}
        return {field: value for field, value in read.items() if value is not None}

    def _shown(self, event: Event | Kept) -> dict[str, Any]:
        return self._occasion.shown if event is self._occasion.event else _shown(event)

    def _plans(self, values: Mapping[str, Any]) -> Sequence[PlanView | None] | Fault:
        rule = self._rule
        if rule.plan_of is None:
            return (None,)
        of = rule.plan_of.evaluate(rule.environment.bind(values))
        if isinstance(of, Fault):
            return of
        keys = of if isinstance(of, list) else [of]
        if not all(isinstance(key, str) for key in keys):
            return Fault(f"{of!r} is neither a text nor a list of texts", missing=False)
        assert rule.spec.plan is not None
        plans = {
            plan.id: plan
            for key in keys[:MOST_PLANS]
            for plan in self._occasion.plans.of(rule.tenant, key, rule.spec.plan.named)
            if plan.occurrence_ms is not None
        }
        return [plans[name] for name in sorted(plans)[:MOST_PLANS]]

    # The cell

    def _cell(self, key: str) -> RuleCell:
        """The rule's at this key; new where there is none or it has expired."""
        rule = self._rule
        name = CellId(rule.tenant, "rule", rule.id, key)
        cell: RuleCell | None = self._occasion.state.get(name)
        if cell is None or (cell.expires_ms and cell.expires_ms < self._occasion.now_ms):
            cell = RuleCell()
            self._occasion.state.put(name, cell)
        return cell

    def _is_late(self, cell: RuleCell) -> bool:
        event = self._occasion.event
        return event is not None and event.time_ms < cell.newest_ms - self._rule.late_ms

    def _late(self, key: str, cell: RuleCell) -> Found:
        if not self._late_counted:
            cell.late += 1
            self._late_counted = True
            self._seen(cell, key, cell.newest_ms)
        return self.found(Verdict.LATE, key=key)

    def _seen(self, cell: RuleCell, key: str, time_ms: int) -> None:
        """Lets go of what is over, and has the cell stored."""
        rule = self._rule
        cell.newest_ms = max(cell.newest_ms, time_ms)
        for name in list(cell.windows):
            fed = rule.windows.get(name)
            if fed is None:
                del cell.windows[name]
            elif name != rule.spec.at_end_of:  # its windows go when they have ended
                fed.window.prune(cell.windows[name], cell.newest_ms, rule.late_ms)
        newest_ms = max(self._occasion.now_ms, cell.newest_ms)
        cell.expires_ms = newest_ms + 2 * rule.horizon_ms + _SLACK_MS
        name_of = CellId(rule.tenant, "rule", rule.id, key)
        self._occasion.state.put(name_of, cell, cell.expires_ms)


def cause_plan(plan: PlanView | None) -> str:
    return "" if plan is None else plan.id


def _shown(event: Event | Kept) -> dict[str, Any]:
    return {
        "id": event.id, "source": event.source, "type": event.type, "subject": event.subject,
        "key": event.key, "time": instant(event.time_ms),
        "data": event.data,
    }  # fmt: skip


def _field(event: Event, path: Path) -> Any:
    """_MISSING where CEL must say what is wrong."""
    if len(path) == 2 and path[1] in ("key", "id", "source", "type", "subject"):
        return getattr(event, path[1])
    if len(path) < 3 or path[1] != "data":
        return _MISSING
    found: Any = event.data
    for name in path[2:]:
        if not isinstance(found, Mapping) or name not in found:
            return _MISSING
        found = found[name]
    return found


def _refs(events: Mapping[str, Sequence[Event | Kept]]) -> tuple[EventRef, ...]:
    return tuple(
        EventRef(one.source, one.id, one.position) for those in events.values() for one in those
    )


def _kept(events: Mapping[str, Sequence[Event | Kept]]) -> dict[str, list[Kept]]:
    return {
        name: [one if isinstance(one, Kept) else kept(one) for one in those]
        for name, those in events.items()
    }


def _newest(event: Event | Kept) -> tuple[int, int]:
    return (event.time_ms, event.position)


def _bound(kept_by_plan: dict[str, Any]) -> None:
    while len(kept_by_plan) > MOST_REMEMBERED:
        del kept_by_plan[next(iter(kept_by_plan))]


def _json(value: Any) -> Any:
    return explanation.json_shown(value)
