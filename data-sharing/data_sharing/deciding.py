"""Deciding: the half of a server that decides and sends, built top to bottom.

What data_sharing.wire puts beside the feeds: the worker that follows them, rules and plans,
the dispatcher with its platforms, and the services of all of these.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from control_plane.auth.tokens import Right
from control_plane.errors import NotFound, Unavailable
from control_plane.serving.server import Service
from data_sharing.api.callers import Callers
from data_sharing.api.decision_service import DecisionService
from data_sharing.api.plan_service import PlanService
from data_sharing.api.platform_service import PlatformService
from data_sharing.api.rule_service import RuleService
from data_sharing.database import Database, Schema
from data_sharing.decisions import (
    dead_letters,
    history,
    outbox,
    plan_store,
    rule_registry,
    worker_tables,
)
from data_sharing.decisions.instruction_factory import InstructionFactory
from data_sharing.decisions.planning import Planning
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.decisions.worker import PARTITION, DecisionWorker
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.outcome_events import OutcomeEvents
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.management.operator_actions import OperatorActions
from data_sharing.registry.catalogue import Catalogue, Version
from data_sharing.registry.registry import Registry
from data_sharing.signing import key_of_file

log = logging.getLogger(__name__)

SCHEMAS: tuple[Schema, ...] = (
    worker_tables.SCHEMA,
    plan_store.SCHEMA,
    rule_registry.SCHEMA,
    history.SCHEMA,
    outbox.SCHEMA,
    dead_letters.SCHEMA,
)
SWEEP_S = 30.0
TRIM_AT_ONCE = 2_000


class Deciding:
    """`open`, give `worker.follow` to the feed log, `run`. wall_ms: Unix ms."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        callers: Callers,
        worker: DecisionWorker,
        ordering: InstructionFactory,
        written: Callable[[], None],
        *,
        signing_key: Path,
        keep_decisions_s: float,
        wall_ms: Callable[[], int],
    ) -> None:
        rng = random.Random(secrets.randbits(64))
        key = key_of_file(signing_key, random=secrets.token_bytes)
        self.worker = worker
        self._database = database
        self._keep_ms = int(keep_decisions_s * 1000)
        self._wall_ms = wall_ms
        outcomes = OutcomeEvents(worker.follow, written, wall_ms=wall_ms)
        recorder = OutcomeRecorder(outcomes.tell, judge=ordering.judged, wall_ms=wall_ms)
        self.dispatcher = Dispatcher(
            database,
            key,
            recorder,
            partition=PARTITION,
            fence=worker.fence,
            wall_ms=wall_ms,
            jitter=rng.random,
        )
        self.rulebook = RuleRegistry(database, worker, lambda: registry.catalogue, wall_ms=wall_ms)
        planning = Planning(
            database, worker, wall_ms=wall_ms, new_id=lambda: f"u-{secrets.token_hex(10)}"
        )
        desk = OperatorActions(database, worker, self.dispatcher, recorder, wall_ms=wall_ms)

        def may(right: Right) -> Callable[[Any, str], str]:
            return lambda context, tenant: callers.of_context(context, tenant, right).tenant

        self.platforms = PlatformService(
            self.dispatcher,
            key,
            finder(registry),
            host=may(Right.HOST),
            operate=may(Right.OPERATE),
            needed=lambda tenant: database.read(lambda db: outbox.open_applications(db, tenant)),
            wall_ms=wall_ms,
        )
        self.services: Sequence[Service] = (
            RuleService(self.rulebook, worker, callers).service(),
            PlanService(planning, database, callers, wall_ms=wall_ms).service(),
            DecisionService(database, worker, self.dispatcher, desk, callers).service(),
            self.platforms.service(),
        )
        registry.on_change.append(self._catalogue_changed)

    def _catalogue_changed(self, catalogue: Catalogue) -> None:
        """What may be read, and what there is to host, may be something else now."""
        self.rulebook.load()
        self.worker.forget()
        self.platforms.catalogue_changed()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.worker.run(), name="timers")
            group.create_task(self.dispatcher.run(), name="dispatcher")
            group.create_task(self._sweep(), name="decisions kept")

    async def _sweep(self) -> None:
        """Lets go what has passed its retention."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.worker.sweep()
                while await self._database.transact(self._trim) >= TRIM_AT_ONCE:
                    continue
            except Unavailable as error:
                log.error("what is too old is kept until the database can write: %s", error)

    def _trim(self, db: sqlite3.Connection) -> int:
        before_ms = self._wall_ms() - self._keep_ms
        gone = history.trim(db, before_ms, TRIM_AT_ONCE)
        gone += outbox.trim(db, before_ms, TRIM_AT_ONCE)
        gone += dead_letters.trim_instructions(db, before_ms, TRIM_AT_ONCE)
        for tenant, trimmed in db.execute("SELECT tenant, trimmed FROM feed_logs").fetchall():
            gone += history.trim_events(db, tenant, trimmed, TRIM_AT_ONCE)
            gone += dead_letters.trim_events(db, tenant, trimmed, TRIM_AT_ONCE)
        return gone


async def open_worker(
    database: Database, registry: Registry, *, wall_ms: Callable[[], int]
) -> tuple[DecisionWorker, InstructionFactory]:
    """A worker that has taken over."""
    ordering = InstructionFactory(finder(registry))
    worker = DecisionWorker(database, ordering, wall_ms=wall_ms)
    await worker.start()
    return worker, ordering


def finder(registry: Registry) -> Callable[[str, str, str], Version | None]:
    """Versions by name; the current ones without a look into the database."""

    def find(tenant: str, application: str, version: str) -> Version | None:
        current = registry.catalogue.application(tenant, application)
        if not version or (current is not None and current.manifest.version == version):
            return current
        try:
            return registry.version(tenant, application, version)
        except NotFound:
            return None

    return find
