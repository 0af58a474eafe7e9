"""The tables of rules, in all their versions, and of forecasts. Functions of a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from control_plane.sqlite.schema import Schema
from data_sharing.decisions import pause_tables, rollout_tables, worker_tables
from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.rules.rollout import (
    ALWAYS,
    CANDIDATE,
    Activation,
    Rollout,
    aborted,
    activations,
)
from data_sharing.rules.spec import RuleSpec
from data_sharing.sharing.policies import Memory

SCHEMA = Schema(
    part="rules",
    steps=(
        (
            """CREATE TABLE rule_versions (
                 tenant TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
                 spec BLOB NOT NULL, applied_ms INTEGER NOT NULL,
                 PRIMARY KEY (tenant, id, version)) WITHOUT ROWID""",
            """CREATE TABLE rules (
                 tenant TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
                 retired INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (tenant, id)) WITHOUT ROWID""",
            """CREATE TABLE forecasts (
                 tenant TEXT NOT NULL, name TEXT NOT NULL, spec BLOB NOT NULL,
                 PRIMARY KEY (tenant, name)) WITHOUT ROWID""",
        ),
        (
            "ALTER TABLE rules ADD COLUMN state TEXT NOT NULL DEFAULT ''",
            "ALTER TABLE rule_versions ADD COLUMN in_force_ms INTEGER",
            "UPDATE rule_versions SET in_force_ms = applied_ms",
        ),
        ("ALTER TABLE rule_versions ADD COLUMN applied_by TEXT NOT NULL DEFAULT ''",),
    ),
)
_encode = msgspec.json.Encoder(order="deterministic").encode
_rule = msgspec.json.Decoder(RuleSpec).decode
_forecast = msgspec.json.Decoder(ForecastSpec).decode
_SELECT = (
    "SELECT r.tenant, v.version, v.spec, v.applied_ms, r.retired, r.state FROM rules r"
    " JOIN rule_versions v ON v.tenant = r.tenant AND v.id = r.id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVersion:
    """One version of a rule. activation: how it decides, if it does."""

    tenant: str
    version: int
    spec: RuleSpec
    applied_ms: int
    retired: bool = False
    activation: Activation = ALWAYS

    @property
    def slot(self) -> str:
        """Its name in the set of rules that decide."""
        return self.spec.rule + CANDIDATE if self.activation.candidate else self.spec.rule


def deciding(db: sqlite3.Connection, tenant: str = "", rule_id: str = "") -> list[RuleVersion]:
    """The versions that decide: of every tenant's rules that are not retired, of one tenant's, or
    of one rule. Of a rule in a rollout two, the one in force first."""
    where, values = "r.retired = 0", []
    for column, value in (("tenant", tenant), ("id", rule_id)):
        if value:
            where += f" AND r.{column} = ?"
            values.append(value)
    rows = db.execute(
        f"{_SELECT} AND v.version = r.version WHERE {where} ORDER BY r.tenant, r.id", values
    )
    versions = [_version(row) for row in rows.fetchall()]
    if rule_id:
        found = [each for one in versions for each in _deciding(db, one, _live(db, one))]
        pause = pause_tables.get(db, tenant, rule_id)
        paused = {(tenant, rule_id)} if pause is not None else set()
    else:
        rollouts = rollout_tables.live(db, tenant)
        found = [
            each
            for one in versions
            for each in _deciding(db, one, rollouts.get((one.tenant, one.spec.rule)))
        ]
        paused = pause_tables.paused(db, tenant)
    return [
        replace(one, activation=replace(one.activation, paused=True))
        if (one.tenant, one.spec.rule) in paused
        else one
        for one in found
    ]


def _live(db: sqlite3.Connection, one: RuleVersion) -> Rollout | None:
    found = rollout_tables.get(db, one.tenant, one.spec.rule)
    return found if found is not None and found.live else None


def _deciding(
    db: sqlite3.Connection, in_force: RuleVersion, rollout: Rollout | None
) -> list[RuleVersion]:
    """The versions of a rule that decide, with what each acts for."""
    if rollout is None or in_force.retired:
        return [in_force]
    tenant, rule = in_force.tenant, in_force.spec.rule
    new = get(db, tenant, rule, rollout.candidate)
    if new is None or new.spec.rollout is None:  # its row is gone: nothing but the other one
        return [in_force]
    ours, theirs = activations(
        rollout, new.spec.rollout, rule=rule, state=in_force.activation.state
    )
    stable = [replace(in_force, activation=ours)] if rollout.stable else []
    return [*stable, replace(new, activation=theirs)]


def of_tenant(db: sqlite3.Connection, tenant: str) -> list[RuleVersion]:
    """The versions in force, retired ones too, by id. Of a rule that begins with a rollout, the
    new one."""
    rows = db.execute(
        f"{_SELECT} AND v.version = r.version WHERE r.tenant = ? ORDER BY r.id", (tenant,)
    )
    versions = [_version(row) for row in rows.fetchall()]
    rollouts = rollout_tables.live(db, tenant)
    return [_deciding(db, one, rollouts.get((tenant, one.spec.rule)))[0] for one in versions]


def get(db: sqlite3.Connection, tenant: str, rule_id: str, version: int = 0) -> RuleVersion | None:
    """One version of a rule; 0: the one in force, as in `of_tenant`."""
    of = "v.version = ?" if version else "v.version = r.version"
    values = (tenant, rule_id, version) if version else (tenant, rule_id)
    row = db.execute(f"{_SELECT} WHERE r.tenant = ? AND r.id = ? AND {of}", values).fetchone()
    if row is None:
        return None
    one = _version(row)
    return one if version else _deciding(db, one, _live(db, one))[0]


def newest(db: sqlite3.Connection, tenant: str, rule_id: str) -> int:
    """The greatest version that a rule has had; 0: none."""
    row = db.execute(
        "SELECT max(version) FROM rule_versions WHERE tenant = ? AND id = ?", (tenant, rule_id)
    ).fetchone()
    return row[0] or 0


def count_in_force(db: sqlite3.Connection, tenant: str) -> int:
    """Rules of a tenant that are not retired."""
    found = db.execute("SELECT count(*) FROM rules WHERE tenant = ? AND retired = 0", (tenant,))
    count: int = found.fetchone()[0]
    return count


def forecasts(db: sqlite3.Connection) -> list[tuple[str, ForecastSpec]]:
    """(tenant, forecast) of all tenants."""
    rows = db.execute("SELECT tenant, spec FROM forecasts")
    return [(tenant, _forecast(spec)) for tenant, spec in rows]


def forecasts_of_tenant(db: sqlite3.Connection, tenant: str) -> list[ForecastSpec]:
    """By name."""
    rows = db.execute("SELECT spec FROM forecasts WHERE tenant = ? ORDER BY name", (tenant,))
    return [_forecast(spec) for (spec,) in rows]


def write(
    db: sqlite3.Connection,
    tenant: str,
    rules: Sequence[RuleVersion],
    forecasts: Sequence[ForecastSpec],
    begun: Mapping[str, Rollout],
    *,
    by: str = "",
) -> None:
    """These are in force now, or begin a rollout: `begun`, by rule. A rule that was parked runs
    again. by: who applies them."""
    for rule in rules:
        name = rule.spec.rule
        db.execute(
            "INSERT OR IGNORE INTO rule_versions VALUES (?, ?, ?, ?, ?, NULL, ?)",
            (tenant, name, rule.version, _encode(rule.spec), rule.applied_ms, by),
        )
        worker_tables.delete_health(db, tenant, rule.slot)
        rollout = begun.get(name)
        if rollout is not None:
            rollout_tables.forget_counts(db, tenant, name)
            rollout_tables.put(db, tenant, name, rollout)
            rollout_tables.note(db, tenant, name, rollout, by=by, now_ms=rule.applied_ms)
            if rollout.stable:
                continue
        elif rule.activation.rollout:  # it was in its rollout before
            continue
        in_force_ms = None if rollout is not None else rule.applied_ms
        put_in_force(db, tenant, name, rule.version, now_ms=in_force_ms)
    for spec in forecasts:
        db.execute(
            "INSERT OR REPLACE INTO forecasts VALUES (?, ?, ?)",
            (tenant, spec.forecast, _encode(spec)),
        )


def put_in_force(
    db: sqlite3.Connection,
    tenant: str,
    rule_id: str,
    version: int,
    *,
    now_ms: int | None,
    state: str | None = None,
) -> None:
    """This version of a rule is in force, with that state; None: with what there is. now_ms: None
    where it is only the new one of a rule that had none."""
    db.execute(
        "INSERT INTO rules VALUES (?, ?, ?, 0, ?) ON CONFLICT (tenant, id) DO UPDATE SET"
        " version = excluded.version, retired = 0, state = coalesce(?, state)",
        (tenant, rule_id, version, state or "", state),
    )
    db.execute(
        "UPDATE rule_versions SET in_force_ms = ? WHERE tenant = ? AND id = ? AND version = ?"
        " AND (in_force_ms IS NULL OR in_force_ms < ?)",
        (now_ms, tenant, rule_id, version, now_ms),
    )


def state_name(db: sqlite3.Connection, tenant: str, rule_id: str) -> str:
    """Of the state of the version in force; the rule's id where it has no other."""
    row = db.execute(
        "SELECT state FROM rules WHERE tenant = ? AND id = ?", (tenant, rule_id)
    ).fetchone()
    return (row[0] if row else "") or rule_id


