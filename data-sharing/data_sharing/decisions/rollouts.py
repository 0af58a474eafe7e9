"""Rollouts: what moves new versions of rules from step to step: operators, and time.

Each move is one transaction that reads first how far the rollout is; the set of rules that decides
follows it. What a rollout's versions have decided and how their instructions ended is counted by
those transactions that say so, so that a hold rests on what is on disk. `run` looks at all of them
once a second.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from control_plane.errors import NotFound, Refused, ServiceError, Unavailable
from data_sharing.database import Database
from data_sharing.decisions import rollout_tables, rule_tables, worker_tables
from data_sharing.decisions.rollout_tables import EndedInstructions, RolloutMove
from data_sharing.decisions.rule_registry import RuleRegistry
from data_sharing.decisions.rule_tables import RuleVersion
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.forecasts.spec import duration_ms
from data_sharing.rules import rollout as moves
from data_sharing.rules.rollout import (
    CANDIDATE,
    Rollout,
    RolloutFacts,
    RolloutPhase,
    state_of,
)
from data_sharing.rules.rollout_counts import RolloutCounts
from data_sharing.rules.spec import RolloutSpec
from data_sharing.sharing.policies import Memory

log = logging.getLogger(__name__)

EVERY_S = 1.0
RETRY_S = 5.0

Change: TypeAlias = Callable[[Rollout, RolloutSpec, RolloutFacts], Rollout | None]


class RolloutStatus(NamedTuple):
    """How far a rollout is. counts: of its decisions; stable, candidate: how their instructions
    ended in this step; history: its moves, the newest first."""

    rule: str
    rollout: Rollout
    spec: RolloutSpec
    counts: RolloutCounts
    stable: EndedInstructions
    candidate: EndedInstructions
    history: list[RolloutMove]


class Rollouts:
    """wall_ms: Unix ms. `run` is a task of the owner's."""

    def __init__(
        self,
        database: Database,
        registry: RuleRegistry,
        worker: DecisionWorker,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._registry = registry
        self._worker = worker
        self._wall_ms = wall_ms

    def status(self, tenant: str, rule_id: str) -> RolloutStatus:
        """Of the rollout that is going on, or the last. Raises NotFound."""
        found = self.find(tenant, rule_id)
        if found is None:
            self._registry.rule(tenant, rule_id)
            raise NotFound(f"rule {rule_id} has had no rollout")
        return found

    def find(self, tenant: str, rule_id: str) -> RolloutStatus | None:
        """The same; None: it never had any."""

        def read(db: sqlite3.Connection) -> RolloutStatus | None:
            rollout = rollout_tables.get(db, tenant, rule_id)
            spec = None if rollout is None else _spec(db, tenant, rule_id, rollout)
            if rollout is None or spec is None:
                return None
            stable, candidate = (
                rollout_tables.ended(db, tenant, rule_id, version, 0)
                for version in (rollout.stable, rollout.candidate)
            )
            return RolloutStatus(
                rule_id,
                rollout,
                spec,
                rollout_tables.counts(db, tenant, rule_id, rollout.candidate),
                stable,
                candidate,
                rollout_tables.history(db, tenant, rule_id),
            )

        return self._database.read(read)

    async def promote(
        self, tenant: str, rule_id: str, *, by: str, from_step: int = 0, full: bool = False
    ) -> RolloutStatus:
        """One step further, or all. from_step: 1 and on; where it is at another one by now, nothing
        changes; 0: whichever. Raises NotFound, Refused."""
        now_ms = self._wall_ms()

        def change(rollout: Rollout, spec: RolloutSpec, facts: RolloutFacts) -> Rollout | None:
            if rollout.phase is RolloutPhase.PROMOTED:
                return None
            if rollout.phase is RolloutPhase.ABORTED:
                raise Refused(f"the rollout was aborted: {rollout.reason}; apply the rule again")
            if from_step and not full and rollout.step + 1 != from_step:
                return None
            return moves.promoted(rollout, spec, facts, now_ms, "promoted", full=full)

        return await self._move(tenant, rule_id, change, by=by)

    async def hold(self, tenant: str, rule_id: str, reason: str, *, by: str) -> RolloutStatus:
        """It goes no further by itself. Raises NotFound, Refused."""

        def change(rollout: Rollout, spec: RolloutSpec, facts: RolloutFacts) -> Rollout | None:
            if not rollout.live:
                raise Refused(f"the rollout is {rollout.phase.value}; there is nothing to hold")
            held = rollout.phase is RolloutPhase.HELD
            return None if held else moves.held(rollout, reason or "held")

        return await self._move(tenant, rule_id, change, by=by)

    async def abort(self, tenant: str, rule_id: str, reason: str, *, by: str) -> RolloutStatus:
        """The version before acts for all keys again. Raises NotFound, Refused."""

        def change(rollout: Rollout, spec: RolloutSpec, facts: RolloutFacts) -> Rollout | None:
            if rollout.phase is RolloutPhase.PROMOTED:
                raise Refused(
                    f"version {rollout.candidate} is in force for all keys; "
                    f"`homeport rules rollback {rule_id}` takes it back"
                )
            return moves.aborted(rollout, reason or "aborted") if rollout.live else None

        return await self._move(tenant, rule_id, change, by=by)

    async def rollback(
        self, tenant: str, rule_id: str, *, by: str, to: int = 0, from_version: int = 0
    ) -> RuleVersion:
        """What an earlier version decides is in force again, as a new version, from the next event
        on. to 0: the one that was before; from_version: that must be in force; 0: whichever. Raises
        NotFound, Refused, InvalidDocument."""
        registry = self._registry
        async with registry.lock(tenant):
            before = registry.rule(tenant, rule_id)
            rollout = self._database.read(lambda db: rollout_tables.get(db, tenant, rule_id))
            if before.retired:
                raise Refused(f"rule {rule_id} is retired; apply it again")
            if rollout is not None and rollout.live:
                raise Refused(
                    f"version {rollout.candidate} is being rolled out; "
                    f"`homeport rules rollout abort {rule_id}` takes it back"
                )
            if from_version and before.version != from_version:
                raise Refused(f"version {before.version} is in force, not {from_version}")
            earlier = to or self._database.read(
                lambda db: rule_tables.previous(db, tenant, rule_id, before.version)
            )
            if not earlier:
                raise Refused(f"rule {rule_id} has no version before {before.version}")
            content = registry.rule(tenant, rule_id, earlier).spec.content
            if content == before.spec.content:
                return before
            version = RuleVersion(
                tenant=tenant,
                version=self._database.read(lambda db: rule_tables.newest(db, tenant, rule_id)) + 1,
                spec=content,
                applied_ms=self._wall_ms(),
                activation=before.activation,
            )
            compiled = await registry.compiled_alone(version)

            def work(db: sqlite3.Connection) -> None:
                rule_tables.write(db, tenant, [version], [], {}, by=by)
                registry.in_force.refresh(db, tenant, [rule_id], [compiled])

            await self._database.transact(work)
            log.info(
                "rule %s of tenant %s: %s has put version %d back in force as %d",
                rule_id, tenant, by, earlier, version.version,
            )  # fmt: skip
            return version

    # -- by itself ---------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.advance()
                await asyncio.sleep(EVERY_S)
            except Unavailable as error:
                log.error("rollouts wait for the database: %s", error)
                await asyncio.sleep(RETRY_S)

    async def advance(self) -> None:
        """What is to go further or to be held now. Raises Unavailable."""
        live = self._database.read(rollout_tables.live)
        self._worker.rollouts = Counter(one.phase for one in live.values())
        for tenant, rule_id in live:
            now_ms = self._wall_ms()

            def change(
                rollout: Rollout, spec: RolloutSpec, facts: RolloutFacts, now_ms: int = now_ms
            ) -> Rollout | None:
                return moves.advanced(rollout, spec, facts, now_ms)

            def is_due(db: sqlite3.Connection, name: tuple[str, str] = (tenant, rule_id)) -> bool:
                return self._changed(db, *name, change) is not None

            try:
                if self._database.read(is_due):
                    await self._move(tenant, rule_id, change, by="")
            except Unavailable:
                raise
            except ServiceError as error:  # it was retired in between
                log.warning("the rollout of rule %s of %s stays: %s", rule_id, tenant, error)

    async def _move(self, tenant: str, rule_id: str, change: Change, *, by: str) -> RolloutStatus:
        """by: an operator; empty: itself."""

        def work(db: sqlite3.Connection) -> Rollout | None:
            after = self._changed(db, tenant, rule_id, change)
            if after is not None:
                self._put(db, tenant, rule_id, after, by)
                self._registry.in_force.refresh(db, tenant, [rule_id])
            return after

        async with self._registry.lock(tenant):
            self.status(tenant, rule_id)
            after = await self._database.transact(work)
            if after is not None:
                log.info(
                    "rollout of rule %s of tenant %s, version %d: %s at step %d (%s)",
                    rule_id, tenant, after.candidate, after.phase.value, after.step + 1,
                    after.reason,
                )  # fmt: skip
            return self.status(tenant, rule_id)

    def _changed(
        self, db: sqlite3.Connection, tenant: str, rule_id: str, change: Change
    ) -> Rollout | None:
        rollout = rollout_tables.get(db, tenant, rule_id)
        spec = None if rollout is None else _spec(db, tenant, rule_id, rollout)
        if rollout is None or spec is None:
            return None
        counts = rollout_tables.counts(db, tenant, rule_id, rollout.candidate)
        since_ms = self._wall_ms() - duration_ms(spec.hold.failed.within, "within")
        ended = rollout_tables.ended(db, tenant, rule_id, rollout.candidate, since_ms)
        facts = RolloutFacts(counts.compared, counts.differing, ended.done, ended.failed)
        after = change(rollout, spec, facts)
        return None if after == rollout else after

    def _put(
        self, db: sqlite3.Connection, tenant: str, rule_id: str, after: Rollout, by: str
    ) -> None:
        """In a transaction: the rollout, and what follows from its end."""
        rollout_tables.put(db, tenant, rule_id, after)
        rollout_tables.note(db, tenant, rule_id, after, by=by, now_ms=self._wall_ms())
        slot = rule_id + CANDIDATE
        gone = list[str]()  # names of state that nobody reads any more
        if after.phase is RolloutPhase.PROMOTED:
            before = rule_tables.state_name(db, tenant, rule_id) if after.stable else ""
            gone += [before] if before else []
            rule_tables.put_in_force(
                db, tenant, rule_id, after.candidate, state=state_of(rule_id, after.candidate),
                now_ms=self._wall_ms(),
            )  # fmt: skip
            worker_tables.rename_health(db, tenant, slot, rule_id)
        elif after.phase is RolloutPhase.ABORTED:
            worker_tables.delete_health(db, tenant, slot)
            gone.append(state_of(rule_id, after.candidate))
            if not after.stable:
                self._worker.begin_anew(db, rule_tables.retire(db, tenant, rule_id))
        self._worker.begin_anew(db, [Memory(tenant, "rule", name) for name in gone])


def _spec(
    db: sqlite3.Connection, tenant: str, rule_id: str, rollout: Rollout
) -> RolloutSpec | None:
    version = rule_tables.get(db, tenant, rule_id, rollout.candidate)
    return None if version is None else version.spec.rollout
