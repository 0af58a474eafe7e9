"""What is recorded of an outcome: once, whoever reports it and however late."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from data_sharing.decisions import approval_tables, dead_letters, outbox, rollout_tables
from data_sharing.decisions.outbox import InstructionState, StoredInstruction
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.delivery.retry_policy import Step
from data_sharing.instruction import Instruction, Performance, Performed
from tests.support.decisions_harness import ALL, tables
from tests.support.instructions import RING, Clock

DONE = Performed(instruction="i-1", attempt=1, status=Performance.DONE, platform="hub")
FAILED = dataclasses.replace(DONE, status=Performance.FAILED, message="no water")


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with tables(
        outbox.SCHEMA, dead_letters.SCHEMA, rollout_tables.SCHEMA, approval_tables.SCHEMA
    ) as made:
        yield made


class Recording:
    """A recorder, and the events it appended."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.events: list[Performed] = []
        self.recorder = OutcomeRecorder(self._append, wall_ms=self.clock)

    def _append(
        self, db: sqlite3.Connection, stored: StoredInstruction, performed: Performed
    ) -> None:
        self.events.append(performed)


def stored(db: sqlite3.Connection) -> StoredInstruction:
    found = outbox.get(db, "i-1")
    assert found is not None
    return found


def letters(db: sqlite3.Connection) -> list[str]:
    return [one.reason for one in dead_letters.page(db, "acme", ALL, 100, with_redriven=False)]


def test_an_outcome_is_recorded_and_appended_once(db) -> None:
    outbox.put(db, RING, needs_approval=False)
    recording = Recording()
    assert recording.recorder.record(db, DONE) is Step.DONE
    assert recording.recorder.record(db, DONE) is None
    assert stored(db).state is InstructionState.DONE
    assert recording.events == [DONE]
    assert letters(db) == []


def test_an_outcome_of_what_is_not_known_is_left_alone(db) -> None:
    recording = Recording()
    assert recording.recorder.record(db, DONE) is None
    assert recording.events == []


def test_a_failure_that_may_be_repeated_leaves_it_pending_with_the_next_attempt(db) -> None:
    outbox.put(db, replace(RING, idempotent=True), needs_approval=False)
    recording = Recording()
    assert recording.recorder.record(db, FAILED) is Step.RETRY
    assert recording.recorder.record(db, FAILED) is None, "the same attempt, told twice"
    assert (stored(db).state, stored(db).attempt) == (InstructionState.PENDING, 2)
    second = dataclasses.replace(DONE, attempt=2)
    assert recording.recorder.record(db, second) is Step.DONE
    assert recording.events == [FAILED, second]


def test_a_failure_past_the_deadline_is_not_repeated(db) -> None:
    outbox.put(db, replace(RING, idempotent=True), needs_approval=False)
    recording = Recording()
    recording.clock.now_ms = RING.deadline_ms + 1
    assert recording.recorder.record(db, FAILED) is Step.DEAD
    assert letters(db) == ["alarm failed: no water; its deadline is over"]


def test_a_final_failure_is_a_dead_letter_and_an_event(db) -> None:
    outbox.put(db, RING, needs_approval=False)
    recording = Recording()
    assert recording.recorder.record(db, FAILED) is Step.DEAD
    assert stored(db).state is InstructionState.DEAD
    assert letters(db) == ["alarm failed: no water; it is not idempotent, so not tried again"]
    assert recording.events == [FAILED]


def test_an_outcome_that_comes_after_the_dead_letter_resolves_it(db) -> None:
    outbox.put(db, RING, needs_approval=False)
    recording = Recording()
    recording.recorder.end_as_dead_letter(db, "i-1", "told no outcome in time")
    assert letters(db) == ["told no outcome in time"]
    assert recording.recorder.record(db, DONE) is Step.DONE
    assert stored(db).state is InstructionState.DONE
    assert letters(db) == []


@pytest.mark.parametrize("state", [InstructionState.DONE, InstructionState.DEAD])
def test_what_has_ended_gets_no_dead_letter(db, state: InstructionState) -> None:
    outbox.put(db, RING, needs_approval=False)
    outbox.end_without_outcome(db, "i-1", state)
    recorder = Recording().recorder
    recorder.end_as_dead_letter(db, "i-1", "late")
    recorder.end_as_dead_letter(db, "i-2", "late")
    assert letters(db) == []


def test_what_nobody_approved_in_time_ends_and_the_rest_waits(db) -> None:
    recording = Recording()
    outbox.put(db, RING, needs_approval=True)
    outbox.put(
        db, replace(RING, id="i-2", deadline_ms=RING.deadline_ms + 10_000), needs_approval=True
    )
    recording.clock.now_ms = RING.deadline_ms + 1
    recording.recorder.end_overdue_approvals(db)
    assert stored(db).state is InstructionState.DEAD
    assert letters(db) == ["its deadline passed: nobody approved it"]
    assert dict(outbox.counts(db))[InstructionState.AWAITING_APPROVAL] == 1


def test_the_outcome_that_counts_is_the_one_that_was_checked(db) -> None:
    def check(instruction: Instruction, performed: Performed) -> Performed:
        return dataclasses.replace(performed, status=Performance.BAD_OUTPUT, message="no number")

    outbox.put(db, RING, needs_approval=False)
    recorder = OutcomeRecorder(lambda *_: None, wall_ms=Clock(), check=check)
    assert recorder.record(db, DONE) is Step.DEAD
    assert letters(db) == ["alarm bad-output: no number"]
