"""What rules and forecasts keep that are suspended: they do not decide, and may again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from data_sharing.database import Database
from data_sharing.decisions import rule_tables
from data_sharing.rules.rollout import CANDIDATE
from data_sharing.sharing.policies import Memory


def suspended_memories(
    database: Database, suspended: Iterable[tuple[str, str]], tenant: str
) -> list[Memory]:
    """Those of a tenant. suspended: (tenant, slot of a rule, or `forecast NAME`)."""
    names = [name for whose, name in suspended if whose == tenant]

    def read(db: sqlite3.Connection) -> list[Memory]:
        found = list[Memory]()
        for name in names:
            kind, _, forecast = name.rpartition(" ")
            if kind == "forecast":
                found.append(Memory(tenant, kind, forecast))
                continue
            for one in rule_tables.deciding(db, tenant, name.removesuffix(CANDIDATE)):
                state = one.activation.state or one.spec.rule
                found.append(Memory(tenant, "rule", state))
        return found

    return database.read(read) if names else []
