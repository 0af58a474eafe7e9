"""DueWork: what a decision worker does by the clock, in its transactions: timers of rules that have
come back, and actions of plans.

Tenants have their turns, and a transaction ends by the clock, so that nobody waits for all that
another tenant has due. What fails for a defect of ours is tried again later and holds up nothing.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias, TypeVar

from control_plane.errors import ServiceError
from control_plane.printable import quoted
from data_sharing.decisions import plan_store, worker_tables
from data_sharing.decisions.decision_writer import DecisionCounts, DecisionWriter
from data_sharing.decisions.due_turns import DueTurns
from data_sharing.decisions.failure_log import log_failure
from data_sharing.decisions.plan_store import PlansAt, PlanStore
from data_sharing.decisions.write_batch import WriteBatch
from data_sharing.plans.due_actions import advance
from data_sharing.rules.cell_cache import CellCache
from data_sharing.rules.results import Timer
from data_sharing.rules.ruleset import RuleSet

log = logging.getLogger(__name__)

DUE_S = 0.004  # of one transaction for timers, and as much for plans, on the event loop's thread
POSTPONED_MS = 600_000  # what cannot be done now


class PlanName(NamedTuple):
    """A plan that has something to do."""

    tenant: str
    id: str


D = TypeVar("D", Timer, PlanName)
DoDue: TypeAlias = Callable[[sqlite3.Connection, WriteBatch, D, int], None]


class DueWork:
    """Of one worker, whose these are. rules(): those in force; store_state(db): writes what
    changed of `state`; forget(): what is in memory may not be so; monotonic: s."""

    def __init__(
        self,
        state: CellCache,
        plans: PlanStore,
        writer: DecisionWriter,
        counts: DecisionCounts,
        *,
        rules: Callable[[], RuleSet],
        store_state: Callable[[sqlite3.Connection], None],
        forget: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._state = state
        self._plans = plans
        self._writer = writer
        self._counts = counts
        self._rules = rules
        self._store_state = store_state
        self._forget = forget
        self._monotonic = monotonic
        self._timers = DueTurns(worker_tables.TIMERS, Timer)
        self._planned = DueTurns(plan_store.PLANS, PlanName)

    def do(self, db: sqlite3.Connection, now_ms: int) -> None:
        """In a transaction that the worker has joined: what there is time for, one timer and one
        plan at least. The others stay due."""
        self._do_some(db, self._timers.take(db, now_ms), self._timer, now_ms)
        self._do_some(db, self._planned.take(db, now_ms), self._advance_plan, now_ms)

    def _do_some(self, db: sqlite3.Connection, due: Iterator[D], do: DoDue[D], now_ms: int) -> None:
        """As many as there is time for; where one fails, these one by one."""
        until = self._monotonic() + DUE_S
        tried: list[D] = []
        batch = WriteBatch()
        db.execute("SAVEPOINT due")
        try:
            for one in due:
                tried.append(one)
                do(db, batch, one, now_ms)
                if self._monotonic() >= until:
                    break
            batch.write(db)
            self._store_state(db)
        except (sqlite3.Error, ServiceError):
            raise
        except Exception as error:  # noqa: BLE001  # of ours, or a record that is none
            self._log("doing one by one what is due", error, {one.tenant for one in tried})
            db.execute("ROLLBACK TO due")
            self._forget()
            for one in tried:
                self._do_alone(db, one, do, now_ms)
        db.execute("RELEASE due")

    def _do_alone(self, db: sqlite3.Connection, one: D, do: DoDue[D], now_ms: int) -> None:
        """What cannot be done is looked at again later, so that it holds nothing else up."""
        batch = WriteBatch()
        db.execute("SAVEPOINT alone")
        try:
            do(db, batch, one, now_ms)
            batch.write(db)
            self._store_state(db)
        except (sqlite3.Error, ServiceError):
            raise
        except Exception as error:  # noqa: BLE001  # as above: this one is left for later
            what = f"{_name_of(one)} cannot be done; it is tried again in 10 minutes"
            self._log(what, error, {one.tenant})
            db.execute("ROLLBACK TO alone")
            self._forget()
            self._counts.failed += 1
            later_ms = now_ms + POSTPONED_MS
            if isinstance(one, Timer):
                worker_tables.set_timers(db, [one._replace(due_ms=later_ms)])
            else:
                plan_store.postpone(db, *one, to_ms=later_ms)
        db.execute("RELEASE alone")

    def _log(self, what: str, error: Exception, tenants: set[str]) -> None:
        hidden = any(map(self._rules().policies.governs, tenants))
        log_failure(log, what, error, hidden=hidden)

    def _timer(self, db: sqlite3.Connection, batch: WriteBatch, timer: Timer, now_ms: int) -> None:
        """A rule's timer comes back, once."""
        worker_tables.drop_timers(db, [timer.id])
        self._counts.late_seconds.observe(max(0, now_ms - timer.due_ms) / 1000.0)
        _, accepted_ms = worker_tables.decided_to(db, timer.tenant)
        at_ms = max(timer.due_ms, accepted_ms)  # the same whenever it is noticed
        decided = self._rules().due(
            timer,
            now_ms=at_ms,
            state=self._state,
            plans=PlansAt(self._plans, at_ms),
            explaining=True,
            clock_ms=now_ms,
        )
        self._writer.timer(db, batch, timer, decided, at_ms=at_ms, now_ms=now_ms)

    def _advance_plan(
        self, db: sqlite3.Connection, batch: WriteBatch, name: PlanName, now_ms: int
    ) -> None:
        """Actions of a plan that fell due, each once: what has run is part of the plan."""
        plan = self._plans.get(*name)
        if plan is None:
            return
        advanced = advance(plan, now_ms=now_ms)
        for due in advanced.due:
            self._writer.action(db, batch, plan, due, now_ms)
        self._plans.put(advanced.plan, None, now_ms=now_ms)


def _name_of(one: Timer | PlanName) -> str:
    """For a log. Without the key of a timer, which may name a user."""
    if isinstance(one, Timer):
        return f"a {one.kind} timer of rule {quoted(one.rule)} of tenant {one.tenant}"
    return f"plan {quoted(one.id)} of tenant {one.tenant}"
