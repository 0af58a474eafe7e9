"""Approvals: instructions that wait for a person, on which terms, with what they are judged by, and
who said what. Functions of a connection: an approval is asked for in the transaction that keeps its
instruction, and given in the one that lets it go.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from control_plane.sqlite.schema import Schema
from data_sharing.instruction import ApprovalTerms, Instruction

SCHEMA = Schema(
    part="approvals",
    steps=(
        (
            """CREATE TABLE approvals (
                 row INTEGER PRIMARY KEY AUTOINCREMENT, instruction TEXT NOT NULL UNIQUE,
                 tenant TEXT NOT NULL, terms BLOB NOT NULL, read BLOB NOT NULL,
                 asked_ms INTEGER NOT NULL, verdict TEXT NOT NULL DEFAULT 'waiting',
                 approver TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
                 revision TEXT NOT NULL DEFAULT '', decided_ms INTEGER NOT NULL DEFAULT 0)""",
            "CREATE INDEX approvals_of_tenant ON approvals (tenant, verdict, row)",
            "CREATE INDEX approvals_by_time ON approvals (asked_ms)",
        ),
        (
            "CREATE INDEX approvals_waiting ON approvals (tenant, asked_ms)"
            " WHERE verdict = 'waiting'",
        ),
    ),
)
RETIRED = "retired"  # the revision of a rule that decides no more


class Verdict(StrEnum):
    WAITING = "waiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedApproval:
    """An instruction that waits from now on. read: values that its rule's condition read."""

    instruction: Instruction
    terms: ApprovalTerms
    read: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """As it stands. revision: of the rule, as it was shown to whoever decided."""

    row: int
    instruction: str
    terms: ApprovalTerms
    read: Mapping[str, Any]
    asked_ms: int
    verdict: Verdict
    approver: str
    reason: str
    revision: str
    decided_ms: int


_encode = msgspec.msgpack.Encoder(enc_hook=repr).encode
_terms = msgspec.msgpack.Decoder(ApprovalTerms).decode
_read = msgspec.msgpack.Decoder(dict[str, Any]).decode
_COLUMNS = (
    "row, instruction, terms, read, asked_ms, verdict, approver, reason, revision, decided_ms"
)


def ask(db: sqlite3.Connection, asked: Sequence[AskedApproval]) -> None:
    """Approvals of instructions that are in the outbox; one that is asked for already is left as it
    is. Until it is given, the instruction's row has the end of the wait as its deadline."""
    for one in asked:
        what, terms = one.instruction, one.terms
        added = db.execute(
            "INSERT OR IGNORE INTO approvals (instruction, tenant, terms, read, asked_ms)"
            " VALUES (?, ?, ?, ?, ?)",
            (what.id, what.tenant, _encode(terms), _encode(dict(one.read)), what.decided_at_ms),
        )
        if added.rowcount == 1 and terms.expires_ms:
            db.execute(
                "UPDATE instructions SET deadline_ms = ? WHERE id = ? AND state = 1",
                (what.decided_at_ms + terms.expires_ms, what.id),
            )


def again(db: sqlite3.Connection, approval: Approval, now_ms: int) -> None:
    """It is asked for once more."""
    db.execute(
        "UPDATE approvals SET verdict = ?, approver = '', reason = '', revision = '',"
        " decided_ms = 0, asked_ms = ? WHERE row = ?",
        (Verdict.WAITING.value, now_ms, approval.row),
    )


def decide(
    db: sqlite3.Connection,
    instruction: str,
    verdict: Verdict,
    *,
    approver: str,
    reason: str,
    revision: str,
    now_ms: int,
) -> None:
    """Somebody has decided, or nobody did in time; once."""
    db.execute(
        "UPDATE approvals SET verdict = ?, approver = ?, reason = ?, revision = ?, decided_ms = ?"
        " WHERE instruction = ? AND verdict = ?",
        (
            verdict.value, approver, reason, revision, now_ms, instruction,
            Verdict.WAITING.value,
        ),
    )  # fmt: skip


def get(db: sqlite3.Connection, instruction: str) -> Approval | None:
    """None: its action needs none, or an older release asked for it."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM approvals WHERE instruction = ?", (instruction,)
    ).fetchone()
    return _approval(row) if row else None


def page(
    db: sqlite3.Connection, tenant: str, before: int, limit: int, verdict: Verdict | None
) -> list[Approval]:
    """A tenant's below a row, newest first; None: whatever was decided."""
    verdicts = list(Verdict) if verdict is None else [verdict]
    marks = ", ".join("?" * len(verdicts))
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM approvals WHERE tenant = ? AND verdict IN ({marks})"
        " AND row < ? ORDER BY row DESC LIMIT ?",
        (tenant, *(one.value for one in verdicts), before, limit),
    )
    return [_approval(row) for row in rows]


def waiting(db: sqlite3.Connection, limit: int) -> list[tuple[str, int, int]]:
    """(tenant, how many wait, since when the first of them: Unix ms) of at most so many tenants."""
    rows = db.execute(
        "SELECT tenant, count(*), min(asked_ms) FROM approvals INDEXED BY approvals_waiting"
        " WHERE verdict = 'waiting' GROUP BY tenant ORDER BY tenant LIMIT ?",
        (limit,),
    )
    return rows.fetchall()


def trim(db: sqlite3.Connection, limit: int) -> int:
    """Forgets those whose instruction is forgotten; how many."""
    return db.execute(
        "DELETE FROM approvals WHERE row IN (SELECT row FROM (SELECT row, instruction"
        " FROM approvals ORDER BY row LIMIT ?) a WHERE NOT EXISTS (SELECT 1 FROM instructions i"
        " WHERE i.id = a.instruction))",
        (limit,),
    ).rowcount


def _approval(row: tuple[Any, ...]) -> Approval:
    number, instruction, terms, read, asked_ms, verdict, approver, reason, revision, at_ms = row
    return Approval(
        row=number,
        instruction=instruction,
        terms=_terms(terms),
        read=_read(read),
        asked_ms=asked_ms,
        verdict=Verdict(verdict),
        approver=approver,
        reason=reason,
        revision=revision,
        decided_ms=at_ms,
    )
