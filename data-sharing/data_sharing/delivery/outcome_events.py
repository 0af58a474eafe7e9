"""OutcomeEvents: what was performed goes back into the feed log as an event that rules can read.

Appended in the transaction that records the outcome, and decided there like any other event.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import msgspec

from data_sharing.correlation import Correlation, extensions_of
from data_sharing.decisions.outbox import StoredInstruction
from data_sharing.event import Event
from data_sharing.feeds.port import Candidate
from data_sharing.instruction import OUTCOME_FEED, Instruction, Performed, outcome_id
from data_sharing.spans import extensions_of_trace

SOURCE = "/homeport/decisions"
MOST_OUTPUT = 16 * 1024  # of it in the event; all of it is with the instruction


def outcome_event(stored: StoredInstruction, performed: Performed) -> Candidate:
    """Key: the plan, or the instruction where there is none."""
    what = stored.instruction
    output: Any = None
    if performed.output and len(performed.output) <= MOST_OUTPUT:
        output = msgspec.json.decode(performed.output)
    data = {
        "instruction": what.id,
        "application": what.application,
        "version": what.version,
        "action": what.action,
        "plan": what.plan,
        "rule": what.rule,
        "caused_by": list(what.caused_by),
        "causes": _causes(what),
        "status": performed.status.value,
        "message": performed.message,
        "output": output,
        "platform": performed.platform,
        "attempt": performed.attempt,
        "started_at_ms": performed.started_at_ms,
        "ended_at_ms": performed.ended_at_ms,
    }
    event = Event(
        tenant=what.tenant,
        source=SOURCE,
        id=outcome_id(what.id, performed.attempt),
        type=OUTCOME_FEED,
        key=what.plan or what.id,
        time_ms=performed.ended_at_ms,
        data=data,
        subject=what.application,
        trace=what.trace,
        correlation=what.correlation,
        causation=what.id,
        hops=what.hops,
    )
    told = extensions_of(Correlation(what.correlation, what.id, what.hops))
    if what.trace:
        told |= extensions_of_trace(what.trace)
    return Candidate(
        event=event, content=msgspec.json.encode(data), attributes=msgspec.json.encode(told)
    )


def _causes(what: Instruction) -> list[dict[str, str]]:
    """The events that it was performed for; none, where they came from several applications, of
    which one would read what the others' were called."""
    if len(what.caused_by) != 1:
        return []
    return [{"source": one.source, "id": one.id} for one in what.causes]


Governed: TypeAlias = Callable[[str, str, int], bool]
"""(tenant, rule, its version) to whether the rule reads a feed with a sharing policy."""


class AppendInside(Protocol):
    """What is needed of the feed log."""

    def append_inside(self, db: sqlite3.Connection, candidates: Sequence[Candidate]) -> None:
        """Keeps and decides events in the caller's transaction."""
        ...


class OutcomeEvents:
    """`record` is an OutcomeRecorder's RecordEvent."""

    def __init__(self, log: AppendInside, governed: Governed) -> None:
        self._log, self._governed = log, governed

    def record(
        self, db: sqlite3.Connection, stored: StoredInstruction, performed: Performed
    ) -> None:
        """In the transaction that records the outcome. What an application said of something that
        a governed rule had it do is not told: others read outcomes than may see what it was."""
        what = stored.instruction
        if self._governed(what.tenant, what.rule, what.rule_version):
            performed = replace(performed, output="", message="")
        self._log.append_inside(db, [outcome_event(stored, performed)])
