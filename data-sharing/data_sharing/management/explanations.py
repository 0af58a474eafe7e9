"""Explanations: why an event, or a decision, led to what it did, and why it did not to more.

What rules that were evaluated made of it was written at that time. For rules that the index
passed over, the conditions that it lifted are evaluated again: they read the event alone, so the
result is the one of then, unless the rule has changed since, which is said. Those that the event
satisfies in part are told clause by clause, as far as the rest reads nothing else either.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

from control_plane.errors import NotFound
from control_plane.printable import quoted
from data_sharing.decisions import history, outbox, sharing_tables
from data_sharing.decisions.history import Decision, Judgement
from data_sharing.decisions.outbox import StoredInstruction
from data_sharing.event import Event
from data_sharing.feeds.log_tables import record_at, record_named
from data_sharing.feeds.port import Record
from data_sharing.management.hidden_fields import HiddenField, Hiding
from data_sharing.rules import explanation
from data_sharing.rules.compiled import CompiledRule, Input, read_path
from data_sharing.rules.explanation import json_shown
from data_sharing.rules.predicates import admits
from data_sharing.rules.results import ClauseOutcome
from data_sharing.rules.ruleset import RuleSet
from data_sharing.sharing.consent import Consent, Consents

PASSED_OVER = "not-matched"
MOST_BY_CLAUSES = 100  # rules that were not evaluated and are explained clause by clause


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that is known. event None: time did it, or the event passed its retention.
    passed_over: rules that the index told apart, without asking them. hidden: by rule."""

    time_ms: int
    event: Record | None
    judgements: list[Judgement]
    passed_over: list[Judgement]
    decisions: list[Decision]
    instructions: list[StoredInstruction]
    hidden: Mapping[str, tuple[HiddenField, ...]] = field(default_factory=dict)


def explain_decision(
    db: sqlite3.Connection, rules: RuleSet, tenant: str, decision_id: str, purpose: str = ""
) -> Explanation:
    """purpose: of whoever asks. Raises NotFound."""
    decision = history.get(db, tenant, decision_id)
    if decision is None:
        raise NotFound(f"tenant {tenant} has no decision {quoted(decision_id)}, or not any more")
    if decision.position:
        found = explain_event(db, rules, tenant, decision.position, purpose)
        mine = [one for one in found.judgements if one.rule == decision.rule]
        if mine:
            return found
    return Explanation(
        time_ms=decision.time_ms,
        event=None,
        judgements=history.timer_judgements(db, decision_id),
        passed_over=[],
        decisions=[decision],
        instructions=_instructions(db, [decision]),
    )


def explain_event(
    db: sqlite3.Connection, rules: RuleSet, tenant: str, position: int, purpose: str = ""
) -> Explanation:
    """purpose: of whoever asks. Raises NotFound."""
    record = record_at(db, tenant, position)
    if record is None:
        raise NotFound(
            f"tenant {tenant} has no event at position {position}, or it passed its retention"
        )
    judgements = history.judgements_of(db, tenant, position)
    decisions = history.of_event(db, tenant, position)
    evaluated = {(one.rule, one.version) for one in judgements}
    evaluated |= {(one.rule, 0) for one in judgements if not one.shadow}
    event, consents = record.event(), _ConsentsThen(db, position)
    passed_over = _passed_over(rules, event, evaluated, consents)
    hiding = Hiding(db, rules.policies, record, consents.of, purpose)
    told = {one.rule for one in (*judgements, *passed_over)}
    return Explanation(
        time_ms=record.accepted_ms,
        event=record,
        judgements=judgements,
        passed_over=passed_over,
        decisions=decisions,
        instructions=_instructions(db, decisions),
        hidden={
            name: hidden
            for (whose, name), rule in rules.rules.items()
            if whose == tenant and name in told
            if (hidden := hiding.of(rule))
        },
    )


