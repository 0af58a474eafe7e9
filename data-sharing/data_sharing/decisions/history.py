"""History: what was decided, and what each rule made of each event, to be read later.

A rule's judgement, clause by clause with the values it met, is written when it judges: nobody
could say afterwards what a window held or a forecast was. So only events that the index
brought to a rule cost anything; for the others, the index's conditions are asked again. Kept
for a time, then deleted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from control_plane.sqlite.rows import insert
from control_plane.sqlite.schema import Schema
from data_sharing.instruction import Cause
from data_sharing.rules.results import ClauseOutcome, KeptPart, RuleOutcome, RuleVerdict

SCHEMA = Schema(
    part="history",
    steps=(
        (
            """CREATE TABLE decisions (
                 row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, tenant TEXT NOT NULL,
                 kind INTEGER NOT NULL, time_ms INTEGER NOT NULL, position INTEGER NOT NULL,
                 rule TEXT NOT NULL, plan TEXT NOT NULL, body BLOB NOT NULL)""",
            "CREATE INDEX decisions_by_id ON decisions (id)",
            "CREATE INDEX decisions_of_event ON decisions (tenant, position) WHERE position > 0",
            """CREATE TABLE judgements (
                 tenant TEXT NOT NULL, position INTEGER NOT NULL, time_ms INTEGER NOT NULL,
                 body BLOB NOT NULL, PRIMARY KEY (tenant, position)) WITHOUT ROWID""",
            """CREATE TABLE timer_judgements (
                 decision TEXT PRIMARY KEY, time_ms INTEGER NOT NULL, body BLOB NOT NULL)
               WITHOUT ROWID""",
        ),
        ("CREATE INDEX decisions_of_tenant ON decisions (tenant)",),
    ),
)


class DecisionKind(IntEnum):
    """As in the contract."""

    RULE = 1
    PLANNED = 2
    MISSED = 3


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was decided. position: of the event that did it; 0: time did."""

    id: str
    tenant: str
    kind: DecisionKind
    time_ms: int
    summary: str
    position: int = 0
    rule: str = ""
    rule_version: int = 0
    plan: str = ""
    causes: tuple[Cause, ...] = ()
    effects: tuple[dict[str, Any], ...] = ()
    instructions: tuple[str, ...] = ()
    late_ms: int = 0
    correlation: str = ""  # the flow that it is of
    timer: str = ""  # id of the timer that was due, and when, where no event did it
    hops: int = 0  # decisions in its flow up to it, its own included


class Judgement(msgspec.Struct, array_like=True, frozen=True):
    """What one rule made of an event."""

    rule: str
    version: int
    verdict: str
    plan: str = ""
    detail: str = ""
    clauses: ClauseOutcome | None = None
    effects: tuple[tuple[str, str], ...] = ()  # what, and its status
    shadow: bool = False  # the version did not act at this key
    key: str = ""
    kept: tuple[KeptPart, ...] = ()


_encode = msgspec.msgpack.Encoder(enc_hook=repr).encode
_decision = msgspec.msgpack.Decoder(Decision).decode
_judgements = msgspec.msgpack.Decoder(list[Judgement]).decode


def put(db: sqlite3.Connection, *decisions: Decision) -> None:
    """Keeps decisions, in this order."""
    insert(
        db,
        "decisions (id, tenant, kind, time_ms, position, rule, plan, body)",
        [
            (one.id, one.tenant, int(one.kind), one.time_ms, one.position, one.rule, one.plan,
             _encode(one))
            for one in decisions
        ],
    )  # fmt: skip


class EventOutcomes(NamedTuple):
    """What rules made of one event. shadow: versions that did not act at their key."""

    tenant: str
    position: int
    time_ms: int
    outcomes: Sequence[RuleOutcome]
    shadow: Sequence[RuleOutcome] = ()

    @property
    def judgements(self) -> list[Judgement]:
        return _judgements_of(self.outcomes, self.shadow)


def put_judgements(db: sqlite3.Connection, *events: EventOutcomes) -> None:
    """Keeps what rules made of events that are new."""
    insert(
        db,
        "judgements",
        [(one.tenant, one.position, one.time_ms, _encode(one.judgements)) for one in events],
    )


def add_judgements(db: sqlite3.Connection, again: EventOutcomes, waited_for: str = "") -> None:
    """Keeps what rules made of an event that is decided once more, after what they made of it
    before. waited_for: a rule for which it has waited, and does not any more."""
    before = judgements_of(db, again.tenant, again.position)
    if waited_for:
        before = [one for one in before if not _waits(one, waited_for)]
    db.execute(
        "INSERT OR REPLACE INTO judgements VALUES (?, ?, ?, ?)",
        (again.tenant, again.position, again.time_ms,
         _encode([*before, *again.judgements])),
    )  # fmt: skip


