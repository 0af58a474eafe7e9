"""The tables of rules, in all their versions, and of forecasts. Functions of a connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from control_plane.sqlite.schema import Schema
from data_sharing.decisions import worker_tables
from data_sharing.forecasts.spec import ForecastSpec
from data_sharing.rules.spec import RuleSpec

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
    ),
)
_encode = msgspec.json.Encoder(order="deterministic").encode
_rule = msgspec.json.Decoder(RuleSpec).decode
_forecast = msgspec.json.Decoder(ForecastSpec).decode
_SELECT = (
    "SELECT r.tenant, v.version, v.spec, v.applied_ms, r.retired FROM rules r"
    " JOIN rule_versions v ON v.tenant = r.tenant AND v.id = r.id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVersion:
    """One version of a rule."""

    tenant: str
    version: int
    spec: RuleSpec
    applied_ms: int
    retired: bool = False


def in_force(db: sqlite3.Connection) -> list[RuleVersion]:
    """The newest version of every tenant's rules that are not retired."""
    return [_version(row) for row in db.execute(
        f"{_SELECT} AND v.version = r.version WHERE r.retired = 0"
    )]  # fmt: skip


def of_tenant(db: sqlite3.Connection, tenant: str) -> list[RuleVersion]:
    """The newest versions, retired ones too, by id."""
    return [_version(row) for row in db.execute(
        f"{_SELECT} AND v.version = r.version WHERE r.tenant = ? ORDER BY r.id", (tenant,)
    )]  # fmt: skip


def get(db: sqlite3.Connection, tenant: str, rule_id: str, version: int = 0) -> RuleVersion | None:
    """One version of a rule; 0: the newest."""
    of = "v.version = ?" if version else "v.version = r.version"
    values = (tenant, rule_id, version) if version else (tenant, rule_id)
    row = db.execute(f"{_SELECT} WHERE r.tenant = ? AND r.id = ? AND {of}", values).fetchone()
    return _version(row) if row else None


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
) -> None:
    """These are in force now; a rule that was parked runs again."""
    for rule in rules:
        name = rule.spec.rule
        db.execute(
            "INSERT OR IGNORE INTO rule_versions VALUES (?, ?, ?, ?, ?)",
            (tenant, name, rule.version, _encode(rule.spec), rule.applied_ms),
        )
        db.execute("INSERT OR REPLACE INTO rules VALUES (?, ?, ?, 0)", (tenant, name, rule.version))
        worker_tables.delete_health(db, tenant, name)
    for spec in forecasts:
        db.execute(
            "INSERT OR REPLACE INTO forecasts VALUES (?, ?, ?)",
            (tenant, spec.forecast, _encode(spec)),
        )


def retire(db: sqlite3.Connection, tenant: str, rule_id: str) -> None:
    """It decides no more, and what it remembers goes."""
    db.execute("UPDATE rules SET retired = 1 WHERE tenant = ? AND id = ?", (tenant, rule_id))
    worker_tables.delete_rule(db, tenant, rule_id)


def _version(row: tuple[str, int, bytes, int, int]) -> RuleVersion:
    tenant, version, spec, applied_ms, retired = row
    return RuleVersion(
        tenant=tenant, version=version, spec=_rule(spec), applied_ms=applied_ms,
        retired=bool(retired),
    )  # fmt: skip
