"""Compiling: from what an operator wrote to rules that can decide, or every fault of it at once.

Checked are the expressions (syntax, types, what they read of feeds against the feeds' schemas),
that names refer to something, and that nothing is unbounded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from types import TracebackType
from typing import Any, Protocol, Self

from control_plane.errors import InvalidInput
from control_plane.expressions.clauses import clauses_of
from control_plane.expressions.environment import Environment, Kind
from control_plane.expressions.expression import Expression
from control_plane.expressions.tree import Ident, Path, paths_read, walk
from data_sharing.documents import read_as, value_of
from data_sharing.forecasts.forecast import FIELDS as FORECAST_FIELDS
from data_sharing.forecasts.forecast import Method
from data_sharing.forecasts.spec import ForecastSpec, duration_ms
from data_sharing.rules.compiled import (
    Change,
    CompiledForecast,
    CompiledRule,
    Computed,
    FedWindow,
    Input,
    Invocation,
)
from data_sharing.rules.feed_schema import FeedSchema, check
from data_sharing.rules.joins import Join
from data_sharing.rules.predicates import conjuncts_of
from data_sharing.rules.spec import RulesDocument, RuleSpec, Value, WindowSpec
from data_sharing.rules.windows import FIELDS as WINDOW_FIELDS
from data_sharing.rules.windows import Window

ID = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}")
MOST_INPUTS = 4
MOST_WINDOWS = 8
MOST_EFFECTS = 16
MOST_KEPT = 256  # per input and key in a join
MOST_IN_WINDOW = 10_000
MINUTE_MS = 60_000
_RESERVED = frozenset(("event", "key", "now", "plan", "window", "forecast", "events"))
EVENT = Environment({"event": Kind.OBJECT})
_EVENT_ROOTS = frozenset(("event",))


class Schemas(Protocol):
    """The feeds that may be read: a feed that is not there is an error."""

    def get(self, feed: str, /) -> FeedSchema | None: ...


class InvalidDocument(InvalidInput):
    """`faults`: all that is wrong with it, each naming its field."""

    def __init__(self, faults: Sequence[InvalidInput]) -> None:
        super().__init__(faults[0].field, "\n".join(fault.message for fault in faults))
        self.faults = tuple(faults)


class Faults:
    """Gathers what is wrong, so that an operator sees all of it at once."""

    def __init__(self) -> None:
        self.found: list[InvalidInput] = []

    def gather(self) -> Self:
        """`with faults.gather():` goes on after what is wrong inside."""
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(error, InvalidDocument):
            self.found += error.faults
        elif isinstance(error, InvalidInput):
            self.found.append(error)
        return isinstance(error, InvalidInput)

    def say(self, field: str, complaint: str) -> None:
        self.found.append(InvalidInput(field, f"{field}: {complaint}"))

    def settle(self) -> None:
        """Raises InvalidDocument where anything was found."""
        if self.found:
            raise InvalidDocument(self.found)


def parse(text: str, name: str = "document") -> RulesDocument:
    """A file of rules. Raises InvalidInput."""
    return read_as(value_of(text, name), RulesDocument, name)


def check_document(document: RulesDocument) -> None:
    """That ids are given once. Raises InvalidDocument."""
    faults = Faults()
    for what, names in (
        ("rules", [one.rule for one in document.rules]),
        ("forecasts", [one.forecast for one in document.forecasts]),
    ):
        for name, count in Counter(names).items():
            if count > 1:
                faults.say(f"{what}.{name}", f"stands there {count} times; ids are unique")
    faults.settle()


def compile_forecast(spec: ForecastSpec, *, tenant: str, schemas: Schemas) -> CompiledForecast:
    """Raises InvalidDocument."""
    faults, at = Faults(), f"forecasts.{spec.forecast}"
    if NAME.fullmatch(spec.forecast) is None:
        faults.say(at, "a name is letters, digits and _, with no digit first")
    method = Method(half_life_ms=1, step_ms=0, season_steps=1, forget_ms=1, shape="")
    with faults.gather(), _within(at):
        method = Method.of(spec)
    reader = _EventReader(spec.feed, schemas, faults, at)
    key = reader.compile(spec.key, "key", Kind.STRING)
    value = reader.compile(spec.value, "value", Kind.DOUBLE, Kind.INT)
    where = reader.optional(spec.where, "where")
    faults.settle()
    return CompiledForecast(
        tenant=tenant, spec=spec, method=method, key=key, value=value, where=where
    )


def compile_rule(
    spec: RuleSpec,
    *,
    tenant: str,
    version: int,
    schemas: Schemas,
    forecasts: Mapping[str, CompiledForecast],
) -> CompiledRule:
    """forecasts: the tenant's, by name. Raises InvalidDocument."""
    return _Compiler(spec, schemas, forecasts).compile(tenant, version)


