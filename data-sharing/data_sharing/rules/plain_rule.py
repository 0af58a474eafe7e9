"""Plain rules: the shortest way, of those that fire wherever the index finds them.

Such a rule looks at one event alone, its conditions say no more than the index knows, joined by &&
alone, and what it wants done is invocations whose settings are constants or fields of the event.
What it makes of an event is read from the event itself, so that neither the view of it nor CEL is
asked; it is what `stateless_rule` makes of the same rule and event, and a test holds it to that.
Where an event gives more than texts, truth values and numbers that doubles have, it says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from control_plane.expressions.clauses import Clause
from control_plane.expressions.expression import Expression
from control_plane.expressions.tree import Constant, Path
from data_sharing.event import Event
from data_sharing.rules.compiled import CompiledRule, Computed, Input, Invocation
from data_sharing.rules.effect_builder import RequestedEffect
from data_sharing.rules.effects import Cause, Invoke, effect_id_of, effect_id_prefix
from data_sharing.rules.evaluation_context import EvaluationContext, RuleResult
from data_sharing.rules.feed_schema import ATTRIBUTES
from data_sharing.rules.results import ClauseOutcome, RuleOutcome, RuleVerdict

_EXACT = 2**53
_LONGEST = 200  # characters of a text that is shown whole
_TEXTS = frozenset(ATTRIBUTES) - {"data", "time"}
_FIRED = RuleVerdict.FIRED


class _Field:
    """One that is read of an event. path: below the event."""

    __slots__ = ("_first", "_rest", "_text")

    def __init__(self, path: Path) -> None:
        self._text = path[0] if len(path) == 1 else ""
        self._first = path[0] if self._text else path[1]
        self._rest = path[2:]

    def value(self, event: Event) -> Any:
        """As JSON has it in what is told and sent; None: ask the long way."""
        found: Any
        if self._text:
            found = getattr(event, self._text)
        else:
            found = event.data.get(self._first)
            for name in self._rest:
                if not isinstance(found, dict):
                    return None
                found = found.get(name)
        if isinstance(found, (str, bool)):
            return found
        if isinstance(found, int):
            return found if -_EXACT < found < _EXACT else None
        if isinstance(found, float) and -_EXACT < found < _EXACT:
            return int(found) if found.is_integer() else found
        return None


class _Leaf:
    """A clause without parts. reads: by how they are shown, numbers of fields."""

    __slots__ = ("reads", "text")

    def __init__(self, text: str, reads: tuple[tuple[str, int], ...]) -> None:
        self.text = text
        self.reads = reads


class _Invocation:
    """settings: each with the number of its field, or -1 and a constant."""

    __slots__ = ("of", "prefix", "settings")

    def __init__(
        self, of: Invocation, prefix: str, settings: tuple[tuple[str, int, Any], ...]
    ) -> None:
        self.of = of
        self.prefix = prefix
        self.settings = settings


class PlainRule:
    """Made by `plain_of`."""

    __slots__ = ("_fields", "_invocations", "_leaves", "_one", "_rule", "_text")

    def __init__(
        self,
        rule: CompiledRule,
        one: Input,
        fields: list[_Field],
        leaves: list[_Leaf],
        invocations: list[_Invocation],
    ) -> None:
        self._rule = rule
        self._one = one
        self._fields = fields
        self._leaves = leaves
        self._text = rule.clauses.text
        self._invocations = invocations

    def fired(self, context: EvaluationContext) -> RuleResult | None:
        """On the event of the context, which an index has found for the rule. None: the long way
        is to be asked."""
        rule, one, event = self._rule, self._one, context.event
        if event is None:
            return None
        key = one.key.of(event)
        if type(key) is not str or (
            rule.max_age_ms and context.now_ms - event.time_ms > rule.max_age_ms
        ):
            return None
        if one.where is not None and one.where.of(event) is not True:
            return None
        refs = context.refs
        ref = refs[0]
        if ref.hops >= context.most_hops and not context.again:
            return None
        values: list[Any] = []
        for field in self._fields:
            value = field.value(event)
            if value is None:
                return None
            values.append(value)
        read: dict[str, Any] = {}
        parts: list[ClauseOutcome] = []
        for leaf in self._leaves:
            own: dict[str, Any] = {}
            for name, number in leaf.reads:
                value = values[number]
                if isinstance(value, str) and len(value) > _LONGEST:
                    return None
                own[name] = value
            read.update(own)
            parts.append(ClauseOutcome(leaf.text, "true", own))
        clauses: ClauseOutcome | None = None
        if context.explaining:
            clauses = parts[0]
            if len(parts) > 1:
                clauses = ClauseOutcome(self._text, "true", {}, "&&", tuple(parts))
        cause = Cause(
            rule.id, rule.version, refs, "", "", "", "", ref.hops, ref.correlation
        )  # fmt: skip
        effects = [self._effect(one, values, cause, context.now_ms) for one in self._invocations]
        outcome = RuleOutcome(
            rule.id, rule.version, _FIRED, key, "", "", refs, (), (), read, clauses, (),
            ref.hops, ref.correlation,
        )  # fmt: skip
        return RuleResult(outcome, rule, effects)

    def _effect(
        self, one: _Invocation, values: list[Any], cause: Cause, now_ms: int
    ) -> RequestedEffect:
        config: dict[str, Any] = {}
        for name, number, constant in one.settings:
            config[name] = constant if number < 0 else values[number]
        of = one.of
        return RequestedEffect(
            Invoke(
                effect_id_of(one.prefix, cause.events), self._rule.tenant, of.application,
                of.action, config, now_ms + of.deadline_ms, "", None, cause, of.approval,
            ),
            None,
        )  # fmt: skip


def plain_of(rule: CompiledRule, one: Input) -> PlainRule | None:
    """rule: one of which `alone` is true; one: its input. None: it is no plain one."""
    if not one.found:
        return None
    names = frozenset((one.name, "event"))
    fields: dict[Path, int] = {}
    leaves = _leaves(rule, names, fields)
    invocations: list[_Invocation] = []
    for number, effect in enumerate(rule.effects):
        if not isinstance(effect, Invocation) or effect.hours is not None:
            return None
        settings = _settings(effect, names, fields)
        if settings is None:
            return None
        prefix = effect_id_prefix(rule.tenant, rule.id, rule.version, number)
        invocations.append(_Invocation(effect, prefix, settings))
    if leaves is None:
        return None
    return PlainRule(rule, one, [_Field(path) for path in fields], leaves, invocations)


def _leaves(
    rule: CompiledRule, names: frozenset[str], fields: dict[Path, int]
) -> list[_Leaf] | None:
    """In the order in which they are told; None: they are joined otherwise, or read more."""
    split = rule.clauses
    if split.parts and not _is_conjunction(split):
        return None
    found: list[_Leaf] = []
    for leaf in split.parts or (split,):
        paths = rule.clause_paths[leaf.text] if split.parts else rule.paths
        reads: list[tuple[str, int]] = []
        for name, path in paths.items():
            number = _number(path, names, fields)
            if number < 0:
                return None
            reads.append((name, number))
        found.append(_Leaf(leaf.text, tuple(reads)))
    return found


def _is_conjunction(split: Clause) -> bool:
    """Whether && joins it, of parts that have none."""
    return split.joined_by == "&&" and not any(part.parts for part in split.parts)


def _settings(
    effect: Invocation, names: frozenset[str], fields: dict[Path, int]
) -> tuple[tuple[str, int, Any], ...] | None:
    found: list[tuple[str, int, Any]] = []
    for name, computed in effect.config:
        constant = _constant(computed)
        if constant is not None:
            found.append((name, -1, constant))
            continue
        path = computed.path if isinstance(computed, Expression) else None
        number = -1 if path is None else _number(path, names, fields)
        if number < 0:
            return None
        found.append((name, number, None))
    return tuple(found)


def _constant(computed: Computed) -> str | int | bool | None:
    """What it is for every event; None: it is not known to be a text, a truth value or a whole
    number."""
    value: Any = computed
    if isinstance(computed, Expression):
        value = computed.tree.value if isinstance(computed.tree, Constant) else None
    if isinstance(value, (str, bool)):
        return value
    return value if isinstance(value, int) and abs(value) < _EXACT else None


def _number(path: Sequence[str], names: frozenset[str], fields: dict[Path, int]) -> int:
    """Of the field that stands there; -1: it is none that is read so."""
    below = tuple(path[1:])
    if path[0] not in names or not below or (below[0] == "data") is (len(below) == 1):
        return -1
    if below[0] != "data" and (len(below) > 1 or below[0] not in _TEXTS):
        return -1
    return fields.setdefault(below, len(fields))
