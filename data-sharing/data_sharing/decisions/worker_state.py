"""WorkerState: the cells of a decision worker, between its transactions and its tables, and the
counts of what they hold.

What it has in memory is what the running transaction made of it; whatever deletes cells says so in
the transaction that does, and one that is undone makes it forget everything.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from data_sharing.decisions import memory_tables, worker_tables
from data_sharing.decisions.user_forgetting import UserForgetting
from data_sharing.memory_limits import MemoryLimits, TenantLimits
from data_sharing.rules.cell_cache import CellCache, CellId, StoredCell
from data_sharing.rules.memory_uses import MemoryName, MemoryUse, MemoryUses, Producer
from data_sharing.rules.rule_health import ParkedCounts, RuleHealth

MOST_TENANTS_TOLD = 1_000  # of which metrics tell what is remembered
MOST_PARKED_RULES = 1_000  # whose parked keys and producers are counted for metrics


class WorkerState:
    """Of one worker. limits: of what is remembered; None: the usual ones."""

    def __init__(self, limits: TenantLimits | None = None) -> None:
        self.limits = limits or TenantLimits(MemoryLimits())
        self.forgotten = UserForgetting()
        self._db: sqlite3.Connection | None = None
        self.uses = MemoryUses(self._load_use, self._load_producer, self.limits)
        self.cells = CellCache(self._load, uses=self.uses)
        # By tenant and rule, where anything is; another thread reads it for metrics.
        self.parked: dict[tuple[str, str], ParkedCounts] = {}
        self.parked_known = False
        self.remembered: list[tuple[str, MemoryUse]] = []  # by tenant; likewise

    def join_transaction(self, db: sqlite3.Connection) -> None:
        """Everything reads over the connection of this transaction."""
        self._db = db
        self.forgotten.join_transaction(db)

    def forget(self) -> None:
        """What is in memory may not be so."""
        self.cells.forget()
        self.uses.forget()
        self.parked_known = False

    def store(self, db: sqlite3.Connection) -> None:
        """In a transaction: what rules and forecasts remember and has changed."""
        writes = self.cells.drain()
        if not writes:
            return
        self.uses.written(worker_tables.store(db, writes))
        for cell in [one.id for one in writes if one.id.kind == "health"]:
            health: RuleHealth | None = self.cells.get(cell)
            counts = ParkedCounts() if health is None else health.counts
            name = cell.tenant, cell.name
            if not counts.any:
                self.parked.pop(name, None)
            elif name in self.parked or len(self.parked) < MOST_PARKED_RULES:
                self.parked[name] = counts

    def drop(self, cells: Iterable[CellId]) -> None:
        """They are deleted in the running transaction."""
        for cell in cells:
            self.cells.drop(cell)
        self.uses.forget()

    def expire(self, db: sqlite3.Connection, now_ms: int, limit: int) -> int:
        """In a transaction: deletes cells that mean nothing any more; how many."""
        gone = memory_tables.expire(db, now_ms, limit)
        self.drop(gone)
        return len(gone)

    def count_parked(self, db: sqlite3.Connection) -> None:
        """As this transaction sees it: between those that change it, so that none is missed. Where
        it is undone, nothing is known again."""
        healths = worker_tables.healths(db, MOST_PARKED_RULES)
        found = {(tenant, rule): health.counts for tenant, rule, health in healths}
        self.parked = {name: counts for name, counts in found.items() if counts.any}
        self.parked_known = True

    def _load(self, cell: CellId) -> StoredCell | None:
        assert self._db is not None
        if self.forgotten and self.forgotten.take(self._db, cell):
            return None
        return worker_tables.load(self._db, cell)

    def _load_use(self, name: MemoryName) -> MemoryUse:
        assert self._db is not None
        return memory_tables.use_of(self._db, name)

    def _load_producer(self, producer: Producer) -> MemoryUse:
        assert self._db is not None
        return memory_tables.made_by(self._db, producer)
