"""Expression readers: compile the expressions of rules, over one event or over all that a rule may
read.

Each is checked for syntax, types, and what it reads: fields of feeds against their schemas,
windows and forecasts by name. What a rule reads is noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from control_plane.expressions.clauses import clauses_of
from control_plane.expressions.environment import Environment, ValueType
from control_plane.expressions.expression import Expression
from control_plane.expressions.tree import Ident, Path, paths_read, walk
from data_sharing.forecasts.forecast import FIELDS as FORECAST_FIELDS
from data_sharing.rules.compiled import CompiledForecast, Computed
from data_sharing.rules.document_faults import FaultCollector
from data_sharing.rules.event_view import EVENT, EventExpression, EventView
from data_sharing.rules.feed_schema import FeedSchema, check
from data_sharing.rules.operand_check import OperandCheck
from data_sharing.rules.operands import Operand, json_types_of, of_kind, of_values
from data_sharing.rules.spec import RuleSpec, Value
from data_sharing.rules.value_types import values_of
from data_sharing.rules.windows import FIELDS as WINDOW_FIELDS

MOST_SHARED = 64  # expressions of one feed that are shared
_PATHS: WeakKeyDictionary[FeedSchema, dict[tuple[str, tuple[ValueType, ...]], EventExpression]] = (
    WeakKeyDictionary()
)
"""Expressions that only read one path, as `event.key`, of which no rule has to be told anything.
Nearly every rule has one of them."""


class Schemas(Protocol):
    """The feeds that may be read: a feed that is not there is an error."""

    def get(self, feed: str, /) -> FeedSchema | None: ...


class EventReader:
    """Compiles expressions over one event of a feed."""

    def __init__(self, feed: str, schemas: Schemas, faults: FaultCollector, at: str) -> None:
        self._faults, self._at = faults, at
        found = schemas.get(feed)
        if found is None:
            faults.add(f"{at}.feed", f'no feed "{feed}" that may be read here')
        self._schema = found or FeedSchema(feed, None)
        self._operands = OperandCheck(
            lambda path: event_operand(self._schema, path[1:]) if path[0] == "event" else None,
            faults,
        )

    def compile(self, text: str, field: str, *returns: ValueType) -> EventExpression:
        """Where it fails, an expression that nobody will evaluate."""
        shared = _PATHS.setdefault(self._schema, {})
        known = shared.get((text, returns))
        if known is not None:
            return known
        field = f"{self._at}.{field}"
        warnings = list[str]()

        def warn(said: str) -> None:
            warnings.append(said)
            self._faults.warn(said)

        with self._faults.gather():
            found = EVENT.compile(text, field=field, returns=returns)
            check(found, {"event": self._schema}, field, _json_types(returns), warn)
            self._operands.check(found, field)
            made = EventExpression(found, self._schema)
            if found.path is not None and not warnings and len(shared) < MOST_SHARED:
                shared[text, returns] = made
            return made
        return EventExpression(EVENT.compile("false", field=field), self._schema)

    def optional(self, text: str | None, field: str) -> EventExpression | None:
        return None if text is None else self.compile(text, field, ValueType.BOOL)


class RuleReader:
    """Of one rule. `reads` are the roots that its expressions look at, `forecast_fields` what
    they want of which forecast, `gives` the JSON types of what is known of their results, by
    field."""

    def __init__(
        self,
        spec: RuleSpec,
        schemas: Schemas,
        forecasts: Mapping[str, CompiledForecast],
        faults: FaultCollector,
    ) -> None:
        self._spec, self._schemas, self._forecasts = spec, schemas, forecasts
        self._faults = faults
        self._at = f"rules.{spec.rule}"
        self.reads: set[str] = set()
        self.gives: dict[str, frozenset[str]] = {}
        self.forecast_fields: dict[str, dict[str, None]] = {}
        self._paths: dict[str, set[Path]] = {}  # read of events, by variable
        parts = () if spec.sequence is None else spec.sequence.steps
        self._unseen = {one.without for one in parts if one.step is None}
        self._operands = OperandCheck(self._operand, faults)
        self._roots: dict[str, FeedSchema] = {}
        cumulative = spec.join is not None and spec.join.consume == "cumulative"
        present = tuple(sorted(name for name, one in spec.watch.items() if not one.absent))
        self.environment = _environment(
            () if cumulative else present, present if cumulative else (), spec.at_end_of is None
        )
        if not cumulative:
            self._roots = {name: self._schema(spec.watch[name].feed) for name in present}
        if len(spec.watch) == 1:
            self._roots["event"] = self._schema(next(iter(spec.watch.values())).feed)

    def expression(self, text: str, field: str, *returns: ValueType) -> Expression:
        """Over everything a rule reads; notes what it reads. Where it fails, one that nobody
        will evaluate."""
        field = f"{self._at}.{field}"
        with self._faults.gather():
            found = self.environment.compile(text, field=field, returns=returns)
            check(found, self._roots, field, _json_types(returns), self._faults.warn)
            operand = self._operands.check(found, field)
            if operand.known:
                self.gives[field] = json_types_of(operand)
            self._note(found, field)
            return found
        return EVENT.compile("false", field=field)

    def _note(self, expression: Expression, field: str) -> None:
        for path, _, _ in paths_read(expression.tree):
            if path[0] in self.environment.variables:
                self.reads.add(path[0])
                self._paths.setdefault(path[0], set()).add(path[1:])
            if path[0] in self._unseen and not field.startswith(f"{self._at}.sequence."):
                said = f"cannot read {path[0]}: where the rule fires, none of its events came"
                self._faults.add(field, said)
            self._note_path(path, field)
        if "plan" not in expression.text:
            return
        for node, bound in walk(expression.tree):
            if isinstance(node, Ident) and node.name == "plan" and node.name not in bound:
                self.needs_plan(field)

    def views(self) -> dict[tuple[str, str], EventView]:
        """How what was compiled reads events: by variable and feed."""
        feeds: dict[str, tuple[str, ...]] = {
            name: (one.feed,) for name, one in self._spec.watch.items()
        }
        feeds["event"] = tuple({one.feed: None for one in self._spec.watch.values()})
        return {
            (name, feed): EventView(self._schema(feed), paths)
            for name, paths in self._paths.items()
            for feed in feeds.get(name, ())
        }

    def _operand(self, path: Path) -> Operand | None:
        """What stands at a path; None: nothing is known."""
        root = path[0]
        if root in self._roots:
            return event_operand(self._roots[root], path[1:])
        if root == "window":
            return of_kind("int" if path[2:] in _COUNTS else "double")
        if root == "forecast":
            return of_kind("int" if path[2:] in _COUNTS else "double")
        if root == "plan" and path[3:4] == ("config",):
            return of_values(values_of(None))
        return _VARIABLES.get(path)

    def _note_path(self, path: Path, field: str) -> None:
        if path[0] == "window":
            self._check_names(path, field, self._spec.windows, WINDOW_FIELDS, "window")
        if path[0] == "forecast" and self._check_names(
            path, field, self._forecasts, FORECAST_FIELDS, "forecast"
        ):
            self.forecast_fields.setdefault(path[1], {})[path[2]] = None
            feed = self._forecasts[path[1]].spec.feed
            if self._schemas.get(feed) is None:  # an estimate tells of what it is made from
                self._faults.add(field, f'forecast {path[1]} is over feed "{feed}", which may not '
                                        "be read here")  # fmt: skip

    def _check_names(
        self, path: Path, field: str, names: Any, fields: frozenset[str], what: str
    ) -> bool:
        """Whether it is what.<name>.<field>; says so where it is not."""
        if len(path) < 3:
            self._faults.add(field, f"{'.'.join(path)} alone: read a field, {what}.<name>.<field>")
        elif path[1] not in names:
            known = ", ".join(sorted(names)) or "none"
            self._faults.add(field, f'no {what} "{path[1]}"; there is {known}')
        elif path[2] not in fields or len(path) > 3:
            known = ", ".join(sorted(fields))
            self._faults.add(field, f'{what}.{path[1]} has no "{path[2]}"; it has {known}')
        else:
            return True
        return False

    def needs_plan(self, field: str) -> None:
        if self._spec.plan is None:
            self._faults.add(field, "reads `plan`, and the rule does not say whose: add `plan:`")

    def forbid(self, expression: Expression, field: str, *names: str) -> None:
        for path, _, _ in paths_read(expression.tree):
            if path[0] in names:
                self._faults.add(f"{self._at}.{field}", f"cannot read {path[0]}")

    def value(self, value: Value, field: str, *returns: ValueType) -> Computed:
        if isinstance(value, str):
            return self.expression(value, field, *returns)
        if returns == (ValueType.BOOL,) and not isinstance(value, bool):
            self._faults.add(f"{self._at}.{field}", f"must be true, false or CEL, not {value}")
        return value

    def asked_alone(self, name: str) -> Expression | None:
        """The clauses of `when` that read nothing but one input's event: without them holding
        nothing can match, so they decide which of its events a join keeps."""
        if self._faults.found:
            return None
        whole = clauses_of(self._spec.condition)
        clauses = whole.parts if whole.joined_by == "&&" else (whole,)
        alone: list[str] = []
        for clause in clauses:
            tree = self.environment.compile(clause.text, field="when").tree
            if {path[0] for path, _, _ in paths_read(tree)} == {name}:
                alone.append(f"({clause.text})")
        return self.environment.compile(" && ".join(alone), field="when") if alone else None

    def _schema(self, feed: str) -> FeedSchema:
        return self._schemas.get(feed) or FeedSchema(feed, None)


def event_operand(schema: FeedSchema, path: Path) -> Operand | None:
    """What stands at a path below an event; None: nothing is known."""
    if not path:
        return of_kind("map")
    if path[0] != "data":
        return of_kind("timestamp" if path[0] == "time" else "string")
    types = schema.values
    for name in path[1:]:
        types = types.property(name)
    return of_values(types)


_COUNTS = frozenset((("count",), ("from",), ("to",), ("last_at_ms",)))
_VARIABLES = {
    ("key",): of_kind("string"), ("now",): of_kind("timestamp"), ("plan", "id"): of_kind("string"),
    ("plan", "name"): of_kind("string"), ("plan", "owner"): of_kind("string"),
    ("plan", "planned_at"): of_kind("timestamp"), ("plan", "at"): of_kind("timestamp"),
    ("plan", "shift"): of_kind("duration"), ("plan", "cancelled"): of_kind("bool"),
}  # fmt: skip


@cache
def _environment(singles: tuple[str, ...], lists: tuple[str, ...], event: bool) -> Environment:
    """Rules that name their inputs alike share one."""
    variables = {
        "key": ValueType.STRING, "now": ValueType.TIMESTAMP, "plan": ValueType.OBJECT,
        "window": ValueType.OBJECT, "forecast": ValueType.OBJECT,
    }  # fmt: skip
    variables |= dict.fromkeys(singles, ValueType.OBJECT)
    variables |= dict.fromkeys(lists, ValueType.LIST)
    if event:
        variables["event"] = ValueType.OBJECT
    return Environment(variables)


@cache
def _json_types(kinds: tuple[ValueType, ...]) -> frozenset[str]:
    """What a field of an event must be to give such a result; empty: anything."""
    return frozenset(_JSON_TYPES[kind] for kind in kinds if kind in _JSON_TYPES)


_JSON_TYPES = {
    ValueType.BOOL: "boolean",
    ValueType.STRING: "string",
    ValueType.INT: "number",
    ValueType.DOUBLE: "number",
    ValueType.LIST: "array",
}
