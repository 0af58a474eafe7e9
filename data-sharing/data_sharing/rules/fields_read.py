"""Fields read: which fields of the events they are given rules and forecasts read."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.expressions.expression import Expression
from control_plane.expressions.tree import paths_read
from data_sharing.rules.compiled import (
    Change,
    CompiledForecast,
    CompiledRule,
    FedWindow,
    Input,
    Invocation,
)
from data_sharing.rules.event_view import EventExpression
from data_sharing.sharing.fields import Path

_SHOWN = ("data", "key", "subject")  # other attributes are always shown


def feeds_of(rule: CompiledRule) -> set[str]:
    """The feeds whose events a rule is given."""
    return {part.feed for part in _parts(rule)}


def _parts(rule: CompiledRule) -> list[Input | FedWindow]:
    return [*rule.inputs.values(), *rule.windows.values()]


def fields_read(rule: CompiledRule) -> dict[str, set[Path]]:
    """What a rule reads of the events it is given, by feed: paths below the event."""
    found: dict[str, set[Path]] = {feed: set() for feed in feeds_of(rule)}
    for part in _parts(rule):
        for of_event in _of_part(part):
            found[part.feed] |= _below(of_event.expression, "event")
    for expression in _of_whole(rule):
        for one in rule.inputs.values():
            found[one.feed] |= _below(expression, one.name) | _below(expression, "event")
    return found


def fields_estimated(one: CompiledForecast) -> set[Path]:
    """The same of a forecast, of its feed."""
    parts = (one.key, one.value, one.where)
    return {path for part in parts if part is not None for path in _below(part.expression, "event")}


def _of_part(part: Input | FedWindow) -> Iterator[EventExpression]:
    value = part.value if isinstance(part, FedWindow) else None
    yield from (one for one in (part.key, part.where, value) if one is not None)


def _of_whole(rule: CompiledRule) -> Iterator[Expression]:
    yield rule.when
    if rule.pattern is not None:
        yield from (one.condition for one in rule.pattern.parts if one.condition is not None)
    if rule.plan_of is not None:
        yield rule.plan_of
    for effect in rule.effects:
        computed: list[object] = []
        if isinstance(effect, Invocation):
            computed += (value for _, value in effect.config)
        elif isinstance(effect, Change):
            computed += (effect.shift, effect.cancel, *(value for _, _, value in effect.config))
        yield from (one for one in computed if isinstance(one, Expression))


def _below(expression: Expression, variable: str) -> set[Path]:
    """What it reads of the event that the variable stands for."""
    found: set[Path] = set()
    for path, _, _ in paths_read(expression.tree):
        if path[0] == variable:
            if len(path) == 1:
                found |= {(name,) for name in _SHOWN}
            elif path[1] in _SHOWN:
                found.add(path[1:])
    return found


def key_expressions(of: CompiledRule | CompiledForecast) -> list[tuple[str, EventExpression]]:
    """By what it keeps its state, for each feed that it is given, as (feed, key)."""
    if isinstance(of, CompiledForecast):
        return [(of.spec.feed, of.key)]
    return [(part.feed, part.key) for part in _parts(of)]
