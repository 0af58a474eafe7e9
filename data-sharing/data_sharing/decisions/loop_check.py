"""Loop check: whether rules that are applied may set each other off, as far as that can be known
before anything happens.

A rule that invokes an action leads to the rules that watch its outcomes, unless their conditions
on the outcome's application, action or rule exclude it, and may lead to those that watch a feed
that the application publishes by its manifest. One that changes plans leads likewise to what the
actions of those that there are lead to. A circle is a warning: it may be meant, and what really
goes round is cut. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from data_sharing.event import Event
from data_sharing.instruction import OUTCOME_FEED
from data_sharing.registry.catalogue import Catalogue
from data_sharing.rules.compiled import CompiledRule, Invocation
from data_sharing.rules.predicates import Conjunct, admits

MOST_LOOKED_AT = 20_000  # pairs of rules, for one document
MOST_TOLD = 20  # circles of one document


class _Watcher(NamedTuple):
    """A rule that events of a feed can make fire. conjuncts: what must hold of them."""

    rule: CompiledRule
    conjuncts: tuple[Conjunct, ...]


class PlannedAction(NamedTuple):
    """Of a plan that there is, by the name by which rules select it."""

    plan: str
    application: str
    action: str


class _Step(NamedTuple):
    """From one rule to another, by an action and a feed; before: how it came to the first."""

    rule: CompiledRule
    by: Invocation | PlannedAction
    feed: str
    before: _Step | None


def loop_warnings(
    catalogue: Catalogue,
    applied: Sequence[CompiledRule],
    others: Iterable[CompiledRule],
    planned: Iterable[tuple[str, str, str]] = (),
) -> list[str]:
    """Of what is applied, each circle once, with its rules in order. others: the tenant's rules
    in force; planned: PlannedAction of the tenant's plans."""
    actions = [PlannedAction(*one) for one in sorted(planned)]
    names = {one.id for one in applied}
    watchers: dict[str, list[_Watcher]] = defaultdict(list)
    for rule in (*applied, *(one for one in others if one.id not in names)):
        for feed, watcher in _watched(rule):
            watchers[feed].append(watcher)
    found: list[str] = []
    told: set[frozenset[str]] = set()
    room = [MOST_LOOKED_AT]
    for rule in applied:
        circle = _circle(catalogue, rule, watchers, actions, room)
        rules = frozenset(step.rule.id for step in circle)
        if not circle or rules in told:
            continue
        told.add(rules)
        if len(told) > MOST_TOLD:
            found.append("more circles of rules are not told")
            return found
        found.append(f"rules.{rule.id}: may set itself off: {_shown(rule, circle)}")
    if room[0] <= 0:
        found.append("there are too many rules to look for all circles of them")
    return found


def _watched(rule: CompiledRule) -> Iterator[tuple[str, _Watcher]]:
    for one in rule.inputs.values():
        if not one.absent:
            yield one.feed, _Watcher(rule, one.conjuncts)
    ending = rule.windows.get(rule.spec.at_end_of or "")
    if ending is not None:
        yield ending.feed, _Watcher(rule, ending.conjuncts)


def _circle(
    catalogue: Catalogue,
    start: CompiledRule,
    watchers: dict[str, list[_Watcher]],
    planned: Sequence[PlannedAction],
    room: list[int],
) -> list[_Step]:
    """The shortest way from the rule back to it; empty: there is none, or no room to look for it.
    room: pairs of rules that may still be looked at, less what this takes."""
    todo: list[tuple[CompiledRule, _Step | None]] = [(start, None)]
    seen: set[str] = set()
    for rule, before in todo:
        for by in _actions(rule, planned):
            for feed in (OUTCOME_FEED, *_published(catalogue, rule.tenant, by.application)):
                outcome = _outcome(rule, by) if feed == OUTCOME_FEED else None
                for watcher in watchers.get(feed, ()):
                    room[0] -= 1
                    if room[0] <= 0:
                        return []
                    other = watcher.rule
                    if outcome is not None and not _may_match(watcher.conjuncts, outcome):
                        continue
                    step = _Step(rule, by, feed, before)
                    if other.id == start.id:
                        return _way(step)
                    if other.id not in seen:
                        seen.add(other.id)
                        todo.append((other, step))
    return []


def _actions(
    rule: CompiledRule, planned: Sequence[PlannedAction]
) -> list[Invocation | PlannedAction]:
    """What it has applications do: at once, and by the plans that it may change."""
    found: list[Invocation | PlannedAction] = [
        one for one in rule.effects if isinstance(one, Invocation)
    ]
    if len(found) < len(rule.effects) and rule.spec.plan is not None:
        found += [one for one in planned if rule.spec.plan.named in (None, one.plan)]
    return found


def _published(catalogue: Catalogue, tenant: str, application: str) -> list[str]:
    version = catalogue.application(tenant, application)
    if version is None:
        return []
    return [one.type for one in version.manifest.produces if one.type != OUTCOME_FEED]


def _outcome(rule: CompiledRule, by: Invocation | PlannedAction) -> Event:
    """What is known of the outcome. That of a plan's action names no rule."""
    named = rule.id if isinstance(by, Invocation) else ""
    data = {"application": by.application, "action": by.action, "rule": named}
    return Event(rule.tenant, "", "", OUTCOME_FEED, "", 0, data, by.application)


def _may_match(conjuncts: tuple[Conjunct, ...], outcome: Event) -> bool:
    """Whether what is known does not exclude it."""
    return all(
        any(not _is_known(atom.path, outcome) or admits([(atom,)], outcome) for atom in one)
        for one in conjuncts
    )


def _is_known(path: tuple[str, ...], outcome: Event) -> bool:
    if path[0] == "data":
        return len(path) == 2 and path[1] in outcome.data
    return path[0] in ("type", "subject")


def _way(last: _Step) -> list[_Step]:
    found: list[_Step] = []
    step: _Step | None = last
    while step is not None:
        found.append(step)
        step = step.before
    return found[::-1]


def _shown(rule: CompiledRule, circle: list[_Step]) -> str:
    parts = []
    for step in circle:
        through = "its outcome" if step.feed == OUTCOME_FEED else f"feed {step.feed}"
        plan = f"plan {step.by.plan} → " if isinstance(step.by, PlannedAction) else ""
        did = f"{plan}{step.by.application} {step.by.action}"
        parts.append(f"rule {step.rule.id} → {did} → {through}")
    return " → ".join([*parts, f"rule {rule.id}"])