@contextmanager
def _within(at: str) -> Iterator[None]:
    """What is wrong inside is named with where it stands."""
    try:
        yield
    except InvalidInput as error:
        field = f"{at}.{error.field}"
        raise InvalidInput(field, f"{at}.{error.message}") from None


@cache
def _environment(singles: tuple[str, ...], lists: tuple[str, ...], event: bool) -> Environment:
    """Rules that name their inputs alike share one."""
    variables = {
        "key": Kind.STRING, "now": Kind.TIMESTAMP, "plan": Kind.OBJECT,
        "window": Kind.OBJECT, "forecast": Kind.OBJECT,
    }  # fmt: skip
    variables |= dict.fromkeys(singles, Kind.OBJECT)
    variables |= dict.fromkeys(lists, Kind.LIST)
    if event:
        variables["event"] = Kind.OBJECT
    return Environment(variables)


class _EventReader:
    """Compiles expressions over one event of a feed."""

    def __init__(self, feed: str, schemas: Schemas, faults: Faults, at: str) -> None:
        self._faults, self._at = faults, at
        found = schemas.get(feed)
        if found is None:
            faults.say(f"{at}.feed", f'no feed "{feed}" that may be read here')
        self._roots = {"event": found or FeedSchema(feed, None)}

    def compile(self, text: str, field: str, *returns: Kind) -> Expression:
        """Where it fails, an expression that nobody will evaluate."""
        field = f"{self._at}.{field}"
        with self._faults.gather():
            found = EVENT.compile(text, field=field, returns=returns)
            check(found, self._roots, field, _json_types(returns))
            return found
        return EVENT.compile("false", field=field)

    def optional(self, text: str | None, field: str) -> Expression | None:
        return None if text is None else self.compile(text, field, Kind.BOOL)


