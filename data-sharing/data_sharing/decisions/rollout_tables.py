"""The tables of rollouts, one for each rule: the one that is going on, or the last; and how
instructions of its versions ended in its present step. Functions of a connection.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from control_plane.sqlite.schema import Schema
from data_sharing.instruction import Instruction
from data_sharing.rules.cell_cache import decoded
from data_sharing.rules.rollout import LIVE, Rollout, RolloutPhase
from data_sharing.rules.rollout_counts import RolloutCounts
from data_sharing.rules.shadow import counts_cell

SLICE_MS = 10_000  # outcomes are counted by these
MOST_MOVES = 50  # of one rule
MOST_SLICES = 10_000  # of one version
SCHEMA = Schema(
    part="rollouts",
    steps=(
        (
            """CREATE TABLE rollouts (
                 tenant TEXT NOT NULL, rule TEXT NOT NULL, candidate INTEGER NOT NULL,
                 stable INTEGER NOT NULL, phase TEXT NOT NULL, step INTEGER NOT NULL,
                 began_ms INTEGER NOT NULL, step_began_ms INTEGER NOT NULL,
                 compared INTEGER NOT NULL, differing INTEGER NOT NULL, reason TEXT NOT NULL,
                 PRIMARY KEY (tenant, rule)) WITHOUT ROWID""",
            """CREATE TABLE rollout_outcomes (
                 tenant TEXT NOT NULL, rule TEXT NOT NULL, version INTEGER NOT NULL,
                 slice INTEGER NOT NULL, done INTEGER NOT NULL, failed INTEGER NOT NULL,
                 PRIMARY KEY (tenant, rule, version, slice)) WITHOUT ROWID""",
            """CREATE TABLE rollout_moves (
                 row INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, rule TEXT NOT NULL,
                 candidate INTEGER NOT NULL, time_ms INTEGER NOT NULL, phase TEXT NOT NULL,
                 step INTEGER NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL)""",
            "CREATE INDEX rollout_moves_of_rule ON rollout_moves (tenant, rule, row)",
        ),
    ),
)
_COLUMNS = (
    "tenant, rule, candidate, stable, phase, step, began_ms, step_began_ms, compared, differing,"
    " reason"
)
_LIVE = ", ".join(f"'{phase.value}'" for phase in LIVE)


class RolloutMove(NamedTuple):
    """What became of a rollout at a time. by: an operator; empty: itself."""

    candidate: int
    time_ms: int
    phase: RolloutPhase
    step: int
    reason: str
    by: str


class EndedInstructions(NamedTuple):
    """How instructions of one version ended."""

    done: int = 0
    failed: int = 0


def get(db: sqlite3.Connection, tenant: str, rule: str) -> Rollout | None:
    """The rollout of a rule that is going on, or the last; None: it never had any."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM rollouts WHERE tenant = ? AND rule = ?", (tenant, rule)
    ).fetchone()
    return _rollout(row) if row else None


def live(db: sqlite3.Connection, tenant: str = "") -> dict[tuple[str, str], Rollout]:
    """Those that are going on, by tenant and rule; of one tenant, or of all."""
    only = " AND tenant = ?" if tenant else ""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM rollouts WHERE phase IN ({_LIVE}){only}",
        (tenant,) if tenant else (),
    )
    return {(row[0], row[1]): _rollout(row) for row in rows}


def put(db: sqlite3.Connection, tenant: str, rule: str, rollout: Rollout) -> None:
    """It is so now. Where its step is another one, outcomes are counted anew."""
    before = get(db, tenant, rule)
    db.execute(
        f"INSERT OR REPLACE INTO rollouts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            tenant, rule, rollout.candidate, rollout.stable, rollout.phase.value, rollout.step,
            rollout.began_ms, rollout.step_began_ms, rollout.compared, rollout.differing,
            rollout.reason,
        ),
    )  # fmt: skip
    if before is None or (before.candidate, before.step) != (rollout.candidate, rollout.step):
        db.execute("DELETE FROM rollout_outcomes WHERE tenant = ? AND rule = ?", (tenant, rule))


