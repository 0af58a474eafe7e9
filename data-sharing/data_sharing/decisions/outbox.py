"""Outbox: instructions as the database keeps them, from their decision to their outcome.

Functions of a connection, so that an instruction is written in the transaction that decided
it, and its outcome in the one that tells the feeds. A row's number grows with each
instruction, so whoever sends them can say how far it has looked.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgspec

from control_plane.sqlite.rows import insert
from control_plane.sqlite.schema import Schema
from data_sharing.instruction import Instruction, Performed

SCHEMA = Schema(
    part="outbox",
    steps=(
        (
            """CREATE TABLE instructions (
                 row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
                 tenant TEXT NOT NULL, state INTEGER NOT NULL, platform TEXT NOT NULL,
                 attempt INTEGER NOT NULL, deadline_ms INTEGER NOT NULL, body BLOB NOT NULL,
                 outcome BLOB, reason TEXT NOT NULL)""",
            "CREATE INDEX instructions_open ON instructions (row) WHERE state < 4",
            "CREATE INDEX instructions_of_tenant ON instructions (tenant, row)",
            "CREATE INDEX instructions_to_approve ON instructions (deadline_ms) WHERE state = 1",
        ),
    ),
)


class InstructionState(IntEnum):
    """How far an instruction is; as in the contract."""

    AWAITING_APPROVAL = 1
    PENDING = 2
    SENT = 3  # a platform has it, or may have it
    DONE = 4
    DEAD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstruction:
    """An instruction and how far it is."""

    row: int
    instruction: Instruction
    state: InstructionState
    platform: str  # that has or had it; empty: none
    attempt: int  # that was sent or is to be sent, from 1
    deadline_ms: int  # the instruction's, until it is redriven
    outcome: Performed | None
    reason: str


log = logging.getLogger(__name__)

_encode = msgspec.json.Encoder().encode
_instruction = msgspec.json.Decoder(Instruction).decode
_performed = msgspec.json.Decoder(Performed).decode
_COLUMNS = "row, body, state, platform, attempt, deadline_ms, outcome, reason"
_INTO = "instructions (id, tenant, state, platform, attempt, deadline_ms, body, reason)"
NEEDS_APPROVAL = "it waits for a person to approve it"
_ONCE = "ON CONFLICT (id) DO NOTHING"


def put(db: sqlite3.Connection, instruction: Instruction, *, needs_approval: bool) -> bool:
    """Keeps a new instruction. False where one with its id is there: it was decided before."""
    before = db.total_changes
    put_all(db, [(instruction, needs_approval)])
    return db.total_changes > before


def put_all(db: sqlite3.Connection, rows: Sequence[tuple[Instruction, bool]]) -> None:
    """Keeps new instructions, in this order, each with whether it needs approval. One whose id
    is there stays as it is."""
    insert(db, _INTO, [_row(*one) for one in rows], otherwise=_ONCE)


def _row(instruction: Instruction, needs_approval: bool) -> tuple[Any, ...]:
    state = InstructionState.AWAITING_APPROVAL if needs_approval else InstructionState.PENDING
    reason = NEEDS_APPROVAL if needs_approval else ""
    return (
        instruction.id, instruction.tenant, int(state), "", 1, instruction.deadline_ms,
        _encode(instruction), reason,
    )  # fmt: skip


def get(db: sqlite3.Connection, instruction_id: str) -> StoredInstruction | None:
    """One instruction by its id."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM instructions WHERE id = ?", (instruction_id,)
    ).fetchone()
    return _stored(row) if row else None


def open_rows_after(db: sqlite3.Connection, row: int, limit: int) -> list[tuple[int, str]]:
    """(row, tenant) of instructions without outcome behind a row, in the order of their
    decisions."""
    return db.execute(
        "SELECT row, tenant FROM instructions WHERE state < 4 AND row > ? ORDER BY row LIMIT ?",
        (row, limit),
    ).fetchall()


def open_of_tenant(
    db: sqlite3.Connection, tenant: str, after: int, upto: int, limit: int
) -> list[int]:
    """Rows of a tenant's instructions without outcome behind one row and up to another, in their
    order."""
    rows = db.execute(
        "SELECT row FROM instructions INDEXED BY instructions_of_tenant "
        "WHERE tenant = ? AND row > ? AND row <= ? AND state < 4 ORDER BY row LIMIT ?",
        (tenant, after, upto, limit),
    )
    return [row for (row,) in rows]


def open_at(db: sqlite3.Connection, rows: Sequence[int]) -> list[StoredInstruction]:
    """The instructions without outcome in these rows, in this order. One that cannot be read is
    left out, and logged."""
    found = list[StoredInstruction]()
    for row in rows:
        one = db.execute(
            f"SELECT {_COLUMNS} FROM instructions WHERE row = ? AND state < 4", (row,)
        ).fetchone()
        if one is None:
            continue
        try:
            found.append(_stored(one))
        except (ValueError, RecursionError) as error:  # msgspec's errors among them
            log.error("leaving out instruction %d, which cannot be read: %s", row, error)
    return found


def open_applications(db: sqlite3.Connection, tenant: str) -> set[tuple[str, str]]:
    """(application, version) of a tenant's instructions without outcome."""
    rows = db.execute("SELECT body FROM instructions WHERE state < 4 AND tenant = ?", (tenant,))
    found = (_instruction(body) for (body,) in rows)
    return {(one.application, one.version) for one in found}


