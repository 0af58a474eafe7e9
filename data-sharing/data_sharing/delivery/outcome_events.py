"""Outcomes as events: what was performed goes back into the log, where rules can see it.

Written in the transaction that records the outcome, and decided there like any other event.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from data_sharing.decisions.outbox import Kept
from data_sharing.event import Event
from data_sharing.feeds.log_tables import write
from data_sharing.feeds.port import Candidate
from data_sharing.instruction import Performed

OUTCOME_FEED = "homeport.instruction.outcome"
SOURCE = "/homeport/decisions"
MOST_OUTPUT = 16 * 1024  # of it in the event; all of it is with the instruction


def outcome_event(kept: Kept, performed: Performed) -> Candidate:
    """Key: the plan, or the instruction where there is none."""
    what = kept.instruction
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
        id=f"{what.id}/{performed.attempt}",
        type=OUTCOME_FEED,
        key=what.plan or what.id,
        time_ms=performed.ended_at_ms,
        data=data,
        subject=what.application,
    )
    return Candidate(event=event, content=msgspec.json.encode(data))


class OutcomeEvents:
    """`tell` is a Recorder's Tell. follow: decides the event, as the feed log's follower does;
    written: hears that there is a new one."""

    def __init__(
        self,
        follow: Callable[[sqlite3.Connection, Sequence[Event]], None],
        written: Callable[[], None],
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._follow = follow
        self._written = written
        self._wall_ms = wall_ms

    def tell(self, db: sqlite3.Connection, kept: Kept, performed: Performed) -> None:
        """In the transaction that records the outcome."""
        _, fresh = write(db, [outcome_event(kept, performed)], self._wall_ms())
        if fresh:
            self._follow(db, fresh)
            self._written()
