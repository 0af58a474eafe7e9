"""DecisionWorker: decides every event exactly once, and every timer.

It follows the feed log inside the log's own transactions: events, what rules remember, plans,
timers, decisions, instructions and dead letters are on disk together or not at all. So there is
no position that could be ahead of or behind its effects, and whoever published an event knows
with the answer that it is decided. Timers and due actions of plans are transactions of their
own. A rule that fails on an event sends that event to the dead letters and holds up nobody.

What it has in memory is what the running transaction made of it; one that is undone makes it
forget everything and read again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from control_plane import faultpoints
from control_plane.errors import Conflict, ServiceError, Unavailable
from control_plane.tracing.tracer import Tracer
from data_sharing.database import Database
from data_sharing.decisions import (
    history,
    memory_tables,
    plan_store,
    sharing_tables,
    worker_tables,
)
from data_sharing.decisions.consent_cache import ConsentCache
from data_sharing.decisions.decision_writer import DecisionCounts, DecisionWriter
from data_sharing.decisions.due_work import DueWork
from data_sharing.decisions.failure_log import log_failure, put_undecided
from data_sharing.decisions.history import EventOutcomes
from data_sharing.decisions.instruction_factory import InstructionFactory
from data_sharing.decisions.plan_store import PlansAt, PlanStore
from data_sharing.decisions.shared_reads import SharedReads
from data_sharing.decisions.worker_state import WorkerState
from data_sharing.decisions.write_batch import WriteBatch
from data_sharing.event import Event
from data_sharing.feeds.log_tables import accepted_ms_of
from data_sharing.memory_limits import MemorySpec, TenantLimits
from data_sharing.rules.cell_cache import CellId, decoded
from data_sharing.rules.memory_uses import MemoryName, MemoryUse
from data_sharing.rules.results import NO_RESULT, EvaluationResult
from data_sharing.rules.rollout import RolloutPhase
from data_sharing.rules.rule_health import RuleHealth
from data_sharing.rules.ruleset import MOST_HOPS, RuleSet
from data_sharing.sharing.consent import ConsentsAsOf
from data_sharing.sharing.policies import Memory, SharingPolicies
from data_sharing.spans import begin_span, trace_within

log = logging.getLogger(__name__)

PARTITION = "0"  # of this store; there is one worker for all of it
TICK_S = 0.1  # how late a timer may be noticed
RETRY_S = 1.0
FIRST_COUNTED = 100  # cells of a file that is older than the counts, before it decides


def _never() -> bool:
    return False


class DecisionWorker:
    """`follow` is the feed log's follower; `run` is a task of the owner's. wall_ms: Unix ms;
    monotonic: s."""

    def __init__(
        self,
        database: Database,
        instructions: InstructionFactory,
        *,
        wall_ms: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
        most_hops: int = MOST_HOPS,
        memory: TenantLimits | None = None,
    ) -> None:
        self._database = database
        self._wall_ms = wall_ms
        self.state = WorkerState(memory)
        self._state = self.state.cells
        self.plans = PlanStore()
        self.consents = ConsentCache()
        self._policies_known = False
        self.rules = RuleSet(most_hops=most_hops)
        self.tracer: Tracer | None = None  # of decisions; None: nothing is traced
        self.fence = 0
        self.counts = DecisionCounts()
        # Another thread reads these for metrics.
        self.backlogs: list[tuple[str, str, int]] = []  # of paused rules
        self.rollouts: Counter[RolloutPhase] = Counter()  # that are going on
        self._writer = DecisionWriter(self.plans, instructions, self.counts)
        self._due_work = DueWork(
            self._state,
            self.plans,
            self._writer,
            self.counts,
            rules=lambda: self.rules,
            store_state=self.state.store,
            forget=self.forget,
            monotonic=monotonic,
        )
        database.on_undo.append(self._undone)

    async def start(self) -> None:
        """Takes the partition over from whoever had it. Raises StoreUnavailable."""

        def work(db: sqlite3.Connection) -> int:
            memory_tables.count_some(db, FIRST_COUNTED)  # of a new file that is all
            return worker_tables.take_over(db, PARTITION)

        self.fence = await self._database.transact(work)

    def forget(self) -> None:
        """What is in memory may not be so."""
        self.state.forget()
        self.plans.forget()
        self.consents.forget()

    def _undone(self) -> None:
        self.forget()
        self.state.forgotten.undone()
        self._policies_known = False

    def replace_rules(self, rules: RuleSet) -> None:
        """Decides by these from the next event on, and reads anew what it remembers."""
        self.rules = rules
        self.forget()

    def use_policies(self, policies: SharingPolicies) -> None:
        """Shows rules and forecasts by these, from the next event on."""
        self._policies_known, before = True, self.rules.policies
        if before.changed(policies):
            self.replace_rules(self.rules.with_policies(policies))
        elif before.reset_since(policies):  # what is in memory is read by its seal
            self.rules = self.rules.with_policies(policies)

    def drop_cells(self, cells: Iterable[CellId]) -> None:
        """They are deleted in the running transaction."""
        self.state.drop(cells)

    def begin_anew(self, db: sqlite3.Connection, memories: Iterable[Memory]) -> None:
        """In a transaction: nobody reads what these kept before, and it is deleted after it."""
        found = list(memories)
        if found:
            self.join_transaction(db)
            made = sharing_tables.reset(db, found)
            self.use_policies(self.rules.policies.with_resets(made))

    def join_transaction(self, db: sqlite3.Connection) -> None:
        """Everything reads and writes over the connection of this transaction. Raises Conflict
        where another worker has taken over."""
        self.state.join_transaction(db)
        self.plans.join_transaction(db)
        self.consents.join_transaction(db)
        fence = worker_tables.fence_of(db, PARTITION)
        if fence != self.fence:
            raise Conflict(f"another decision worker has taken over (token {fence})")
        if not self._policies_known:
            self.use_policies(sharing_tables.policies(db))

    def health(self, tenant: str, rule: str, version: int) -> RuleHealth:
        """How a version of a rule fares, as far as is committed. rule: its slot."""
        cell = CellId(tenant, "health", rule, "")
        stored = self._database.read(lambda db: worker_tables.load(db, cell))
        found: RuleHealth | None = None if stored is None else decoded(cell.kind, stored.content)
        return found if found is not None and found.version == version else RuleHealth(version)

    def memory(self, name: MemoryName, own: MemorySpec | None) -> tuple[MemoryUse, str]:
        """What a rule or forecast remembers, as far as is committed, and why new keys are not
        added; empty: they are. own: what it says of it."""
        limits = self.state.limits
        return self._database.read(lambda db: memory_tables.status(db, name, limits, own))

    def unpark(self, db: sqlite3.Connection, tenant: str, rule: str, key: str, source: str) -> int:
        """In a transaction: what is parked of a rule is run again from the next event on; only
        at that key or for that producer where one is given. How many scopes there were."""
        self.join_transaction(db)
        cell = CellId(tenant, "health", rule, "")
        health: RuleHealth | None = self._state.get(cell)
        if health is None:
            return 0
        count = health.unpark(key, source)
        self._state.put(cell, health if health.rows else None)
        self.state.store(db)
        return count

    # -- events ------------------------------------------------------------------------

    def follow(
        self,
        db: sqlite3.Connection,
        events: Sequence[Event],
        is_enough: Callable[[], bool] = _never,
    ) -> int:
        """Decides new events, in their transaction, the first one and on until it is enough. How
        many."""
        faultpoints.passing("decide.events.before")
        began = time.monotonic()
        self.join_transaction(db)
        count = 0
        for tenant, those in groupby(events, key=attrgetter("tenant")):
            accepted_ms = accepted_ms_of(db, tenant)
            some = list(those)
            db.execute("SAVEPOINT deciding")
            try:
                decided = self._decide(db, some, accepted_ms, is_enough)
            except (sqlite3.Error, ServiceError):
                raise
            except Exception as error:  # noqa: BLE001  # of ours: others are not taken along
                hidden = self.rules.policies.governs(tenant)
                log_failure(log, "deciding events one by one", error, hidden=hidden)
                db.execute("ROLLBACK TO deciding")
                self.forget()
                decided = 0
                for event in some:
                    self._decide_alone(db, event, accepted_ms)
                    decided += 1
                    if is_enough():
                        break
            db.execute("RELEASE deciding")
            worker_tables.set_decided_to(db, tenant, some[decided - 1].position, accepted_ms)
            count += decided
            if decided < len(some) or is_enough():
                break
        self.counts.decided += count
        self.counts.group_seconds.observe(time.monotonic() - began)
        faultpoints.passing("decide.events.after")
        return count

    def _decide(
        self,
        db: sqlite3.Connection,
        events: Sequence[Event],
        now_ms: int,
        is_enough: Callable[[], bool],
    ) -> int:
        """The first of them and on until it is enough; how many."""
        decide, state, plans = self.rules.decide, self._state, PlansAt(self.plans, now_ms)
        write_event, time_event = self._writer.event, self.counts.time_event
        consents, reads = self.consents, SharedReads(now_ms)
        policies = self.rules.policies
        if events and policies.governs(events[0].tenant):
            tenant = events[0].tenant
            consents.load(tenant, policies.subjects(tenant, events))
        batch = WriteBatch()
        began = time.monotonic()
        count = 0
        for event in events:
            trace = event.trace
            span = begin_span(self.tracer, "decide", trace, feed=event.type) if trace else None
            decided = decide(
                event, now_ms=now_ms, state=state, plans=plans, explaining=True, consents=consents
            )
            if decided.reads:
                reads.add(event, decided)
            if decided is not NO_RESULT:
                trace = trace_within(span, trace)
                decided = write_event(db, batch, event, decided, now_ms, trace)
                if decided.outcomes or decided.shadow:
                    batch.outcomes.append(_outcomes(event, now_ms, decided))
            if span is not None:
                span.set("homeport.effects", len(decided.effects))
                span.end()
            ended = time.monotonic()
            time_event(event.tenant, event.type, ended - began)
            began = ended
            count += 1
            if is_enough():
                break
        batch.write(db)
        reads.write(db)
        self.state.store(db)
        return count

    def _decide_alone(self, db: sqlite3.Connection, event: Event, now_ms: int) -> None:
        """One that cannot be decided at all is a dead letter of no rule's."""
        db.execute("SAVEPOINT alone")
        try:
            self._decide(db, [event], now_ms, _never)
        except (sqlite3.Error, ServiceError):
            raise
        except Exception as error:  # noqa: BLE001  # as above
            db.execute("ROLLBACK TO alone")
            self.forget()
            self._put_undecided(db, event, "", error, now_ms)
        db.execute("RELEASE alone")

    def _put_undecided(
        self, db: sqlite3.Connection, event: Event, rule: str, error: Exception, now_ms: int
    ) -> None:
        self.counts.failed += 1
        hidden = self.rules.policies.governs(event.tenant)  # what rules keep of other feeds as well
        put_undecided(db, event, rule, error, hidden=hidden, now_ms=now_ms)

    def decide_again(self, db: sqlite3.Connection, event: Event, rule: str) -> None:
        """Decides an event by one rule once more (empty: by all), in a transaction, as if it
        came now."""
        self.join_transaction(db)
        rules = self.rules.alone(event.tenant, rule) if rule else self.rules
        self._decide_by(db, event, rules, again=True)

    def decide_waiting(
        self, db: sqlite3.Connection, event: Event, rules: RuleSet, rule: str
    ) -> None:
        """Decides an event by these versions of one rule, for which it has waited, in a
        transaction, as if it came now."""
        self.join_transaction(db)
        db.execute("SAVEPOINT waiting")
        try:
            self._decide_by(db, event, rules, waited_for=rule)
        except (sqlite3.Error, ServiceError):
            raise
        except Exception as error:  # noqa: BLE001  # of ours: others are not held up
            db.execute("ROLLBACK TO waiting")
            self.forget()
            self._put_undecided(db, event, rule, error, self._wall_ms())
        db.execute("RELEASE waiting")

    def _decide_by(
        self,
        db: sqlite3.Connection,
        event: Event,
        rules: RuleSet,
        *,
        again: bool = False,
        waited_for: str = "",
    ) -> None:
        now_ms = self._wall_ms()
        plans = PlansAt(self.plans, now_ms)
        decided = rules.decide(
            event, now_ms=now_ms, state=self._state, plans=plans, explaining=True,
            consents=ConsentsAsOf(self.consents, event.position), again=again,
        )  # fmt: skip
        if decided.reads:
            reads = SharedReads(now_ms)
            reads.add(event, decided)
            reads.write(db)
        batch = WriteBatch()
        decided = self._writer.event(db, batch, event, decided, now_ms)
        batch.write(db)
        if decided.outcomes or decided.shadow or waited_for:
            history.add_judgements(db, _outcomes(event, now_ms, decided), waited_for)
        self.state.store(db)

    # -- time --------------------------------------------------------------------------

    async def run(self) -> None:
        """Timers and due actions of plans, until cancelled."""
        while True:
            try:
                if not await self.tick():
                    await asyncio.sleep(TICK_S)
            except Unavailable as error:
                log.error("timers wait for the database: %s", error)
                await asyncio.sleep(RETRY_S)

    async def tick(self) -> bool:
        """Does what is due; whether there was anything."""
        now_ms = self._wall_ms()
        if not self.state.parked_known:
            await self._database.transact(self.state.count_parked)
        if not self._database.read(lambda db: _anything_due(db, now_ms)):
            return False
        await self._database.transact(lambda db: self._due(db, now_ms))
        return True

    def _due(self, db: sqlite3.Connection, now_ms: int) -> None:
        """In a transaction."""
        faultpoints.passing("decide.timers.before")
        self.join_transaction(db)
        self._due_work.do(db, now_ms)
        faultpoints.passing("decide.timers.after")

    async def expire_state(self, limit: int = 1_000) -> int:
        """Deletes cells that mean nothing any more, so many in each transaction; how many."""

        def work(db: sqlite3.Connection) -> int:
            self.join_transaction(db)
            return self.state.expire(db, self._wall_ms(), limit)

        count = gone = await self._database.transact(work)
        while gone >= limit:
            gone = await self._database.transact(work)
            count += gone
        return count


def _outcomes(event: Event, now_ms: int, decided: EvaluationResult) -> EventOutcomes:
    return EventOutcomes(event.tenant, event.position, now_ms, decided.outcomes, decided.shadow)


def _anything_due(db: sqlite3.Connection, now_ms: int) -> bool:
    return bool(worker_tables.due_timers(db, now_ms, 1) or plan_store.due(db, now_ms, 1))