class _ConsentsThen:
    """Those that held when an event was decided."""

    def __init__(self, db: sqlite3.Connection, position: int) -> None:
        self._db, self._position = db, position

    def of(self, tenant: str, subject: str, /) -> list[Consent]:
        return sharing_tables.consents_at(self._db, tenant, subject, self._position)


def _shown(rules: RuleSet, rule: CompiledRule, event: Event, consents: Consents) -> Event | None:
    """The event as the rule sees it; None: it does not."""
    view = rules.policies.view(event.tenant, event.type, rule.audience)
    if view is None:
        return event
    found = view.of(event, consents)
    return None if found is None else found[0]


def position_of(db: sqlite3.Connection, tenant: str, source: str, event_id: str) -> int:
    """Raises NotFound."""
    record = record_named(db, tenant, source, event_id)
    if record is None:
        raise NotFound(
            f"tenant {tenant} has no event {quoted(event_id)} of {quoted(source)}, "
            "or it passed its retention"
        )
    return record.position


def _passed_over(
    rules: RuleSet, whole: Event, evaluated: set[tuple[str, int]], consents: Consents
) -> list[Judgement]:
    """Rules of the event's feed that were not evaluated, with what in the event said so."""
    found: list[Judgement] = []
    by_clauses = 0
    for (tenant, _), rule in sorted(rules.rules.items()):
        name = rule.id
        inputs = [one for one in rule.inputs.values() if one.feed == whole.type]
        known = (name, rule.version) in evaluated or (
            (name, 0) in evaluated and not rule.activation.rollout
        )
        if tenant != whole.tenant or known or not inputs:
            continue
        event = _shown(rules, rule, whole, consents)
        if event is None:
            detail = "the feed has a sharing policy, and of this event the rule is shown nothing"
            found.append(Judgement(name, rule.version, PASSED_OVER, detail=detail))
            continue
        if any(admits(one.conjuncts, event) for one in inputs):
            detail = "this version of the rule was not in force when the event was decided"
            found.append(Judgement(name, rule.version, PASSED_OVER, detail=detail))
            continue
        seen = _seen(rule, event)
        if rule.pattern is not None:
            clauses = explanation.of_steps(rule, [one.name for one in inputs], seen)
            detail = "no step of its sequence takes it: what they ask of the event does not hold"
            found.append(Judgement(name, rule.version, PASSED_OVER, detail=detail, clauses=clauses))
            continue
        clauses = None
        if by_clauses < MOST_BY_CLAUSES and rule.reads <= seen.keys() and _is_near(inputs, event):
            by_clauses += 1
            bindings = rule.environment.bind(seen)
            clauses = explanation.clauses(rule, seen, bindings, rule.when.holds(bindings))
        detail = "its conditions on the event alone do not hold"
        clauses = clauses or ClauseOutcome(rule.spec.condition, "false", _values(rule, seen))
        found.append(Judgement(name, rule.version, PASSED_OVER, detail=detail, clauses=clauses))
    return found


def _is_near(inputs: list[Input], event: Event) -> bool:
    """Whether the event has something of what the index knows that it must have."""
    return any(admits([part], event) for one in inputs for part in one.conjuncts)


def _seen(rule: CompiledRule, event: Event) -> dict[str, object]:
    """What the rule reads of the event, by variable."""
    return {name: view.of(event) for (name, feed), view in rule.views.items() if feed == event.type}


def _values(rule: CompiledRule, seen: Mapping[str, object]) -> dict[str, object]:
    """What the rule sees of the event where it looks, by path."""
    return {
        shown: json_shown(read_path(seen, path))
        for shown, path in rule.paths.items()
        if path[0] in seen
    }


def _instructions(db: sqlite3.Connection, decisions: list[Decision]) -> list[StoredInstruction]:
    names = [name for one in decisions for name in one.instructions]
    return [stored for name in names if (stored := outbox.get(db, name)) is not None]
