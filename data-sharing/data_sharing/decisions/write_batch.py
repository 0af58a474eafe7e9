"""Sheet: what one transaction has decided, written in one go when it is full.

A decision is a few rows in three tables. Written for each event as it is decided they would be
most of what deciding costs; gathered, they are a few statements. Whatever is undone before the
sheet is written leaves nothing behind.
"""

from __future__ import annotations

import sqlite3

from data_sharing.decisions import dead_letters, history, outbox
from data_sharing.decisions.history import Decision, Judged
from data_sharing.decisions.instruction_factory import Ordered
from data_sharing.decisions.outbox import State


class WriteBatch:
    """Of one transaction, or of one savepoint in it."""

    __slots__ = ("decisions", "judged", "ordered")

    def __init__(self) -> None:
        self.ordered: list[Ordered] = []
        self.decisions: list[Decision] = []
        self.judged: list[Judged] = []  # of events that are new

    def write(self, db: sqlite3.Connection) -> None:
        """An instruction whose id is there was decided before and is left as it stands."""
        sound = [(one.instruction, one.needs_approval) for one in self.ordered if not one.flaw]
        outbox.put_all(db, sound)
        for one in self.ordered:
            if one.flaw:
                _refuse(db, one)
        history.put(db, *self.decisions)
        history.put_judgements(db, *self.judged)


def _refuse(db: sqlite3.Connection, one: Ordered) -> None:
    """What cannot be carried out is a dead letter, once."""
    instruction = one.instruction
    if outbox.put(db, instruction, needs_approval=one.needs_approval):
        outbox.settle(db, instruction.id, State.DEAD, reason=one.flaw)
        dead_letters.put_instruction(
            db, instruction.tenant, instruction.id, reason=one.flaw,
            now_ms=instruction.decided_at_ms,
        )  # fmt: skip
