"""Compiler: from a document of rules to compiled rules, or every fault of it at once.

Checked are the expressions (syntax, types, what they read of feeds against the feeds' schemas),
that names refer to something, and that nothing is unbounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import blake2b

from control_plane.expressions.environment import ValueType
from control_plane.expressions.expression import Expression
from data_sharing.documents import read_as, value_of
from data_sharing.forecasts.forecast import Method
from data_sharing.forecasts.spec import ForecastSpec, duration_ms
from data_sharing.instruction import ApprovalTerms
from data_sharing.rules.compiled import (
    Change,
    CompiledForecast,
    CompiledRule,
    FedWindow,
    Input,
    Invocation,
)
from data_sharing.rules.document_faults import FaultCollector, within
from data_sharing.rules.event_view import EventExpression
from data_sharing.rules.expression_readers import EventReader, RuleReader, Schemas
from data_sharing.rules.hold_back_compiler import (
    compile_action_hours,
    compile_hours,
    compile_limits,
)
from data_sharing.rules.joins import Join
from data_sharing.rules.pattern_compiler import PatternCompiler
from data_sharing.rules.patterns import Pattern
from data_sharing.rules.predicates import Conjunct, conjuncts_of, says_all
from data_sharing.rules.rollout import ALWAYS, Activation
from data_sharing.rules.shape import (
    MOST_IN_DOCUMENT,
    MOST_IN_WINDOW,
    MOST_KEPT,
    NAME,
    check_memory,
    check_shape,
    check_size,
)
from data_sharing.rules.spec import (
    ApprovalSpec,
    ChangeSpec,
    InvokeSpec,
    RulesDocument,
    RuleSpec,
    WindowSpec,
)
from data_sharing.rules.watermarks import Lateness
from data_sharing.rules.windows import Window

_EVENT_ROOTS = frozenset(("event",))


def parse(text: str, name: str = "document") -> RulesDocument:
    """A file of rules. Raises InvalidInput."""
    return read_as(value_of(text, name), RulesDocument, name)


def check_document(document: RulesDocument) -> None:
    """That there is not too much of it, and ids are given once. Raises InvalidDocument."""
    faults = FaultCollector()
    for what, count in (("rules", len(document.rules)), ("forecasts", len(document.forecasts))):
        if count > MOST_IN_DOCUMENT:
            faults.add(what, f"{count:,} in one document; at most {MOST_IN_DOCUMENT:,}")
    for rule in document.rules:
        check_size(rule, faults)
    faults.raise_if_any()
    for what, names in (
        ("rules", [one.rule for one in document.rules]),
        ("forecasts", [one.forecast for one in document.forecasts]),
    ):
        for name, count in Counter(names).items():
            if count > 1:
                faults.add(f"{what}.{name}", f"stands there {count:,} times; ids are unique")
    faults.raise_if_any()


def compile_forecast(spec: ForecastSpec, *, tenant: str, schemas: Schemas) -> CompiledForecast:
    """Raises InvalidDocument."""
    faults, at = FaultCollector(), f"forecasts.{spec.forecast}"
    if NAME.fullmatch(spec.forecast) is None:
        faults.add(at, "a name is letters, digits and _, with no digit first")
    check_memory(spec.memory, at, faults)
    method = Method(half_life_ms=1, step_ms=0, season_steps=1, forget_ms=1, shape="")
    with faults.gather(), within(at):
        method = Method.of(spec)
    reader = EventReader(spec.feed, schemas, faults, at)
    key = reader.compile(spec.key, "key", ValueType.STRING)
    value = reader.compile(spec.value, "value", ValueType.DOUBLE, ValueType.INT)
    where = reader.optional(spec.where, "where")
    faults.raise_if_any()
    return CompiledForecast(
        tenant=tenant, spec=spec, method=method, key=key, value=value, where=where,
        warnings=tuple(faults.warnings),
    )  # fmt: skip


def compile_rule(
    spec: RuleSpec,
    *,
    tenant: str,
    version: int,
    schemas: Schemas,
    forecasts: Mapping[str, CompiledForecast],
    activation: Activation = ALWAYS,
) -> CompiledRule:
    """forecasts: the tenant's, by name. Raises InvalidDocument."""
    return _Compiler(spec, schemas, forecasts).compile(tenant, version, activation)


