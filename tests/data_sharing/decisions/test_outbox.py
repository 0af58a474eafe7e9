"""The outbox: which states an instruction goes through, and who finds it in each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from data_sharing.decisions import outbox
from data_sharing.decisions.outbox import NEEDS_APPROVAL, InstructionState
from data_sharing.instruction import Performance, Performed
from tests.support.decisions_harness import ALL, tables
from tests.support.instructions import NOW_MS, RING

DONE = Performed(instruction="i-1", attempt=1, status=Performance.DONE, platform="hub", output="{}")


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with tables(outbox.SCHEMA) as made:
        yield made


def state(db: sqlite3.Connection, instruction_id: str = "i-1") -> InstructionState:
    found = outbox.get(db, instruction_id)
    assert found is not None
    return found.state


def is_open(db: sqlite3.Connection) -> bool:
    return bool(outbox.open_rows_after(db, 0, 10))


def done(db: sqlite3.Connection) -> None:
    outbox.record_outcome(db, DONE, InstructionState.DONE, attempt=1, reason="")


def failed(db: sqlite3.Connection) -> None:
    outbox.record_outcome(db, DONE, InstructionState.PENDING, attempt=2, reason="again")


Step = Callable[[sqlite3.Connection], None]


@pytest.mark.parametrize(
    ("steps", "expected", "still_open"),
    [
        pytest.param([], InstructionState.PENDING, True, id="decided"),
        pytest.param(
            [lambda db: outbox.claim(db, "i-1", "hub")], InstructionState.SENT, True, id="claimed"
        ),
        pytest.param(
            [
                lambda db: outbox.claim(db, "i-1", "hub"),
                lambda db: outbox.release(db, "i-1", "the platform was busy"),
            ],
            InstructionState.PENDING,
            True,
            id="refused-by-its-platform",
        ),
        pytest.param([done], InstructionState.DONE, False, id="performed"),
        pytest.param([failed], InstructionState.PENDING, True, id="failed-and-tried-again"),
        pytest.param(
            [lambda db: outbox.end_without_outcome(db, "i-1", InstructionState.DEAD)],
            InstructionState.DEAD,
            False,
            id="ended-without-outcome",
        ),
        pytest.param(
            [done, lambda db: outbox.claim(db, "i-1", "hub")],
            InstructionState.DONE,
            False,
            id="what-has-ended-is-not-claimed",
        ),
        pytest.param(
            [
                lambda db: outbox.end_without_outcome(db, "i-1", InstructionState.DEAD),
                lambda db: outbox.release(db, "i-1", ""),
            ],
            InstructionState.DEAD,
            False,
            id="what-has-ended-is-not-released",
        ),
        pytest.param(
            [done, lambda db: outbox.renew(db, RING)],
            InstructionState.PENDING,
            True,
            id="renewed-by-an-operator",
        ),
    ],
)
def test_states(db, steps: list[Step], expected: InstructionState, still_open: bool) -> None:
    assert outbox.put(db, RING, needs_approval=False)
    for step in steps:
        step(db)
    assert state(db) is expected
    assert is_open(db) is still_open


def test_the_same_instruction_is_kept_once_as_it_was_decided_first(db) -> None:
    assert outbox.put(db, RING, needs_approval=False)
    assert not outbox.put(db, replace(RING, action="other"), needs_approval=True)
    stored = outbox.get(db, "i-1")
    assert stored is not None
    assert (stored.instruction, stored.state) == (RING, InstructionState.PENDING)
    assert stored.attempt == 1
    assert stored.deadline_ms == RING.deadline_ms


def test_one_that_needs_approval_says_so_and_is_overdue_after_its_deadline(db) -> None:
    outbox.put(db, RING, needs_approval=True)
    stored = outbox.get(db, "i-1")
    assert stored is not None
    assert (stored.state, stored.reason) == (
        InstructionState.AWAITING_APPROVAL, NEEDS_APPROVAL,
    )  # fmt: skip
    assert outbox.overdue_approvals(db, RING.deadline_ms) == []
    assert [one.instruction.id for one in outbox.overdue_approvals(db, RING.deadline_ms + 1)] == [
        "i-1"
    ]
    outbox.release(db, "i-1", "")
    assert outbox.overdue_approvals(db, RING.deadline_ms + 1) == []


def test_an_outcome_is_kept_whole_with_the_next_attempt(db) -> None:
    outbox.put(db, RING, needs_approval=False)
    performed = Performed(
        instruction="i-1", attempt=1, status=Performance.FAILED, platform="car",
        message="no water", started_at_ms=NOW_MS, ended_at_ms=NOW_MS + 5,
    )  # fmt: skip
    outbox.record_outcome(db, performed, InstructionState.PENDING, attempt=2, reason="no water")
    stored = outbox.get(db, "i-1")
    assert stored is not None
    assert stored.outcome == performed
    assert (stored.platform, stored.attempt, stored.reason) == ("car", 2, "no water")


def test_a_renewed_one_has_a_new_deadline_a_further_attempt_and_no_outcome(db) -> None:
    outbox.put(db, RING, needs_approval=False)
    done(db)
    outbox.renew(db, replace(RING, deadline_ms=NOW_MS + 90_000))
    stored = outbox.get(db, "i-1")
    assert stored is not None
    assert (stored.deadline_ms, stored.instruction.deadline_ms) == (NOW_MS + 90_000,) * 2
    assert (stored.attempt, stored.outcome, stored.platform) == (2, None, "")


def test_open_ones_are_read_in_the_order_of_decisions_from_a_row_on(db) -> None:
    outbox.put_all(db, [(replace(RING, id=f"i-{n}"), False) for n in range(5)])
    outbox.end_without_outcome(db, "i-1", InstructionState.DEAD)
    first = [row for row, _ in outbox.open_rows_after(db, 0, 2)]
    assert [one.instruction.id for one in outbox.open_at(db, first)] == ["i-0", "i-2"]
    rest = [row for row, _ in outbox.open_rows_after(db, first[-1], 10)]
    assert [one.instruction.id for one in outbox.open_at(db, rest)] == ["i-3", "i-4"]
    assert outbox.open_at(db, [1, 2, 99]) == outbox.open_at(db, first[:1]), "what has ended is none"


def test_open_ones_of_a_tenant_are_between_two_rows(db) -> None:
    outbox.put_all(db, [(replace(RING, id=f"i-{n}", tenant="ab"[n % 2]), False) for n in range(8)])
    outbox.end_without_outcome(db, "i-4", InstructionState.DEAD)
    assert outbox.open_of_tenant(db, "a", 0, 8, 10) == [1, 3, 7]
    assert outbox.open_of_tenant(db, "a", 1, 6, 10) == [3]
    assert outbox.open_of_tenant(db, "b", 2, 8, 2) == [4, 6]


def test_a_page_is_a_tenants_newest_first_and_may_be_of_one_state(db) -> None:
    outbox.put_all(db, [(replace(RING, id=f"i-{n}"), n == 1) for n in range(4)])
    outbox.put(db, replace(RING, id="i-9", tenant="other"), needs_approval=False)
    newest = outbox.page(db, "acme", ALL, 2)
    assert [one.instruction.id for one in newest] == ["i-3", "i-2"]
    assert [one.instruction.id for one in outbox.page(db, "acme", newest[-1].row, 9)] == [
        "i-1", "i-0",
    ]  # fmt: skip
    waiting = outbox.page(db, "acme", ALL, 9, InstructionState.AWAITING_APPROVAL)
    assert [one.instruction.id for one in waiting] == ["i-1"]


def test_applications_that_open_instructions_wait_for_and_counts_by_state(db) -> None:
    outbox.put_all(
        db,
        [
            (RING, False),
            (replace(RING, id="i-2", version="0.9.0"), False),
            (replace(RING, id="i-3", application="gone"), False),
        ],
    )
    outbox.end_without_outcome(db, "i-3", InstructionState.DEAD)
    assert outbox.open_applications(db, "acme") == {("alarm", "1.0.0"), ("alarm", "0.9.0")}
    assert outbox.open_applications(db, "other") == set()
    assert dict(outbox.counts(db)) == {InstructionState.PENDING: 2, InstructionState.DEAD: 1}
