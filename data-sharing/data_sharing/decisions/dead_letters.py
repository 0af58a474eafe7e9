"""Dead letters: what could not be decided or carried out, each with a reason.

One of an event lives as long as the event, because without it nothing can be decided anew; one
of an instruction as long as decisions. Functions of a connection, like the outbox's.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import IntEnum

from control_plane.sqlite.schema import Schema
from data_sharing.instruction import Cause

SCHEMA = Schema(
    part="dead_letters",
    steps=(
        (
            """CREATE TABLE dead_letters (
                 row INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL,
                 kind INTEGER NOT NULL, time_ms INTEGER NOT NULL, reason TEXT NOT NULL,
                 instruction TEXT NOT NULL, rule TEXT NOT NULL, rule_version INTEGER NOT NULL,
                 source TEXT NOT NULL, event TEXT NOT NULL, type TEXT NOT NULL,
                 position INTEGER NOT NULL, redriven_ms INTEGER)""",
            "CREATE INDEX dead_letters_of_tenant ON dead_letters (tenant, row)",
            """CREATE INDEX dead_letters_of_instruction ON dead_letters (instruction)
                 WHERE instruction != ''""",
            """CREATE UNIQUE INDEX dead_letters_of_event
                 ON dead_letters (tenant, position, rule, rule_version) WHERE kind = 1""",
        ),
    ),
)


class DeadLetterKind(IntEnum):
    """What it is about; as in the contract."""

    EVENT = 1
    INSTRUCTION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One of them. id: "d-" and its number."""

    id: str
    tenant: str
    kind: DeadLetterKind
    time_ms: int
    reason: str
    instruction: str = ""
    rule: str = ""
    rule_version: int = 0
    event: Cause | None = None
    redriven_ms: int | None = None


_COLUMNS = (
    "row, tenant, kind, time_ms, reason, instruction, rule, rule_version, source, event, type,"
    " position, redriven_ms"
)


def put_instruction(
    db: sqlite3.Connection, tenant: str, instruction: str, *, reason: str, now_ms: int
) -> None:
    """An instruction that will not be carried out."""
    db.execute(
        "INSERT INTO dead_letters (tenant, kind, time_ms, reason, instruction, rule, rule_version,"
        " source, event, type, position) VALUES (?, ?, ?, ?, ?, '', 0, '', '', '', 0)",
        (tenant, int(DeadLetterKind.INSTRUCTION), now_ms, reason, instruction),
    )


def put_event(
    db: sqlite3.Connection,
    tenant: str,
    event: Cause,
    *,
    rule: str,
    rule_version: int,
    reason: str,
    now_ms: int,
) -> None:
    """An event that a rule could not be evaluated on: one letter, however often it is tried."""
    db.execute(
        "INSERT INTO dead_letters (tenant, kind, time_ms, reason, instruction, rule,"
        " rule_version, source, event, type, position) VALUES (?, ?, ?, ?, '', ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (tenant, position, rule, rule_version) WHERE kind = 1 DO UPDATE SET"
        " redriven_ms = NULL, reason = excluded.reason, time_ms = excluded.time_ms",
        (
            tenant, int(DeadLetterKind.EVENT), now_ms, reason, rule, rule_version, event.source,
            event.id, event.type, event.position,
        ),
    )  # fmt: skip


def get(db: sqlite3.Connection, tenant: str, letter_id: str) -> DeadLetter | None:
    """By its id; None also for an id that is none."""
    number = letter_id.removeprefix("d-")
    if not number.isdecimal() or len(number) > 18:
        return None
    row = db.execute(
        f"SELECT {_COLUMNS} FROM dead_letters WHERE tenant = ? AND row = ?", (tenant, int(number))
    ).fetchone()
    return _letter(row) if row else None


def of_event(db: sqlite3.Connection, tenant: str, position: int) -> list[DeadLetter]:
    """Those of an event, oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM dead_letters WHERE tenant = ? AND position = ? AND kind = 1"
        " ORDER BY row LIMIT 1000",
        (tenant, position),
    )
    return [_letter(row) for row in rows]


def of_instruction(db: sqlite3.Connection, tenant: str, instruction: str) -> list[DeadLetter]:
    """Those of an instruction, oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM dead_letters WHERE instruction = ? AND instruction != ''"
        " AND tenant = ? ORDER BY row LIMIT 1000",
        (instruction, tenant),
    )
    return [_letter(row) for row in rows]


def page(
    db: sqlite3.Connection,
    tenant: str,
    before: int,
    limit: int,
    *,
    with_redriven: bool,
    from_row: int = 0,
) -> list[DeadLetter]:
    """A tenant's, below a number and from another one on, newest first."""
    only = "" if with_redriven else " AND redriven_ms IS NULL"
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM dead_letters WHERE tenant = ? AND row < ? AND row >= ?{only}"
        " ORDER BY row DESC LIMIT ?",
        (tenant, before, from_row, limit),
    )
    return [_letter(row) for row in rows]


def mark_redriven(db: sqlite3.Connection, letter: DeadLetter, now_ms: int) -> bool:
    """Records that it is tried again. False where that was so before."""
    changed = db.execute(
        "UPDATE dead_letters SET redriven_ms = ? WHERE row = ? AND redriven_ms IS NULL",
        (now_ms, int(letter.id.removeprefix("d-"))),
    )
    return changed.rowcount == 1


def resolve(db: sqlite3.Connection, instruction: str, now_ms: int) -> None:
    """An outcome came late: the letter needs nobody any more."""
    db.execute(
        "UPDATE dead_letters SET redriven_ms = ?, reason = reason || '; its outcome came late'"
        " WHERE instruction = ? AND redriven_ms IS NULL",
        (now_ms, instruction),
    )


def trim_events(db: sqlite3.Connection, tenant: str, position: int, limit: int) -> int:
    """Deletes letters of events up to a position, as their log does; how many."""
    return db.execute(
        "DELETE FROM dead_letters WHERE row IN (SELECT row FROM dead_letters"
        " WHERE kind = 1 AND tenant = ? AND position <= ? LIMIT ?)",
        (tenant, position, limit),
    ).rowcount


def trim_instructions(db: sqlite3.Connection, before_ms: int, limit: int) -> int:
    """Deletes letters of instructions that are older; how many."""
    return db.execute(
        "DELETE FROM dead_letters WHERE row IN (SELECT row FROM dead_letters"
        " WHERE instruction != '' AND time_ms < ? LIMIT ?)",
        (before_ms, limit),
    ).rowcount


def _letter(
    row: tuple[int, str, int, int, str, str, str, int, str, str, str, int, int | None],
) -> DeadLetter:
    (number, tenant, kind, time_ms, reason, instruction, rule, rule_version, source, event, type_,
     position, redriven_ms) = row  # fmt: skip
    return DeadLetter(
        id=f"d-{number}",
        tenant=tenant,
        kind=DeadLetterKind(kind),
        time_ms=time_ms,
        reason=reason,
        instruction=instruction,
        rule=rule,
        rule_version=rule_version,
        event=Cause(source, event, type_, position) if event else None,
        redriven_ms=redriven_ms,
    )