class _Compiler:
    """Of one rule."""

    def __init__(
        self, spec: RuleSpec, schemas: Schemas, forecasts: Mapping[str, CompiledForecast]
    ) -> None:
        self._spec, self._schemas, self._forecasts = spec, schemas, forecasts
        self._faults = FaultCollector()
        self._at = f"rules.{spec.rule}"
        self._reader = RuleReader(spec, schemas, forecasts, self._faults)

    def compile(self, tenant: str, version: int, activation: Activation) -> CompiledRule:
        spec, reader = self._spec, self._reader
        check_shape(spec, self._faults)
        lateness = self._lateness()
        max_age_ms = self._duration(spec.max_age, "max_age", least_ms=1_000)
        cooldown_ms = self._duration(spec.cooldown, "cooldown", least_ms=1)
        wait_ms, at_most_ms = self._debounce()
        retry_after_ms, retry_at_most_ms = self._retry()
        when = reader.expression(spec.condition, "when", ValueType.BOOL)
        pattern = PatternCompiler(spec, reader, self._faults, _shape).compile()
        inputs, windows, join = self._inputs(when, pattern), self._windows(), self._join()
        plan_of = None
        if spec.plan is not None:
            plan_of = reader.expression(spec.plan.of, "plan.of", ValueType.STRING, ValueType.LIST)
            reader.forbid(plan_of, "plan.of", "plan", "window", "forecast")
        effects = tuple(self._effects())
        limits = compile_limits(spec.limits, self._faults, self._at)
        hours = compile_hours(spec.active_hours, self._faults, f"{self._at}.active_hours")
        self._faults.raise_if_any()
        spans = [one.window.over_ms or 2 * one.window.every_ms for one in windows.values()]
        spans += [join.within_ms] if join else []
        spans += [pattern.within_ms] if pattern else []
        spans += [one.per_ms for one in limits]
        return CompiledRule(
            tenant=tenant,
            spec=spec,
            version=version,
            environment=reader.environment,
            inputs=inputs,
            windows=windows,
            join=join,
            pattern=pattern,
            plan_of=plan_of,
            when=when,
            effects=effects,
            reads=frozenset(reader.reads),
            views=reader.views(),
            read_forecasts={name: tuple(of) for name, of in reader.forecast_fields.items()},
            forecasts={name: self._forecasts[name].method for name in reader.forecast_fields},
            lateness=lateness,
            max_age_ms=max_age_ms or 0,
            wait_ms=wait_ms,
            wait_at_most_ms=at_most_ms,
            cooldown_ms=cooldown_ms or 0,
            limits=limits,
            hours=hours,
            retry_after_ms=retry_after_ms,
            retry_at_most_ms=retry_at_most_ms,
            horizon_ms=max([*spans, cooldown_ms or 0, at_most_ms]) + lateness.allowed_ms,
            warnings=tuple(self._faults.warnings),
            activation=activation,
        )

    def _duration(self, text: str | None, field: str, *, least_ms: int = 0) -> int | None:
        if text is None:
            return None
        with self._faults.gather():
            return duration_ms(text, f"{self._at}.{field}", least_ms=least_ms)
        return None

    def _lateness(self) -> Lateness:
        given = self._spec.late
        if isinstance(given, str):
            return Lateness(allowed_ms=self._duration(given, "late") or 0)
        return Lateness(
            allowed_ms=self._duration(given.allowed, "late.allowed") or 0,
            ahead_ms=self._duration(given.ahead, "late.ahead") or 0,
            then=given.then,
        )

    def _debounce(self) -> tuple[int, int]:
        given = self._spec.debounce
        if given is None:
            return 0, 0
        wait_ms = self._duration(given.wait, "debounce.wait", least_ms=1) or 1
        at_most_ms = self._duration(given.at_most, "debounce.at_most", least_ms=1)
        if at_most_ms is None:
            at_most_ms = 10 * wait_ms
        if at_most_ms < wait_ms:
            self._faults.add(f"{self._at}.debounce.at_most", "is shorter than `wait`")
        return wait_ms, at_most_ms

    def _retry(self) -> tuple[int, int]:
        """After how long what is parked is tried again, at first and at most."""
        spec = self._spec
        after_ms = self._duration(spec.retry_after, "retry_after", least_ms=1_000) or 1_000
        at_most_ms = self._duration(spec.retry_at_most, "retry_at_most", least_ms=1_000)
        if at_most_ms is not None and at_most_ms < after_ms:
            self._faults.add(f"{self._at}.retry_at_most", "is shorter than `retry_after`")
        return after_ms, at_most_ms or after_ms

    def _inputs(self, when: Expression, pattern: Pattern | None) -> dict[str, Input]:
        inputs: dict[str, Input] = {}
        joined = len(self._spec.watch) > 1
        parts = {} if pattern is None else {part.name: part for part in pattern.parts}
        cumulative = self._spec.join is not None and self._spec.join.consume == "cumulative"
        for name, one in self._spec.watch.items():
            reader = EventReader(one.feed, self._schemas, self._faults, f"{self._at}.watch.{name}")
            where = reader.optional(one.where, "where")
            conjuncts = _conjuncts(where)
            own, found = None, False
            if pattern is not None:  # `when` is asked of what a whole match has seen
                part = parts.get(name)
                if part is not None and part.condition is not None:
                    conjuncts += conjuncts_of(part.condition.tree, frozenset((name,)))
            elif joined and not one.absent and not cumulative:
                own = self._reader.asked_alone(name)
                conjuncts += () if own is None else conjuncts_of(own.tree, frozenset((name,)))
            elif not joined:
                roots = frozenset((name, "event"))
                conjuncts += conjuncts_of(when.tree, roots)
                found = says_all(when.tree, roots)
            inputs[name] = Input(
                name=name,
                feed=one.feed,
                key=reader.compile(one.key, "key", ValueType.STRING),
                where=where,
                own=own,
                absent=one.absent,
                conjuncts=conjuncts,
                found=found,
            )
        return inputs

    def _windows(self) -> dict[str, FedWindow]:
        windows: dict[str, FedWindow] = {}
        for name, one in self._spec.windows.items():
            at = f"windows.{name}"
            feed, key = self._window_feed(one, at), one.key
            if key is None:
                same = [watch.key for watch in self._spec.watch.values() if watch.feed == feed]
                key = same[0] if same else "event.key"
            if (one.over is None) == (one.every is None):
                self._faults.add(
                    f"{self._at}.{at}", "is unbounded: give `over` (sliding) or `every` (tumbling)"
                )
            if not 1 <= one.limit <= MOST_IN_WINDOW:
                self._faults.add(
                    f"{self._at}.{at}.limit", f"{one.limit} is not within 1 to {MOST_IN_WINDOW:,}"
                )
            over_ms = self._duration(one.over, f"{at}.over", least_ms=1)
            every_ms = self._duration(one.every, f"{at}.every", least_ms=1_000)
            reader = EventReader(feed, self._schemas, self._faults, f"{self._at}.{at}")
            where = reader.optional(one.where, "where")
            value = None
            if one.value is not None:
                value = reader.compile(one.value, "value", ValueType.DOUBLE, ValueType.INT)
            windows[name] = FedWindow(
                window=Window(
                    name=name,
                    over_ms=over_ms or 0,
                    every_ms=every_ms or 0,
                    limit=one.limit,
                    shape=_shape(feed, key, one.where, one.value, over_ms, every_ms),
                ),
                feed=feed,
                key=reader.compile(key, "key", ValueType.STRING),
                where=where,
                value=value,
                conjuncts=_conjuncts(where),
            )
        return windows

    def _window_feed(self, one: WindowSpec, at: str) -> str:
        if one.feed is not None:
            return one.feed
        feeds = {watch.feed for watch in self._spec.watch.values()}
        if len(feeds) != 1:
            self._faults.add(f"{self._at}.{at}.feed", "name the feed; the rule has not just one")
        return min(feeds, default="")

    def _join(self) -> Join | None:
        given = self._spec.join
        if given is None:
            return None
        within_ms = self._duration(given.within, "join.within", least_ms=1) or 1
        if not 1 <= given.keep <= MOST_KEPT:
            self._faults.add(
                f"{self._at}.join.keep", f"{given.keep} is not within 1 to {MOST_KEPT}"
            )
        watch = self._spec.watch
        fed = [(name, one.feed, one.key, one.where, one.absent) for name, one in watch.items()]
        return Join(
            inputs=tuple(name for name, one in watch.items() if not one.absent),
            absent=tuple(name for name, one in watch.items() if one.absent),
            within_ms=within_ms,
            consume=given.consume,
            keep=given.keep,
            shape=_shape(*fed, within_ms, given.consume == "recent"),
        )

    def _effects(self) -> Iterator[Change | Invocation]:
        for number, one in enumerate(self._spec.do):
            at = f"do[{number}]"
            if (one.change is None) == (one.invoke is None):
                self._faults.add(f"{self._at}.{at}", "is either `change` or `invoke`")
            elif one.change is not None:
                yield self._change(one.change, f"{at}.change")
            elif one.invoke is not None:
                yield self._invocation(one.invoke, f"{at}.invoke")

    def _change(self, given: ChangeSpec, at: str) -> Change:
        reader = self._reader
        reader.needs_plan(f"{self._at}.{at}")
        if given.shift is None and given.cancel is None and not given.config:
            self._faults.add(f"{self._at}.{at}", "changes nothing")
        shift = None
        if given.shift is not None:
            shift = reader.expression(given.shift, f"{at}.shift", ValueType.DURATION)
        cancel = given.cancel
        if cancel is not None:
            cancel = reader.value(cancel, f"{at}.cancel", ValueType.BOOL)  # type: ignore[assignment]
        config = tuple(
            (action, name, reader.value(value, f"{at}.config.{action}.{name}"))
            for action, fields in given.config.items()
            for name, value in fields.items()
        )
        every = given.occurrence == "every"
        return Change(shift=shift, cancel=cancel, config=config, every=every)

    def _invocation(self, given: InvokeSpec, at: str) -> Invocation:
        config = tuple(
            (name, self._reader.value(value, f"{at}.config.{name}"))
            for name, value in given.config.items()
        )
        return Invocation(
            application=given.application,
            action=given.action,
            config=config,
            deadline_ms=self._duration(given.deadline, f"{at}.deadline", least_ms=1) or 0,
            approval=self._approval(given.approval, f"{at}.approval"),
            hours=compile_action_hours(given.active_hours, self._faults, f"{self._at}.{at}"),
            gives={
                name: types
                for name in given.config
                if (types := self._reader.gives.get(f"{self._at}.{at}.config.{name}"))
            },
        )

    def _approval(self, given: ApprovalSpec | None, at: str) -> ApprovalTerms | None:
        if given is None:
            return None
        return ApprovalTerms(
            expires_ms=self._duration(given.expires, f"{at}.expires", least_ms=1_000) or 0,
            by=tuple(given.by),
            role=given.role,
            four_eyes=given.four_eyes,
        )


def _conjuncts(where: EventExpression | None) -> tuple[Conjunct, ...]:
    return () if where is None else conjuncts_of(where.expression.tree, _EVENT_ROOTS)


def _shape(*parts: object) -> str:
    """Changes with what determines the form and meaning of state."""
    return blake2b(repr(parts).encode(), digest_size=6).hexdigest()
