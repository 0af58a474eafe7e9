"""The rows of decisions, gathered: written once, and nothing before they are written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from data_sharing.decisions import approval_tables, dead_letters, history, outbox, rollout_tables
from data_sharing.decisions.history import Decision, DecisionKind, EventOutcomes
from data_sharing.decisions.instruction_factory import NewInstruction
from data_sharing.decisions.outbox import InstructionState
from data_sharing.decisions.write_batch import WriteBatch
from data_sharing.rules.results import RuleOutcome, RuleVerdict
from tests.support.decisions_harness import ALL, tables
from tests.support.instructions import NOW_MS, RING

DECISION = Decision(
    id="c-1", tenant="acme", kind=DecisionKind.RULE, time_ms=NOW_MS, summary="s", position=3
)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with tables(
        outbox.SCHEMA,
        history.SCHEMA,
        dead_letters.SCHEMA,
        rollout_tables.SCHEMA,
        approval_tables.SCHEMA,
    ) as made:
        yield made


def batch() -> WriteBatch:
    made = WriteBatch()
    made.instructions += [
        NewInstruction(RING, needs_approval=False, fault=""),
        NewInstruction(replace(RING, id="i-2"), needs_approval=True, fault=""),
        NewInstruction(replace(RING, id="i-3"), needs_approval=False, fault="no such action"),
    ]
    made.decisions.append(DECISION)
    made.outcomes.append(
        EventOutcomes("acme", 3, NOW_MS, [RuleOutcome("r", 1, RuleVerdict.NOT_MATCHED)])
    )
    return made


def states(db: sqlite3.Connection) -> dict[str, InstructionState]:
    found = {name: outbox.get(db, name) for name in ("i-1", "i-2", "i-3")}
    return {name: one.state for name, one in found.items() if one is not None}


def test_everything_is_written_with_the_batch_and_nothing_before(db) -> None:
    made = batch()
    assert states(db) == {}
    made.write(db)
    assert states(db) == {
        "i-1": InstructionState.PENDING,
        "i-2": InstructionState.AWAITING_APPROVAL,
        "i-3": InstructionState.DEAD,
    }
    assert history.get(db, "acme", "c-1") == DECISION
    assert [one.rule for one in history.judgements_of(db, "acme", 3)] == ["r"]


def test_what_cannot_be_carried_out_is_one_dead_letter_that_says_why(db) -> None:
    batch().write(db)
    letters = dead_letters.page(db, "acme", ALL, 10, with_redriven=True)
    assert [(one.instruction, one.reason) for one in letters] == [("i-3", "no such action")]


def test_an_instruction_that_was_decided_before_is_left_as_it_is(db) -> None:
    batch().write(db)
    outbox.claim(db, "i-1", "hub")
    again = batch()
    again.decisions.clear()
    again.outcomes.clear()
    again.write(db)
    assert states(db)["i-1"] is InstructionState.SENT
    assert len(dead_letters.page(db, "acme", ALL, 10, with_redriven=True)) == 1
