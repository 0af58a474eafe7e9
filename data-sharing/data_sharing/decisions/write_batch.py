"""WriteBatch: the rows of decisions that one transaction makes, gathered and written in a few
statements.

A decision is a few rows in three tables. Written for each event as it is decided they would be
most of what deciding costs; gathered, they are a few statements. Whatever is undone before the
batch is written leaves nothing behind.
"""

from __future__ import annotations

import sqlite3

from data_sharing.decisions import (
    ancestry_tables,
    approval_tables,
    dead_letters,
    history,
    outbox,
    rollout_tables,
)
from data_sharing.decisions.approval_tables import AskedApproval
from data_sharing.decisions.history import Decision, EventOutcomes
from data_sharing.decisions.instruction_factory import NewInstruction
from data_sharing.decisions.outbox import InstructionState


class WriteBatch:
    """Of one transaction, or of one savepoint in it."""

    __slots__ = ("decisions", "instructions", "outcomes")

    def __init__(self) -> None:
        self.instructions: list[NewInstruction] = []
        self.decisions: list[Decision] = []
        self.outcomes: list[EventOutcomes] = []  # of events that are new

    def write(self, db: sqlite3.Connection) -> None:
        """An instruction whose id is there was decided before and is left as it is."""
        valid = [
            (one.instruction, one.needs_approval) for one in self.instructions if not one.fault
        ]
        outbox.put_all(db, valid)
        approval_tables.ask(
            db,
            [
                AskedApproval(instruction=one.instruction, terms=one.terms, read=one.read)
                for one in self.instructions
                if one.needs_approval and not one.fault
            ],
        )
        for one in self.instructions:
            if one.fault:
                _to_dead_letters(db, one)
        history.put(db, *self.decisions)
        ancestry_tables.put_decisions(db, self.decisions)
        history.put_judgements(db, *self.outcomes)


def _to_dead_letters(db: sqlite3.Connection, one: NewInstruction) -> None:
    """What cannot be carried out is a dead letter, once."""
    instruction = one.instruction
    if outbox.put(db, instruction, needs_approval=one.needs_approval):
        outbox.end_without_outcome(db, instruction.id, InstructionState.DEAD, reason=one.fault)
        dead_letters.put_instruction(
            db, instruction.tenant, instruction.id, reason=one.fault,
            now_ms=instruction.decided_at_ms,
        )  # fmt: skip
        rollout_tables.count_outcome(db, instruction, done=False, now_ms=instruction.decided_at_ms)
