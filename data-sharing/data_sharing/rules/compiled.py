"""CompiledRule: a rule whose expressions are compiled and whose parts fit together.

Made once per version by `compiling.py`; immutable, so that any number of decisions share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from control_plane.expressions.clauses import Clause, clauses_of
from control_plane.expressions.direct import Direct
from control_plane.expressions.environment import Environment
from control_plane.expressions.expression import Expression
from control_plane.expressions.tree import Call, Node, Path, paths_read
from data_sharing.calendars.active_hours import ActiveHours
from data_sharing.event import Event
from data_sharing.forecasts.forecast import Method
from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.instruction import ApprovalTerms
from data_sharing.rules import audiences
from data_sharing.rules.cell_cache import CellId
from data_sharing.rules.event_condition import event_condition
from data_sharing.rules.event_view import EventExpression, EventView
from data_sharing.rules.joins import Join
from data_sharing.rules.patterns import Pattern
from data_sharing.rules.predicates import Conjunct
from data_sharing.rules.rate_limits import RateLimit
from data_sharing.rules.rollout import ALWAYS, CANDIDATE, Activation
from data_sharing.rules.spec import RuleSpec
from data_sharing.rules.watermarks import Lateness
from data_sharing.rules.windows import Window
from data_sharing.sharing.audience import Audience

Computed: TypeAlias = Expression | str | int | float | bool  # text never stands for itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One feed of a rule. own: in a join, what `when` asks of this input's event alone; others
    do not take part. conjuncts: what an event must have to matter, as far as the index knows.
    found: they say all that `when` says, so that of an event that the index finds it holds."""

    name: str
    feed: str
    key: EventExpression
    where: EventExpression | None
    own: Expression | None
    absent: bool
    conjuncts: tuple[Conjunct, ...]
    found: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FedWindow:
    """A window with what puts events into it."""

    window: Window
    feed: str
    key: EventExpression
    where: EventExpression | None
    value: EventExpression | None
    conjuncts: tuple[Conjunct, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """shift, cancel and config as in ChangeSpec; `every`: of every occurrence."""

    shift: Expression | None
    cancel: Computed | None
    config: tuple[tuple[str, str, Computed], ...]  # action, field, value
    every: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """gives: JSON types that what is computed for a setting may have, as far as they are known."""

    application: str
    action: str
    config: tuple[tuple[str, Computed], ...]
    deadline_ms: int
    gives: Mapping[str, frozenset[str]]
    approval: ApprovalTerms | None = None
    hours: ActiveHours | None = None  # None: any time


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledForecast:
    """warnings: values that its feed's schema allows and on which it fails."""

    tenant: str
    spec: ForecastSpec
    method: Method
    key: EventExpression
    value: EventExpression
    where: EventExpression | None
    warnings: tuple[str, ...] = ()

    @property
    def audience(self) -> Audience:
        """Whom it tells what it reads."""
        return audiences.of_forecast(self.spec)


class _Remembering:
    """What has no slots, so that cached properties have a place; fields beside them do not: more
    than some 30 names and each object has a whole table of its own, of 1.5 KiB."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompiledRule(_Remembering):
    """reads: names of the variables that its expressions read. views: how they read events, by
    variable and feed. read_forecasts: fields by name. warnings: values that feeds' schemas allow
    and on which it fails."""

    tenant: str
    spec: RuleSpec
    version: int
    environment: Environment
    inputs: Mapping[str, Input]
    windows: Mapping[str, FedWindow]
    join: Join | None
    pattern: Pattern | None
    plan_of: Expression | None
    when: Expression
    effects: tuple[Change | Invocation, ...]
    reads: frozenset[str]
    views: Mapping[tuple[str, str], EventView]
    read_forecasts: Mapping[str, tuple[str, ...]]
    forecasts: Mapping[str, Method]
    lateness: Lateness
    max_age_ms: int  # 0: any
    wait_ms: int  # 0: no debounce
    wait_at_most_ms: int
    cooldown_ms: int
    limits: tuple[RateLimit, ...]
    hours: ActiveHours | None  # None: any time
    retry_after_ms: int  # of what is parked
    retry_at_most_ms: int
    horizon_ms: int  # how long state can matter after the newest event
    warnings: tuple[str, ...] = ()
    activation: Activation = ALWAYS

    @cached_property
    def late_ms(self) -> int:
        """How much older than the newest of its key an event may be."""
        return self.lateness.allowed_ms

    @cached_property
    def id(self) -> str:
        return self.spec.rule

    @cached_property
    def slot(self) -> str:
        """Its name in a set: the id; of the new version in a rollout another."""
        return self.id + CANDIDATE if self.activation.candidate else self.id

    @cached_property
    def state(self) -> str:
        """The name of its cells and timers."""
        return self.activation.state or self.id

    @cached_property
    def order(self) -> tuple[int, str, bool]:
        """The order in which rules are decided: by priority, then by id."""
        return (-self.spec.priority, self.spec.rule, self.activation.candidate)

    @cached_property
    def audience(self) -> Audience:
        """Whom it tells what it reads."""
        return audiences.of_rule(self.spec)

    @cached_property
    def stateful(self) -> bool:
        """Whether it has a cell at each key."""
        kept = self.windows or self.join or self.pattern or self.limits or self.hours
        return bool(kept or self.wait_ms or self.cooldown_ms)

    @cached_property
    def alone(self) -> bool:
        """Whether one event is all that it looks at."""
        reads = {"key", "now", "event", *self.inputs}
        return (
            not self.stateful
            and self.plan_of is None
            and len(self.inputs) == 1
            and self.reads <= reads
        )

    @cached_property
    def condition_of_event(self) -> Direct[Event] | None:
        """`when` of a rule that looks at one event alone, asked of the event itself; None: it asks
        more than that can tell."""
        return event_condition(self.when.tree, frozenset((*self.inputs, "event")))

    @cached_property
    def health_cell(self) -> CellId:
        """Where it is kept how the rule fares."""
        return CellId(self.tenant, "health", self.slot, "")

    @cached_property
    def clauses(self) -> Clause:
        """Of `when`."""
        return clauses_of(self.spec.condition)

    @cached_property
    def clause_paths(self) -> Mapping[str, Mapping[str, Path]]:
        """What the leaves of `clauses` read, by their text."""
        leaves, trees = list(self.clauses.leaves()), list(_joined(self.when.tree))
        if len(leaves) == len(trees):  # in the same order, and nothing has to be compiled
            return {leaf.text: self._paths(tree) for leaf, tree in zip(leaves, trees, strict=True)}
        return {leaf.text: self._paths(self.clause(leaf.text).tree) for leaf in leaves}

    def clause(self, text: str) -> Expression:
        """A leaf of `clauses`, compiled when it is first asked for."""
        found = self._compiled_clauses.get(text)
        if found is None:
            found = self.environment.compile(text, field="when")
            self._compiled_clauses[text] = found
        return found

    @cached_property
    def _compiled_clauses(self) -> dict[str, Expression]:
        return {}

    @cached_property
    def paths(self) -> Mapping[str, Path]:
        """That `when` reads, by how they are shown: "event.data.speed"."""
        return self._paths(self.when.tree)

    def _paths(self, tree: Node) -> Mapping[str, Path]:
        """From variables alone: `int` in `type(x) == int` is none."""
        known = self.environment.variables
        return {".".join(path): path for path, _, _ in paths_read(tree) if path[0] in known}


def _joined(tree: Node) -> Iterator[Node]:
    """What its outermost && and || join, left to right."""
    if isinstance(tree, Call) and tree.function in ("_&&_", "_||_"):
        for part in tree.args:
            yield from _joined(part)
    else:
        yield tree


def read_path(values: Mapping[str, Any], path: Path) -> Any:
    """What stands there; None where nothing does."""
    found: Any = values
    for name in path:
        if type(found) is not dict and not isinstance(found, Mapping):  # abc is slow to ask
            return None
        found = found.get(name)
    return found
