"""The tables that decisions are kept in, all of them; together they move in one transaction."""

from __future__ import annotations

from control_plane.sqlite.schema import Schema
from data_sharing.decisions import (
    ancestry_tables,
    approval_tables,
    dead_letters,
    history,
    outbox,
    pause_tables,
    plan_store,
    rollout_tables,
    rule_tables,
    sharing_tables,
    user_forgetting,
    worker_tables,
)

SCHEMAS: tuple[Schema, ...] = (
    worker_tables.SCHEMA,
    plan_store.SCHEMA,
    rule_tables.SCHEMA,
    rollout_tables.SCHEMA,
    pause_tables.SCHEMA,
    history.SCHEMA,
    outbox.SCHEMA,
    approval_tables.SCHEMA,
    dead_letters.SCHEMA,
    sharing_tables.SCHEMA,
    ancestry_tables.SCHEMA,
    user_forgetting.SCHEMA,
)
