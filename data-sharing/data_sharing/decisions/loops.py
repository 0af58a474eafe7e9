"""Loops: by which rules a flow came to where it was cut, told with the outcome.

Found in what is kept of the flow, from the event back to where it began: an event names the
instruction that led to it, an instruction the rule and the events. What is not kept any more is
left out.
"""

from __future__ import annotations

import sqlite3

from msgspec.structs import replace

from data_sharing.decisions import outbox
from data_sharing.feeds import log_tables
from data_sharing.instruction import instruction_of_outcome
from data_sharing.rules.effects import EventRef
from data_sharing.rules.results import EvaluationResult, RuleOutcome, RuleVerdict

MOST_STEPS = 1_000  # back from one event
MOST_NAMED = 32  # rules in a text


def told(db: sqlite3.Connection, tenant: str, decided: EvaluationResult) -> EvaluationResult:
    """With the rules of the loop in each outcome that was cut."""
    return replace(
        decided,
        outcomes=tuple(_told(db, tenant, one) for one in decided.outcomes),
        shadow=tuple(_told(db, tenant, one) for one in decided.shadow),
    )


def _told(db: sqlite3.Connection, tenant: str, outcome: RuleOutcome) -> RuleOutcome:
    if outcome.verdict is not RuleVerdict.LOOP:
        return outcome
    names = [*rules_before(db, tenant, outcome.events), outcome.rule]
    return replace(outcome, detail=f"{shown(names)}: {outcome.detail}")


def shown(names: list[str]) -> str:
    """One round of it, if the last of them was there before; else all, the last ones where they are
    many.

    >>> shown(["start", "on", "off", "on", "off", "on"])
    'on → off → on'
    >>> shown(["a", "b"])
    'a → b'
    """
    last = len(names) - 1
    before = next((at for at in range(last - 1, -1, -1) if names[at] == names[last]), None)
    some = names[-MOST_NAMED:] if before is None else names[before:][-MOST_NAMED:]
    return " → ".join(some)


def rules_before(db: sqlite3.Connection, tenant: str, events: tuple[EventRef, ...]) -> list[str]:
    """The rules, or plans, that led to the event with the most decisions behind it, in order."""
    found: list[str] = []
    if not events:
        return found
    first = max(events, key=lambda one: one.hops)
    source, name = first.source, first.id
    for _ in range(MOST_STEPS):
        record = log_tables.record_named(db, tenant, source, name)
        causation = "" if record is None else record.event().causation
        instruction = instruction_of_outcome(causation)
        if not instruction:
            if not causation:
                break
            name = causation  # an event of the same source
            continue
        stored = outbox.get(db, instruction)
        if stored is None or stored.instruction.tenant != tenant:
            break
        what = stored.instruction
        found.append(what.rule or f"plan {what.plan}")
        if not what.causes:
            break
        cause = max(what.causes, key=lambda one: one.position)
        source, name = cause.source, cause.id
    return found[::-1]
