"""Pauses: rules that decide nothing for a while, and what waits for them meanwhile.

Events go on to be kept and decided by all other rules; for a paused rule their positions wait, in
order. When it is resumed they are decided in that order, each in the transaction that takes it off,
and what comes meanwhile waits behind them; the rule decides by itself again from the transaction in
which nothing waits any more. So no event is decided twice, left out, or before an earlier one.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from functools import partial

from control_plane.errors import Refused, Unavailable
from data_sharing.database import Database
from data_sharing.decisions import history, pause_tables
from data_sharing.decisions.pause_tables import Pause
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.decisions.worker_state import MOST_PARKED_RULES
from data_sharing.feeds.log_tables import record_at

log = logging.getLogger(__name__)

TICK_S = 0.1
RETRY_S = 1.0
AT_ONCE = 64  # events of one transaction
SKIPPED_AT_ONCE = 250
DECIDE_S = 0.025  # of one transaction, on the event loop's thread


class Pauses:
    """wall_ms: Unix ms; monotonic: s. `run` is a task of the owner's."""

    def __init__(
        self,
        database: Database,
        registry: RuleRegistry,
        worker: DecisionWorker,
        *,
        wall_ms: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._registry = registry
        self._worker = worker
        self._wall_ms = wall_ms
        self._monotonic = monotonic

    def find(self, tenant: str, rule_id: str) -> Pause | None:
        """None: the rule is not paused."""
        return self._database.read(lambda db: pause_tables.get(db, tenant, rule_id))

    async def pause(self, tenant: str, rule_id: str, reason: str, *, by: str) -> None:
        """It decides nothing from the next event on. Raises NotFound, Refused."""
        async with self._registry.lock(tenant):
            if self._registry.rule(tenant, rule_id).retired:
                raise Refused(f"rule {rule_id} is retired; there is nothing to pause")
            now_ms = self._wall_ms()

            def work(db: sqlite3.Connection) -> None:
                pause_tables.put(db, tenant, rule_id, by=by, reason=reason, now_ms=now_ms)
                self._registry.in_force.refresh(db, tenant, [rule_id])

            await self._database.transact(work)

    async def resume(self, tenant: str, rule_id: str, *, skip: bool = False) -> None:
        """What waits is decided, in order, and then what comes; skip: what waits now is not.
        Raises NotFound."""
        async with self._registry.lock(tenant):
            self._registry.rule(tenant, rule_id)
            await self._database.transact(
                lambda db: pause_tables.resume(db, tenant, rule_id, skip=skip)
            )

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if not await self.work_off():
                    await asyncio.sleep(TICK_S)
            except Unavailable as error:
                log.error("rules are resumed when the database can write: %s", error)
                await asyncio.sleep(RETRY_S)

    async def work_off(self) -> bool:
        """Some of what waits, of each rule that is resumed; whether there was anything."""

        def read(db: sqlite3.Connection) -> tuple[list[tuple[str, str]], bool]:
            self._worker.backlogs = pause_tables.backlogs(db, MOST_PARKED_RULES)
            return pause_tables.resuming(db), pause_tables.any_timers_to_return(db)

        names, timers = self._database.read(read)
        for tenant, rule_id in names:
            async with self._registry.lock(tenant):
                await self._database.transact(partial(self._some, tenant=tenant, rule_id=rule_id))
        if timers:
            await self._database.transact(
                lambda db: pause_tables.return_timers(db, SKIPPED_AT_ONCE)
            )
        return bool(names or timers)

    def _some(self, db: sqlite3.Connection, *, tenant: str, rule_id: str) -> None:
        """In a transaction: some of what waits for one rule; where nothing does, its pause is over
        with this transaction."""
        pause = pause_tables.get(db, tenant, rule_id)
        if pause is None or not pause.resuming:
            return
        positions = pause_tables.waiting(db, tenant, rule_id, SKIPPED_AT_ONCE)
        skipped = [one for one in positions if one <= pause.skip_to]
        if skipped:
            said = "it was skipped when the rule was resumed"
            history.end_waiting(db, tenant, skipped, rule_id, said)
            pause_tables.remove_events(db, tenant, rule_id, skipped)
        elif positions:
            self._decide(db, tenant, rule_id, positions[:AT_ONCE])
        else:
            pause_tables.end(db, tenant, rule_id)
            self._registry.in_force.refresh(db, tenant, [rule_id])

    def _decide(
        self, db: sqlite3.Connection, tenant: str, rule_id: str, positions: list[int]
    ) -> None:
        """As many as there is time for, one at least."""
        until = self._monotonic() + DECIDE_S
        rules = self._worker.rules.alone(tenant, rule_id).resumed(tenant, rule_id)
        done: list[int] = []
        lost = 0
        for position in positions:
            record = record_at(db, tenant, position)
            if record is None:
                lost += 1
            else:
                self._worker.decide_waiting(db, record.event(), rules, rule_id)
            done.append(position)
            if self._monotonic() >= until:
                break
        pause_tables.remove_events(db, tenant, rule_id, done, lost=lost)