def note(
    db: sqlite3.Connection, tenant: str, rule: str, rollout: Rollout, *, by: str, now_ms: int
) -> None:
    """Keeps that a rollout has moved, to be read later; of each rule the newest. by: an operator's
    name; empty: it moved by itself."""
    db.execute(
        "INSERT INTO rollout_moves (tenant, rule, candidate, time_ms, phase, step, reason, by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            tenant, rule, rollout.candidate, now_ms, rollout.phase.value, rollout.step,
            rollout.reason, by,
        ),
    )  # fmt: skip
    db.execute(
        "DELETE FROM rollout_moves WHERE tenant = ? AND rule = ? AND row NOT IN (SELECT row FROM"
        " rollout_moves WHERE tenant = ? AND rule = ? ORDER BY row DESC LIMIT ?)",
        (tenant, rule, tenant, rule, MOST_MOVES),
    )


def history(db: sqlite3.Connection, tenant: str, rule: str) -> list[RolloutMove]:
    """The newest moves of a rule's rollouts, the newest first."""
    rows = db.execute(
        "SELECT candidate, time_ms, phase, step, reason, by FROM rollout_moves"
        " WHERE tenant = ? AND rule = ? ORDER BY row DESC",
        (tenant, rule),
    )
    return [
        RolloutMove(candidate, time_ms, RolloutPhase(phase), step, reason, by)
        for candidate, time_ms, phase, step, reason, by in rows
    ]


def forget_counts(db: sqlite3.Connection, tenant: str, rule: str) -> None:
    """Before a rollout begins: what was counted in the one before."""
    db.execute(
        "DELETE FROM cells WHERE tenant = ? AND kind = 'rollout' AND name = ?", (tenant, rule)
    )


def count_outcome(db: sqlite3.Connection, what: Instruction, *, done: bool, now_ms: int) -> None:
    """An instruction ended, in the transaction that says so. Counted while its rule's versions are
    in a rollout, and only then."""
    if not what.rule:
        return
    db.execute(
        "INSERT INTO rollout_outcomes SELECT ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM rollouts"
        f" WHERE tenant = ? AND rule = ? AND phase IN ({_LIVE}) AND ? IN (candidate, stable))"
        " ON CONFLICT (tenant, rule, version, slice) DO UPDATE SET done = done + excluded.done,"
        " failed = failed + excluded.failed",
        (
            what.tenant, what.rule, what.rule_version, now_ms // SLICE_MS, int(done),
            int(not done), what.tenant, what.rule, what.rule_version,
        ),
    )  # fmt: skip
    db.execute(
        "DELETE FROM rollout_outcomes WHERE tenant = ? AND rule = ? AND slice < ?",
        (what.tenant, what.rule, now_ms // SLICE_MS - MOST_SLICES),
    )


def ended(
    db: sqlite3.Connection, tenant: str, rule: str, version: int, since_ms: int
) -> EndedInstructions:
    """How instructions of a version ended in the present step, from then on."""
    row = db.execute(
        "SELECT sum(done), sum(failed) FROM rollout_outcomes WHERE tenant = ? AND rule = ?"
        " AND version = ? AND slice >= ?",
        (tenant, rule, version, since_ms // SLICE_MS),
    ).fetchone()
    return EndedInstructions(row[0] or 0, row[1] or 0)


def counts(db: sqlite3.Connection, tenant: str, rule: str, candidate: int) -> RolloutCounts:
    """How a rollout's versions compare, as far as is committed."""
    row = db.execute(
        "SELECT content FROM cells WHERE tenant = ? AND kind = ? AND name = ? AND key = ?",
        counts_cell(tenant, rule, candidate),
    ).fetchone()
    found: RolloutCounts | None = decoded("rollout", row[0]) if row else None
    return found or RolloutCounts()


def _rollout(
    row: tuple[str, str, int, int, str, int, int, int, int, int, str],
) -> Rollout:
    _, _, candidate, stable, phase, step, began_ms, step_began_ms, compared, differing, why = row
    return Rollout(
        candidate=candidate,
        stable=stable,
        phase=RolloutPhase(phase),
        step=step,
        began_ms=began_ms,
        step_began_ms=step_began_ms,
        compared=compared,
        differing=differing,
        reason=why,
    )
