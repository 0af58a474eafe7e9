"""What is kept of decisions, and when it goes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from data_sharing.decisions import dead_letters, outbox
from data_sharing.decisions.outbox import InstructionState
from data_sharing.instruction import Cause, Instruction

DAY_MS = 86_400_000
ONE = Instruction(
    id="i-0", tenant="acme", application="alarm", version="1.0.0", artifact="0" * 64,
    action="ring", configuration={}, deadline_ms=DAY_MS, idempotent=True, decided_at_ms=0,
)  # fmt: skip


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with sqlite3.connect(":memory:") as connection:
        for schema in (outbox.SCHEMA, dead_letters.SCHEMA):
            for statement in schema.steps[0]:
                connection.execute(statement)
        yield connection
    connection.close()


def letters(db: sqlite3.Connection) -> set[str]:
    found = dead_letters.page(db, "acme", 1 << 40, 1_000, with_redriven=True)
    return {one.instruction or f"{one.rule} {one.event.position}" for one in found if one.event or
            one.instruction}  # fmt: skip


def test_ended_instructions_go_and_open_ones_stay_however_old(db):
    for number, state in enumerate(
        [
            InstructionState.DONE,
            InstructionState.PENDING,
            InstructionState.DEAD,
            InstructionState.SENT,
            InstructionState.DONE,
        ]
    ):
        deadline_ms = DAY_MS if number < 4 else 3 * DAY_MS
        one = replace(ONE, id=f"i-{number}", deadline_ms=deadline_ms)
        assert outbox.put(db, one, needs_approval=False)
        outbox.end_without_outcome(db, one.id, state)
    assert outbox.trim(db, 2 * DAY_MS, 100) == 2
    assert [outbox.get(db, f"i-{n}") is not None for n in range(5)] == [
        False, True, False, True, True,
    ]  # fmt: skip
    assert outbox.trim(db, 2 * DAY_MS, 100) == 0


def test_a_letter_of_an_event_goes_with_the_event_and_no_other(db):
    for position in range(1, 6):
        dead_letters.put_event(
            db, "acme", Cause("/s", str(position), "t", position), rule="r", rule_version=1,
            reason="parked", now_ms=0,
        )  # fmt: skip
    dead_letters.put_event(
        db, "other", Cause("/s", "1", "t", 1), rule="r", rule_version=1, reason="error", now_ms=0
    )
    dead_letters.put_instruction(db, "acme", "i-1", reason="late", now_ms=0)
    assert dead_letters.trim_events(db, "acme", 3, 2) == 2  # some at a time
    assert dead_letters.trim_events(db, "acme", 3, 2) == 1
    assert dead_letters.trim_events(db, "acme", 3, 2) == 0
    assert letters(db) == {"r 4", "r 5", "i-1"}
    assert len(dead_letters.page(db, "other", 1 << 40, 10, with_redriven=True)) == 1


def test_a_letter_of_an_instruction_goes_with_its_age(db):
    for number, at_ms in enumerate([0, DAY_MS, 3 * DAY_MS]):
        dead_letters.put_instruction(db, "acme", f"i-{number}", reason="late", now_ms=at_ms)
    assert dead_letters.trim_instructions(db, 2 * DAY_MS, 100) == 2
    assert letters(db) == {"i-2"}
