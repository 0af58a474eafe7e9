"""EventCost: what one event of a feed can cost all rules of a tenant together, at worst. Pure.

Each expression has a cost that is known when it is compiled (control_plane.expressions.cost); here
they are added up. The index leaves out rules that ask an equality of an event that does not have
it, and an event has one value at each place: so of rules that are told apart by what they want at
one place, only those of the costliest value count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from control_plane.errors import Refused
from control_plane.expressions.cost import BUDGET
from control_plane.expressions.expression import Expression
from data_sharing.rules.compiled import Change, CompiledForecast, CompiledRule, FedWindow, Input
from data_sharing.rules.event_view import EventExpression
from data_sharing.rules.predicates import Conjunct, Equals

FEED_BUDGET = 50 * BUDGET  # units: about half a second, as long as nobody else is decided
_NAMED = 3  # rules that a refusal names


class EventCost(NamedTuple):
    """Of one part of a rule, or of a forecast. place: where an event has to have one of `values`
    for it to matter, with dots between; empty: any event may."""

    rule: str
    feed: str
    units: int
    place: str
    values: tuple[str, ...]


def of_rule(rule: CompiledRule) -> Iterator[EventCost]:
    """One for each of its inputs and windows."""
    decided = sum(one.units for one in _decided(rule))
    parts: list[Input | FedWindow] = [*rule.inputs.values(), *rule.windows.values()]
    for part in parts:
        units = sum(one.units for one in _asked(part))
        if isinstance(part, Input):
            units += decided + _of_partial_matches(rule, part)
        place, values = _told_apart(part.conjuncts)
        yield EventCost(rule.id, part.feed, units, place, values)


def of_forecast(one: CompiledForecast) -> EventCost:
    """It is fed by every event."""
    asked = [one.key, one.value, *([one.where] if one.where is not None else [])]
    units = sum(each.expression.units for each in asked)
    return EventCost(one.spec.forecast, one.spec.feed, units, "", ())


def check_feeds(tenant: str, costs: Sequence[EventCost], feeds: Iterable[str]) -> None:
    """Whether one event of any of these feeds can cost more than it may. Raises Refused."""
    wanted = set(feeds)
    by_feed: dict[str, list[EventCost]] = defaultdict(list)
    for one in costs:
        if one.feed in wanted:
            by_feed[one.feed].append(one)
    for feed in sorted(by_feed):
        units = units_of(by_feed[feed])
        if units > FEED_BUDGET:
            costliest = sorted(by_feed[feed], key=lambda one: (-one.units, one.rule))[:_NAMED]
            named = ", ".join(f"{one.rule} {one.units:,}" for one in costliest)
            raise Refused(
                f"the rules of tenant {tenant} on feed {feed} could cost {units:,} steps for one "
                f"event, of which {FEED_BUDGET:,} are allowed (the costliest: {named}); retire "
                "some, loop over less, or have each ask for a value of its own with =="
            )


def units_of(costs: Iterable[EventCost]) -> int:
    """What one event of a feed can cost at most, of all that is on that feed."""
    total = 0
    told_apart: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in costs:
        if not one.place:
            total += one.units
        for value in one.values:
            told_apart[one.place][value] += one.units
    return total + sum(max(values.values()) for values in told_apart.values())


def from_plain(found: Iterable[Sequence[Any]]) -> list[EventCost]:
    """What came from another process as lists."""
    return [
        EventCost(rule, feed, units, place, tuple(values))
        for rule, feed, units, place, values in found
    ]


def _asked(part: Input | FedWindow) -> Iterator[Expression]:
    found: list[EventExpression | None] = [part.key, part.where]
    if isinstance(part, FedWindow):
        found.append(part.value)
    elif part.own is not None:
        yield part.own
    yield from (one.expression for one in found if one is not None)


def _decided(rule: CompiledRule) -> Iterator[Expression]:
    """What is evaluated once for an event of any input."""
    yield rule.when
    if rule.plan_of is not None:
        yield rule.plan_of
    for effect in rule.effects:
        given: list[object] = [value for *_, value in effect.config]
        if isinstance(effect, Change):
            given += [effect.shift, effect.cancel]
        yield from (one for one in given if isinstance(one, Expression))


def _of_partial_matches(rule: CompiledRule, part: Input) -> int:
    """What is asked of an event for each partial match of its key, and for one that it begins;
    `when` is asked of each that it completes, and is counted once elsewhere."""
    if rule.pattern is None:
        return 0
    asked = [one.condition for one in rule.pattern.parts if one.name == part.name]
    units = sum(one.units for one in asked if one is not None) * (rule.pattern.keep + 1)
    last = part.name == rule.pattern.steps[-1].name
    return units + (rule.when.units * (rule.pattern.keep - 1) if last else 0)


def _told_apart(conjuncts: Iterable[Conjunct]) -> tuple[str, tuple[str, ...]]:
    """By the first equality that must hold, if there is one: its place, and the values."""
    for conjunct in conjuncts:
        places = {atom.path for atom in conjunct}
        if len(places) == 1 and all(isinstance(atom, Equals) for atom in conjunct):
            values = {
                _same(value)
                for atom in conjunct
                if isinstance(atom, Equals)
                for value in atom.values
            }
            return ".".join(places.pop()), tuple(sorted(values))
    return "", ()


def _same(value: object) -> str:
    """Equal texts for values that the index takes for equal: 1, 1.0 and true are."""
    return repr(float(value)) if isinstance(value, int | float) else repr(value)