def end_waiting(
    db: sqlite3.Connection, tenant: str, positions: Iterable[int], rule: str, detail: str
) -> None:
    """Events that have waited for a rule were not decided by it. detail: why."""
    for position in positions:
        before = judgements_of(db, tenant, position)
        after = [replace(one, detail=detail) if _waits(one, rule) else one for one in before]
        if after != before:
            db.execute(
                "UPDATE judgements SET body = ? WHERE tenant = ? AND position = ?",
                (_encode(after), tenant, position),
            )


def _waits(one: Judgement, rule: str) -> bool:
    return one.rule == rule and one.verdict == RuleVerdict.PAUSED.value


def put_timer_judgements(
    db: sqlite3.Connection,
    decision_id: str,
    time_ms: int,
    outcomes: Sequence[RuleOutcome],
    shadow: Sequence[RuleOutcome] = (),
) -> None:
    """The same of a timer, under the decision that it led to."""
    db.execute(
        "INSERT OR REPLACE INTO timer_judgements VALUES (?, ?, ?)",
        (decision_id, time_ms, _encode(_judgements_of(outcomes, shadow))),
    )


def get(db: sqlite3.Connection, tenant: str, decision_id: str) -> Decision | None:
    row = db.execute(
        "SELECT body FROM decisions WHERE id = ? AND tenant = ?", (decision_id, tenant)
    ).fetchone()
    return _decision(row[0]) if row else None


def of_event(db: sqlite3.Connection, tenant: str, position: int) -> list[Decision]:
    """Decisions that an event led to, in order."""
    rows = db.execute(
        "SELECT body FROM decisions WHERE tenant = ? AND position = ? ORDER BY row",
        (tenant, position),
    )
    return [_decision(body) for (body,) in rows]


def judgements_of(db: sqlite3.Connection, tenant: str, position: int) -> list[Judgement]:
    """What rules made of an event; nothing where no rule was asked, or it is too long ago."""
    row = db.execute(
        "SELECT body FROM judgements WHERE tenant = ? AND position = ?", (tenant, position)
    ).fetchone()
    return _judgements(row[0]) if row else []


def timer_judgements(db: sqlite3.Connection, decision_id: str) -> list[Judgement]:
    row = db.execute(
        "SELECT body FROM timer_judgements WHERE decision = ?", (decision_id,)
    ).fetchone()
    return _judgements(row[0]) if row else []


def page(
    db: sqlite3.Connection,
    tenant: str,
    before: int,
    limit: int,
    *,
    rule: str = "",
    plan: str = "",
    from_row: int = 0,
) -> list[tuple[int, Decision]]:
    """(row, decision) below a row and from another one on, newest first."""
    where, values = "tenant = ? AND row < ? AND row >= ?", [tenant, before, from_row]
    for name, value in (("rule", rule), ("plan", plan)):
        if value:
            where += f" AND {name} = ?"
            values.append(value)
    rows = db.execute(
        f"SELECT row, body FROM decisions WHERE {where} ORDER BY row DESC LIMIT ?",
        (*values, limit),
    )
    return [(row, _decision(body)) for row, body in rows]


def trim_events(db: sqlite3.Connection, tenant: str, position: int, limit: int) -> int:
    """Deletes what rules made of events up to a position, as their log does; how much."""
    return db.execute(
        "DELETE FROM judgements WHERE tenant = ? AND position IN (SELECT position FROM judgements"
        " WHERE tenant = ? AND position <= ? LIMIT ?)",
        (tenant, tenant, position, limit),
    ).rowcount


def trim(db: sqlite3.Connection, before_ms: int, limit: int) -> int:
    """Deletes the oldest decisions that are older; how many."""
    gone = db.execute(
        "DELETE FROM decisions WHERE row IN (SELECT row FROM (SELECT row, time_ms FROM decisions"
        " ORDER BY row LIMIT ?) WHERE time_ms < ?) RETURNING id",
        (limit, before_ms),
    ).fetchall()
    db.executemany("DELETE FROM timer_judgements WHERE decision = ?", gone)
    return len(gone)


def _judgements_of(
    outcomes: Sequence[RuleOutcome], shadow: Sequence[RuleOutcome]
) -> list[Judgement]:
    return [
        *(_judgement(one) for one in outcomes),
        *(_judgement(one, shadow=True) for one in shadow),
    ]


def _judgement(outcome: RuleOutcome, *, shadow: bool = False) -> Judgement:
    return Judgement(
        rule=outcome.rule,
        version=outcome.version,
        verdict=outcome.verdict.value,
        plan=outcome.plan_id,
        detail=outcome.detail,
        clauses=outcome.clauses,
        effects=tuple(
            (f"{type(one.effect).__name__} {one.field}".strip(), f"{one.status.value} {one.reason}")
            for one in outcome.effects
        ),
        shadow=shadow,
        key=outcome.key,
        kept=outcome.kept,
    )
