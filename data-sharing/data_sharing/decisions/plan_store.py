"""PlanStore: event plans and their changes in the database, and those in use in memory.

A plan changes by being replaced, together with the record of why. What is in memory is what
the running transaction has made of it; when that is undone, `forget`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

import msgspec

from control_plane.errors import NotFound
from control_plane.printable import quoted
from control_plane.sqlite.schema import Schema
from data_sharing.decisions.due_turns import DueTable
from data_sharing.plans.changes import ChangeRecord
from data_sharing.plans.due_actions import advance
from data_sharing.plans.plan import EventPlan
from data_sharing.plans.plan_view import view
from data_sharing.rules.effects import PlanView

SCHEMA = Schema(
    part="plans",
    steps=(
        (
            """CREATE TABLE plans (
                 tenant TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, body BLOB NOT NULL,
                 next_ms INTEGER, PRIMARY KEY (tenant, id)) WITHOUT ROWID""",
            "CREATE INDEX plans_by_time ON plans (next_ms) WHERE next_ms IS NOT NULL",
            """CREATE TABLE plan_keys (
                 tenant TEXT NOT NULL, key TEXT NOT NULL, plan TEXT NOT NULL,
                 PRIMARY KEY (tenant, key, plan)) WITHOUT ROWID""",
            """CREATE TABLE plan_changes (
                 tenant TEXT NOT NULL, plan TEXT NOT NULL, version INTEGER NOT NULL,
                 id TEXT NOT NULL, body BLOB NOT NULL,
                 PRIMARY KEY (tenant, plan, version)) WITHOUT ROWID""",
            "CREATE INDEX plan_changes_by_id ON plan_changes (tenant, plan, id)",
        ),
        (
            """CREATE INDEX plans_of_tenant_by_time ON plans (tenant, next_ms, id)
              WHERE next_ms IS NOT NULL""",
        ),
    ),
)
PLANS = DueTable(name="plans", columns="tenant, id", time="next_ms", order="next_ms, tenant, id")
MOST_IN_MEMORY = 50_000
_encode = msgspec.msgpack.Encoder().encode
_plan = msgspec.msgpack.Decoder(EventPlan).decode
_change = msgspec.msgpack.Decoder(ChangeRecord).decode


class PlanStore:
    """See the module. It reads over the connection of the transaction it joined last."""

    def __init__(self) -> None:
        self._db: sqlite3.Connection | None = None
        self._plans: dict[tuple[str, str], EventPlan | None] = {}
        self._by_key: dict[tuple[str, str], tuple[str, ...]] = {}

    def join_transaction(self, db: sqlite3.Connection) -> None:
        """From now on over the connection of the transaction that runs."""
        self._db = db
        if len(self._plans) > MOST_IN_MEMORY or len(self._by_key) > MOST_IN_MEMORY:
            self.forget()

    def forget(self) -> None:
        """What was changed may not be so."""
        self._plans.clear()
        self._by_key.clear()

    def get(self, tenant: str, plan_id: str) -> EventPlan | None:
        name = (tenant, plan_id)
        if name not in self._plans:
            assert self._db is not None
            self._plans[name] = read(self._db, tenant, plan_id)
        return self._plans[name]

    def put(self, plan: EventPlan, record: ChangeRecord | None, *, now_ms: int) -> None:
        """The plan as it is now; `record`: the change that made it so."""
        db = self._db
        assert db is not None
        known = self.get(plan.tenant, plan.id) is not None
        next_ms = None if plan.cancelled else advance(plan, now_ms=now_ms).next_ms
        if advance(plan, now_ms=now_ms).due:
            next_ms = now_ms
        db.execute(
            "INSERT OR REPLACE INTO plans VALUES (?, ?, ?, ?, ?)",
            (plan.tenant, plan.id, plan.spec.owner, _encode(plan), next_ms),
        )
        if not known:
            db.executemany(
                "INSERT OR IGNORE INTO plan_keys VALUES (?, ?, ?)",
                [(plan.tenant, key, plan.id) for key in plan.keys],
            )
            for key in plan.keys:
                self._by_key.pop((plan.tenant, key), None)
        if record is not None:
            db.execute(
                "INSERT INTO plan_changes VALUES (?, ?, ?, ?, ?)",
                (plan.tenant, plan.id, record.version, record.id, _encode(record)),
            )
        self._plans[plan.tenant, plan.id] = plan

    def of(self, tenant: str, key: str) -> list[EventPlan]:
        """Those whose owner the key is or that follow it, by id."""
        ids = self._by_key.get((tenant, key))
        if ids is None:
            assert self._db is not None
            rows = self._db.execute(
                "SELECT plan FROM plan_keys WHERE tenant = ? AND key = ? ORDER BY plan",
                (tenant, key),
            )
            ids = self._by_key[tenant, key] = tuple(name for (name,) in rows)
        found = (self.get(tenant, name) for name in ids)
        return [plan for plan in found if plan is not None]


class PlansAt:
    """How rules see plans at one moment: the Plans of a RuleSet."""

    def __init__(self, store: PlanStore, now_ms: int) -> None:
        self._store = store
        self._now_ms = now_ms

    def of(self, tenant: str, key: str, named: str | None) -> Sequence[PlanView]:
        return [
            view(plan, now_ms=self._now_ms)
            for plan in self._store.of(tenant, key)
            if not plan.cancelled and (named is None or plan.name == named)
        ]


def read(db: sqlite3.Connection, tenant: str, plan_id: str) -> EventPlan | None:
    row = db.execute(
        "SELECT body FROM plans WHERE tenant = ? AND id = ?", (tenant, plan_id)
    ).fetchone()
    return _plan(row[0]) if row else None


def require(db: sqlite3.Connection, tenant: str, plan_id: str) -> EventPlan:
    """Raises NotFound."""
    found = read(db, tenant, plan_id)
    if found is None:
        raise NotFound(f"tenant {tenant} has no plan {quoted(plan_id)}")
    return found


def page(
    db: sqlite3.Connection, tenant: str, after: str, limit: int, owner: str = ""
) -> list[EventPlan]:
    """Plans behind an id, in the order of ids."""
    only, values = ("AND owner = ?", [owner]) if owner else ("", [])
    rows = db.execute(
        f"SELECT body FROM plans WHERE tenant = ? AND id > ? {only} ORDER BY id LIMIT ?",
        (tenant, after, *values, limit),
    )
    return [_plan(body) for (body,) in rows]


def planned_actions(db: sqlite3.Connection, tenant: str, limit: int) -> set[tuple[str, str, str]]:
    """(name of the plan, application, action) of the first plans that stand, by id."""
    return {
        (plan.name, one.application, one.action)
        for plan in page(db, tenant, "", limit)
        if not plan.cancelled
        for one in plan.spec.actions.values()
    }


def history(db: sqlite3.Connection, tenant: str, plan_id: str) -> list[ChangeRecord]:
    """Every change, oldest first."""
    rows = db.execute(
        "SELECT body FROM plan_changes WHERE tenant = ? AND plan = ? ORDER BY version",
        (tenant, plan_id),
    )
    return [_change(body) for (body,) in rows]


def change(
    db: sqlite3.Connection, tenant: str, plan_id: str, change_id: str
) -> ChangeRecord | None:
    """One change by its id; an undo of it comes after it."""
    row = db.execute(
        "SELECT body FROM plan_changes WHERE tenant = ? AND plan = ? AND id = ? ORDER BY version",
        (tenant, plan_id, change_id),
    ).fetchone()
    return _change(row[0]) if row else None


def users(
    db: sqlite3.Connection, tenant: str, application: str, actions: Collection[str]
) -> dict[str, list[str]]:
    """The plans, of which something is to come, that use actions of an application: ids by
    action."""
    found: dict[str, list[str]] = {action: [] for action in actions}
    rows = db.execute(
        "SELECT body FROM plans WHERE tenant = ? AND next_ms IS NOT NULL AND instr(body, ?) > 0",
        (tenant, application.encode()),
    )
    for (body,) in rows:
        plan = _plan(body)
        used = {one.action for one in plan.spec.actions.values() if one.application == application}
        for action in used & set(actions):
            found[action].append(plan.id)
    return found


def due(db: sqlite3.Connection, now_ms: int, limit: int) -> list[tuple[str, str]]:
    """(tenant, id) of plans that have something to do, longest waiting first."""
    return [(tenant, name) for tenant, name in PLANS.page(db, now_ms, limit)]


def postpone(db: sqlite3.Connection, tenant: str, plan_id: str, *, to_ms: int) -> None:
    """What the plan has to do is looked at again then."""
    db.execute("UPDATE plans SET next_ms = ? WHERE tenant = ? AND id = ?", (to_ms, tenant, plan_id))