def applied_by(db: sqlite3.Connection, tenant: str, rule_id: str, version: int) -> str:
    """Who applied a version; empty: that is not known."""
    row = db.execute(
        "SELECT applied_by FROM rule_versions WHERE tenant = ? AND id = ? AND version = ?",
        (tenant, rule_id, version),
    ).fetchone()
    return row[0] if row else ""


def previous(db: sqlite3.Connection, tenant: str, rule_id: str, version: int) -> int:
    """The version that was in force before this one; 0: none was."""
    row = db.execute(
        "SELECT version FROM rule_versions WHERE tenant = ? AND id = ? AND version < ?"
        " AND in_force_ms IS NOT NULL ORDER BY version DESC LIMIT 1",
        (tenant, rule_id, version),
    ).fetchone()
    return row[0] if row else 0


def retire(db: sqlite3.Connection, tenant: str, rule_id: str) -> list[Memory]:
    """It decides no more; a rollout of it is over, and what waits for it is skipped. What it
    remembers: that is to begin anew, so that it is deleted bit by bit."""
    pause_tables.resume(db, tenant, rule_id, skip=True)
    memories = list[Memory]()
    for one in deciding(db, tenant, rule_id):
        state = one.activation.state or rule_id
        memories.append(Memory(tenant, "rule", state))
        worker_tables.delete_limit(db, tenant, state)
        worker_tables.delete_health(db, tenant, one.slot)
    rollout = rollout_tables.get(db, tenant, rule_id)
    if rollout is not None and rollout.live:
        rollout_tables.put(db, tenant, rule_id, aborted(rollout, "the rule is retired"))
    db.execute(
        "UPDATE rules SET retired = 1, state = '' WHERE tenant = ? AND id = ?", (tenant, rule_id)
    )
    return memories


def _version(row: tuple[str, int, bytes, int, int, str]) -> RuleVersion:
    tenant, version, spec, applied_ms, retired, state = row
    return RuleVersion(
        tenant=tenant, version=version, spec=_rule(spec), applied_ms=applied_ms,
        retired=bool(retired), activation=Activation(state=state) if state else ALWAYS,
    )  # fmt: skip