class _Compiler:
    """Of one rule."""

    def __init__(
        self, spec: RuleSpec, schemas: Schemas, forecasts: Mapping[str, CompiledForecast]
    ) -> None:
        self._spec, self._schemas, self._forecasts = spec, schemas, forecasts
        self._faults = Faults()
        self._at = f"rules.{spec.rule}"
        self._reads: set[str] = set()
        self._forecast_fields: dict[str, dict[str, None]] = {}
        self._environment, self._roots = EVENT, dict[str, FeedSchema]()

    def compile(self, tenant: str, version: int) -> CompiledRule:
        spec = self._spec
        self._check_shape()
        late_ms = self._duration(spec.late, "late") or 0
        max_age_ms = self._duration(spec.max_age, "max_age", least_ms=1_000)
        cooldown_ms = self._duration(spec.cooldown, "cooldown", least_ms=1)
        wait_ms, at_most_ms = self._debounce()
        cumulative = spec.join is not None and spec.join.consume == "cumulative"
        present = tuple(sorted(name for name, one in spec.watch.items() if not one.absent))
        self._environment = _environment(
            () if cumulative else present, present if cumulative else (), spec.at_end_of is None
        )
        if not cumulative:
            self._roots = {name: self._schema(spec.watch[name].feed) for name in present}
        if len(spec.watch) == 1:
            self._roots["event"] = self._schema(next(iter(spec.watch.values())).feed)
        when = self._expression(spec.condition, "when", Kind.BOOL)
        inputs, windows, join = self._inputs(when), self._windows(), self._join()
        plan_of = None
        if spec.plan is not None:
            plan_of = self._expression(spec.plan.of, "plan.of", Kind.STRING, Kind.LIST)
            self._forbid(plan_of, "plan.of", "plan", "window", "forecast")
        effects = tuple(self._effects())
        self._faults.settle()
        spans = [one.window.over_ms or 2 * one.window.every_ms for one in windows.values()]
        spans += [join.within_ms] if join else []
        return CompiledRule(
            tenant=tenant,
            spec=spec,
            version=version,
            environment=self._environment,
            inputs=inputs,
            windows=windows,
            join=join,
            plan_of=plan_of,
            when=when,
            effects=effects,
            reads=frozenset(self._reads),
            read_forecasts={name: tuple(of) for name, of in self._forecast_fields.items()},
            forecasts={name: self._forecasts[name].method for name in self._forecast_fields},
            late_ms=late_ms,
            max_age_ms=max_age_ms or 0,
            wait_ms=wait_ms,
            wait_at_most_ms=at_most_ms,
            cooldown_ms=cooldown_ms or 0,
            horizon_ms=max([*spans, cooldown_ms or 0, at_most_ms]) + late_ms,
        )

    def _check_shape(self) -> None:
        """What does not need an expression."""
        spec, say, at = self._spec, self._faults.say, self._at
        if ID.fullmatch(spec.rule) is None:
            say(f"{at}.rule", "an id is 1 to 63 of a-z 0-9 - . and starts and ends with none of -.")
        if not 0 <= spec.priority <= 999:
            say(f"{at}.priority", f"{spec.priority} is not within 0 to 999")
        if not 1 <= spec.park_after <= 1_000:
            say(f"{at}.park_after", f"{spec.park_after} is not within 1 to 1,000")
        for name in (*spec.watch, *spec.windows):
            if NAME.fullmatch(name) is None or (name in _RESERVED and name in spec.watch):
                say(f"{at}.{name}", "is no name for this, or means something else already")
        present = [name for name, one in spec.watch.items() if not one.absent]
        if len(spec.watch) > MOST_INPUTS:
            say(f"{at}.watch", f"{len(spec.watch)} inputs; at most {MOST_INPUTS}")
        if len(spec.windows) > MOST_WINDOWS:
            say(f"{at}.windows", f"{len(spec.windows)} windows; at most {MOST_WINDOWS}")
        if not 1 <= len(spec.do) <= MOST_EFFECTS:
            say(f"{at}.do", f"{len(spec.do)} effects; 1 to {MOST_EFFECTS}")
        if spec.at_end_of is not None:
            ending = spec.windows.get(spec.at_end_of)
            if ending is None or ending.every is None:
                say(f"{at}.at_end_of", f'"{spec.at_end_of}" is no window of it with `every`')
            if spec.watch or spec.join:
                say(f"{at}.watch", "a rule that decides at the end of a window watches no events")
            if spec.max_age is not None:
                say(f"{at}.max_age", "is for rules that decide at events; windows have `late`")
        elif not present:
            say(f"{at}.watch", "watches no feed; name one, or a window in at_end_of")
        if len(spec.watch) > 1 and spec.join is None:
            say(f"{at}.join", "several inputs need `join` with `within` and `consume`")
        if spec.join is not None and len(spec.watch) < 2:
            say(f"{at}.join", "needs two inputs at least")
        if spec.late != "0s" and not spec.windows and spec.join is None:
            say(f"{at}.late", "is for rules with windows or a join; others have max_age")

    def _schema(self, feed: str) -> FeedSchema:
        return self._schemas.get(feed) or FeedSchema(feed, None)

    def _duration(self, text: str | None, field: str, *, least_ms: int = 0) -> int | None:
        if text is None:
            return None
        with self._faults.gather(), _within(self._at):
            return duration_ms(text, field, least_ms=least_ms)
        return None

    def _debounce(self) -> tuple[int, int]:
        given = self._spec.debounce
        if given is None:
            return 0, 0
        wait_ms = self._duration(given.wait, "debounce.wait", least_ms=1) or 1
        at_most_ms = self._duration(given.at_most, "debounce.at_most", least_ms=1)
        if at_most_ms is None:
            at_most_ms = 10 * wait_ms
        if at_most_ms < wait_ms:
            self._faults.say(f"{self._at}.debounce.at_most", "is shorter than `wait`")
        return wait_ms, at_most_ms

    def _expression(self, text: str, field: str, *returns: Kind) -> Expression:
        """Over everything a rule reads; notes what it reads. Where it fails, one that nobody
        will evaluate."""
        field = f"{self._at}.{field}"
        with self._faults.gather():
            found = self._environment.compile(text, field=field, returns=returns)
            check(found, self._roots, field, _json_types(returns))
            self._note(found, field)
            return found
        return EVENT.compile("false", field=field)

    def _note(self, expression: Expression, field: str) -> None:
        for path, _, _ in paths_read(expression.tree):
            if path[0] in self._environment.variables:
                self._reads.add(path[0])
            self._note_path(path, field)
        for node, bound in walk(expression.tree):
            if isinstance(node, Ident) and node.name == "plan" and node.name not in bound:
                self._needs_plan(field)

    def _note_path(self, path: Path, field: str) -> None:
        if path[0] == "window":
            self._check_names(path, field, self._spec.windows, WINDOW_FIELDS, "window")
        if path[0] == "forecast" and self._check_names(
            path, field, self._forecasts, FORECAST_FIELDS, "forecast"
        ):
            self._forecast_fields.setdefault(path[1], {})[path[2]] = None
            feed = self._forecasts[path[1]].spec.feed
            if self._schemas.get(feed) is None:  # an estimate tells of what it is made from
                self._faults.say(field, f'forecast {path[1]} is over feed "{feed}", which may not '
                                        "be read here")  # fmt: skip

    def _check_names(
        self, path: Path, field: str, names: Any, fields: frozenset[str], what: str
    ) -> bool:
        """Whether it is what.<name>.<field>; says so where it is not."""
        if len(path) < 3:
            self._faults.say(field, f"{'.'.join(path)} alone: read a field, {what}.<name>.<field>")
        elif path[1] not in names:
            known = ", ".join(sorted(names)) or "none"
            self._faults.say(field, f'no {what} "{path[1]}"; there is {known}')
        elif path[2] not in fields or len(path) > 3:
            known = ", ".join(sorted(fields))
            self._faults.say(field, f'{what}.{path[1]} has no "{path[2]}"; it has {known}')
        else:
            return True
        return False

    def _needs_plan(self, field: str) -> None:
        if self._spec.plan is None:
            self._faults.say(field, "reads `plan`, and the rule does not say whose: add `plan:`")

    def _forbid(self, expression: Expression, field: str, *names: str) -> None:
        for path, _, _ in paths_read(expression.tree):
            if path[0] in names:
                self._faults.say(f"{self._at}.{field}", f"cannot read {path[0]}")

    def _inputs(self, when: Expression) -> dict[str, Input]:
        inputs: dict[str, Input] = {}
        joined = len(self._spec.watch) > 1
        cumulative = self._spec.join is not None and self._spec.join.consume == "cumulative"
        for name, one in self._spec.watch.items():
            reader = _EventReader(one.feed, self._schemas, self._faults, f"{self._at}.watch.{name}")
            where = reader.optional(one.where, "where")
            conjuncts = () if where is None else conjuncts_of(where.tree, _EVENT_ROOTS)
            own = None
            if joined and not one.absent and not cumulative:
                own = self._asked_alone(name)
                conjuncts += () if own is None else conjuncts_of(own.tree, frozenset((name,)))
            elif not joined:
                conjuncts += conjuncts_of(when.tree, frozenset((name, "event")))
            inputs[name] = Input(
                name=name,
                feed=one.feed,
                key=reader.compile(one.key, "key", Kind.STRING),
                where=where,
                own=own,
                absent=one.absent,
                conjuncts=conjuncts,
            )
        return inputs

    def _asked_alone(self, name: str) -> Expression | None:
        """The clauses of `when` that read nothing but one input's event: without them holding
        nothing can match, so they decide which of its events a join keeps."""
        if self._faults.found:
            return None
        whole = clauses_of(self._spec.condition)
        clauses = whole.parts if whole.joined_by == "&&" else (whole,)
        alone: list[str] = []
        for clause in clauses:
            tree = self._environment.compile(clause.text, field="when").tree
            if {path[0] for path, _, _ in paths_read(tree)} == {name}:
                alone.append(f"({clause.text})")
        return self._environment.compile(" && ".join(alone), field="when") if alone else None

    def _windows(self) -> dict[str, FedWindow]:
        windows: dict[str, FedWindow] = {}
        for name, one in self._spec.windows.items():
            at = f"windows.{name}"
            feed, key = self._window_feed(one, at), one.key
            if key is None:
                same = [watch.key for watch in self._spec.watch.values() if watch.feed == feed]
                key = same[0] if same else "event.key"
            if (one.over is None) == (one.every is None):
                self._faults.say(
                    f"{self._at}.{at}", "is unbounded: give `over` (sliding) or `every` (tumbling)"
                )
            if not 1 <= one.limit <= MOST_IN_WINDOW:
                self._faults.say(
                    f"{self._at}.{at}.limit", f"{one.limit} is not within 1 to {MOST_IN_WINDOW:,}"
                )
            over_ms = self._duration(one.over, f"{at}.over", least_ms=1)
            every_ms = self._duration(one.every, f"{at}.every", least_ms=1_000)
            reader = _EventReader(feed, self._schemas, self._faults, f"{self._at}.{at}")
            where = reader.optional(one.where, "where")
            value = None
            if one.value is not None:
                value = reader.compile(one.value, "value", Kind.DOUBLE, Kind.INT)
            windows[name] = FedWindow(
                window=Window(
                    name=name,
                    over_ms=over_ms or 0,
                    every_ms=every_ms or 0,
                    limit=one.limit,
                    shape=_shape(feed, key, one.where, one.value, over_ms, every_ms),
                ),
                feed=feed,
                key=reader.compile(key, "key", Kind.STRING),
                where=where,
                value=value,
                conjuncts=() if where is None else conjuncts_of(where.tree, _EVENT_ROOTS),
            )
        return windows

    def _window_feed(self, one: WindowSpec, at: str) -> str:
        if one.feed is not None:
            return one.feed
        feeds = {watch.feed for watch in self._spec.watch.values()}
        if len(feeds) != 1:
            self._faults.say(f"{self._at}.{at}.feed", "name the feed; the rule has not just one")
        return min(feeds, default="")

    def _join(self) -> Join | None:
        given = self._spec.join
        if given is None:
            return None
        within_ms = self._duration(given.within, "join.within", least_ms=1) or 1
        if not 1 <= given.keep <= MOST_KEPT:
            self._faults.say(
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
                self._faults.say(f"{self._at}.{at}", "is either `change` or `invoke`")
            elif one.change is not None:
                given = one.change
                self._needs_plan(f"{self._at}.{at}.change")
                if given.shift is None and given.cancel is None and not given.config:
                    self._faults.say(f"{self._at}.{at}.change", "changes nothing")
                shift = None
                if given.shift is not None:
                    shift = self._expression(given.shift, f"{at}.change.shift", Kind.DURATION)
                cancel = given.cancel
                if cancel is not None:
                    cancel = self._value(cancel, f"{at}.change.cancel", Kind.BOOL)  # type: ignore[assignment]
                config = tuple(
                    (action, name, self._value(value, f"{at}.change.config.{action}.{name}"))
                    for action, fields in given.config.items()
                    for name, value in fields.items()
                )
                every = given.occurrence == "every"
                yield Change(shift=shift, cancel=cancel, config=config, every=every)
            elif one.invoke is not None:
                deadline = self._duration(one.invoke.deadline, f"{at}.invoke.deadline", least_ms=1)
                yield Invocation(
                    application=one.invoke.application,
                    action=one.invoke.action,
                    config=tuple(
                        (name, self._value(value, f"{at}.invoke.config.{name}"))
                        for name, value in one.invoke.config.items()
                    ),
                    deadline_ms=deadline or 0,
                )

    def _value(self, value: Value, field: str, *returns: Kind) -> Computed:
        if isinstance(value, str):
            return self._expression(value, field, *returns)
        if returns == (Kind.BOOL,) and not isinstance(value, bool):
            self._faults.say(f"{self._at}.{field}", f"must be true, false or CEL, not {value}")
        return value


def _json_types(kinds: tuple[Kind, ...]) -> frozenset[str]:
    """What a field of an event must be to give such a result; empty: anything."""
    return frozenset(_JSON_TYPES[kind] for kind in kinds if kind in _JSON_TYPES)


_JSON_TYPES = {
    Kind.BOOL: "boolean", Kind.STRING: "string", Kind.INT: "number", Kind.DOUBLE: "number",
    Kind.LIST: "array",
}  # fmt: skip


def _shape(*parts: object) -> str:
    """Changes with what determines the form and meaning of state."""
    return blake2b(repr(parts).encode(), digest_size=6).hexdigest()