def page(
    db: sqlite3.Connection,
    tenant: str,
    before: int,
    limit: int,
    state: InstructionState | None = None,
    *,
    from_row: int = 0,
) -> list[StoredInstruction]:
    """A tenant's instructions below a row and from another one on, newest first."""
    where, values = "tenant = ? AND row < ? AND row >= ?", [tenant, before, from_row]
    if state is not None:
        where += " AND state = ?"
        values.append(int(state))
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM instructions WHERE {where} ORDER BY row DESC LIMIT ?",
        (*values, limit),
    )
    return [_stored(one) for one in rows]


def overdue_approvals(db: sqlite3.Connection, now_ms: int) -> list[StoredInstruction]:
    """Those that nobody approved before their deadline."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM instructions WHERE state = 1 AND deadline_ms < ? LIMIT 100",
        (now_ms,),
    )
    return [_stored(one) for one in rows]


def claim(db: sqlite3.Connection, instruction_id: str, platform: str) -> None:
    """From now on this platform may have it."""
    db.execute(
        "UPDATE instructions SET state = ?, platform = ?, reason = '' WHERE id = ? AND state < 4",
        (int(InstructionState.SENT), platform, instruction_id),
    )


def note_sent(db: sqlite3.Connection, instruction_id: str, platform: str) -> None:
    """This platform was sent it last; others may be."""
    db.execute(
        "UPDATE instructions SET platform = ? WHERE id = ? AND state < 4",
        (platform, instruction_id),
    )


def let_go(db: sqlite3.Connection, instruction: Instruction) -> None:
    """One that waited for approval is to be sent, as it says now."""
    db.execute(
        "UPDATE instructions SET state = ?, deadline_ms = ?, body = ?, reason = ''"
        " WHERE id = ? AND state = ?",
        (
            int(InstructionState.PENDING), instruction.deadline_ms, _encode(instruction),
            instruction.id, int(InstructionState.AWAITING_APPROVAL),
        ),
    )  # fmt: skip


def wait_again(db: sqlite3.Connection, instruction_id: str, until_ms: int) -> None:
    """One that ended before anybody approved it waits once more."""
    db.execute(
        "UPDATE instructions SET state = ?, deadline_ms = ?, reason = ? WHERE id = ?",
        (int(InstructionState.AWAITING_APPROVAL), until_ms, NEEDS_APPROVAL, instruction_id),
    )


def release(db: sqlite3.Connection, instruction_id: str, reason: str) -> None:
    """No platform has it, surely; it is to be sent."""
    db.execute(
        "UPDATE instructions SET state = ?, platform = '', reason = ? WHERE id = ? AND state < 4",
        (int(InstructionState.PENDING), reason, instruction_id),
    )


def end_without_outcome(
    db: sqlite3.Connection, instruction_id: str, state: InstructionState, *, reason: str = ""
) -> None:
    """How it ended where there is no outcome."""
    db.execute(
        "UPDATE instructions SET state = ?, reason = ? WHERE id = ?",
        (int(state), reason, instruction_id),
    )


def record_outcome(
    db: sqlite3.Connection,
    performed: Performed,
    state: InstructionState,
    *,
    attempt: int,
    reason: str,
) -> None:
    """An outcome, and how far the instruction is with it; `attempt`: see StoredInstruction."""
    db.execute(
        "UPDATE instructions SET state = ?, outcome = ?, platform = ?, attempt = ?, reason = ?"
        " WHERE id = ?",
        (
            int(state), _encode(performed), performed.platform, attempt, reason,
            performed.instruction,
        ),
    )  # fmt: skip


def renew(db: sqlite3.Connection, instruction: Instruction) -> None:
    """It is to be sent once more, as it says now: with another deadline, and to be run again
    where a platform knows it."""
    db.execute(
        "UPDATE instructions SET state = ?, platform = '', attempt = attempt + 1,"
        " deadline_ms = ?, body = ?, outcome = NULL, reason = '' WHERE id = ?",
        (
            int(InstructionState.PENDING),
            instruction.deadline_ms,
            _encode(instruction),
            instruction.id,
        ),
    )


def trim(db: sqlite3.Connection, before_ms: int, limit: int) -> int:
    """Forgets the oldest that have ended and whose deadline is older; how many."""
    return db.execute(
        "DELETE FROM instructions WHERE row IN (SELECT row FROM (SELECT row, state, deadline_ms"
        " FROM instructions ORDER BY row LIMIT ?) WHERE state >= 4 AND deadline_ms < ?)",
        (limit, before_ms),
    ).rowcount


def counts(db: sqlite3.Connection) -> Iterator[tuple[InstructionState, int]]:
    """How many are in each state."""
    for state, count in db.execute("SELECT state, count(*) FROM instructions GROUP BY state"):
        yield InstructionState(state), count


def _stored(row: tuple[int, bytes, int, str, int, int, bytes | None, str]) -> StoredInstruction:
    number, body, state, platform, attempt, deadline_ms, outcome, reason = row
    return StoredInstruction(
        row=number,
        instruction=_instruction(body),
        state=InstructionState(state),
        platform=platform,
        attempt=attempt,
        deadline_ms=deadline_ms,
        outcome=None if outcome is None else _performed(outcome),
        reason=reason,
    )
