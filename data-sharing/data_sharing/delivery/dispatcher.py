"""Dispatcher: brings instructions from the outbox to platforms, at least once each, until an
outcome is recorded or their deadline passes without one.

A platform gets no more than its capacity. What may not be performed twice goes to one platform
and then to no other one; what may be goes elsewhere when its platform stays away. Outcomes are
recorded, and appended to the feeds, in one transaction; then the platform is told that it was.
The outbox is the only source: nothing that is in memory here is needed after a restart.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from enum import Enum
from functools import partial

from control_plane import faultpoints
from control_plane.printable import quoted
from control_plane.tracing.tracer import Tracer
from data_sharing.database import Database
from data_sharing.decisions import outbox
from data_sharing.decisions.outbox import InstructionState, StoredInstruction
from data_sharing.delivery.holders import Holders
from data_sharing.delivery.in_flight_queue import (
    MOST_IN_MEMORY,
    InFlight,
    InFlightQueue,
    InFlightTally,
)
from data_sharing.delivery.outbox_reader import OutboxReader
from data_sharing.delivery.outbox_writer import OutboxWriter
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.delivery.platform_sessions import PlatformFacts, PlatformSession, PlatformSessions
from data_sharing.delivery.retry_policy import Step, after_refusal, backoff_ms
from data_sharing.delivery.sender import Sender
from data_sharing.delivery.timer_queue import TimerQueue
from data_sharing.instruction import Performed
from data_sharing.signing import InstructionRefusal, RefusalReason, SigningKey

log = logging.getLogger(__name__)

AWAY_MS = 5_000  # how long an idempotent instruction waits for the platform that has it
REPORT_MS = 30_000  # how long after its deadline an outcome is waited for
OVERDUE_EVERY_MS = 500
TICK_S = 0.25  # wall clocks are set: no sleep is trusted for longer


class Outcome(Enum):
    REJECTED = "rejected"  # it came from a platform that was not given the instruction


class Dispatcher:
    """`run` is a task of the owner's. wall_ms: Unix ms; jitter: 0 to 1, new at each call."""

    def __init__(
        self,
        database: Database,
        key: SigningKey,
        recorder: OutcomeRecorder,
        *,
        partition: str,
        fence: int,
        wall_ms: Callable[[], int],
        jitter: Callable[[], float],
        most_in_memory: int = MOST_IN_MEMORY,
    ) -> None:
        self._database = database
        self._wall_ms = wall_ms
        self._jitter = jitter
        self._recorder = recorder
        self.sessions = PlatformSessions()
        self._in_flight = InFlightQueue(most_in_memory)
        self._timers = TimerQueue()
        self._reader = OutboxReader(database, self._in_flight.room)
        self._writer = OutboxWriter(database, self._schedule, jitter=jitter)
        self._holders = Holders(2 * most_in_memory)
        self._sender = Sender(
            database, key, partition=partition, fence=fence, holders=self._holders,
            not_claimed=self._not_claimed, wall_ms=wall_ms,
        )  # fmt: skip
        self._overdue_at_ms = 0
        self._wake = asyncio.Event()
        self._wake.set()
        self.outcomes = 0
        self.dead = 0
        self.redelivered = 0
        self.rejected = 0
        database.on_commit.append(self._wake.set)

    def use_tracer(self, tracer: Tracer) -> None:
        """From now on instructions and outcomes of traces have spans."""
        self._sender.tracer = self._recorder.tracer = tracer

    def __len__(self) -> int:
        """Instructions in memory."""
        return len(self._in_flight)

    def tally(self) -> InFlightTally:
        """How the instructions in memory are; any thread may ask."""
        return self._in_flight.tally(self._wall_ms())

    def oldest_s(self) -> float:
        """How long ago the oldest instruction without outcome was decided; 0: there is none."""
        now_ms = self._wall_ms()
        return max(0, now_ms - self._in_flight.tally(now_ms).oldest_ms) / 1000.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            if self._read_outbox():
                await asyncio.sleep(0)  # others first
                self._wake.set()
            self._timers.run_due(self._wall_ms())
            if self._wall_ms() >= self._overdue_at_ms:
                self._end_overdue()
                self._overdue_at_ms = self._wall_ms() + OVERDUE_EVERY_MS
            try:
                async with asyncio.timeout(self._timers.next_in_s(self._wall_ms(), TICK_S)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def platform_of(self, instruction_id: str) -> str:
        """Which platform has it now; empty: none."""
        item = self._in_flight.get(instruction_id)
        return item.session.facts.name if item is not None and item.session else ""

    # -- platforms come and go ---------------------------------------------------------

    def join(self, session: PlatformSession) -> None:
        """A platform has connected. Raises Conflict."""
        before = self.sessions.join(session)
        if before is not None:
            before.end()
            self._requeue_of(before)
        self._serve(session)

    def set_applications(
        self, session: PlatformSession, applications: dict[tuple[str, str], str]
    ) -> None:
        """The platform has these now: (application, version), to the artifact's SHA-256."""
        session.ready = applications
        self._serve(session)

    def leave(self, session: PlatformSession) -> None:
        """Its stream has ended."""
        session.end()
        if self.sessions.leave(session):
            self._requeue_of(session)

    def _requeue_of(self, session: PlatformSession) -> None:
        """What it has and did not report waits for it, or goes elsewhere where it may."""
        for name in session.in_flight:
            item = self._in_flight.get(name)
            if item is None or item.session is not session:
                continue
            item.session = None
            item.held_by = session.facts.name
            item.why_waiting = f"platform {session.facts.name} has it and is away"
            self._enqueue(item)
            if item.instruction.idempotent and not item.instruction.platform:
                self._schedule(AWAY_MS, partial(self._send_elsewhere, item))
        session.in_flight.clear()

    def _send_elsewhere(self, item: InFlight) -> None:
        """Its platform stayed away, and running it twice would do no harm."""
        if self._in_flight.holds(item) and item.session is None:
            if item.held_by and self.sessions.get(item.instruction.tenant, item.held_by) is None:
                item.held_by = ""
                self.redelivered += 1
            self._enqueue(item)

    # -- what platforms report ---------------------------------------------------------

    def accept_report(
        self, session: PlatformSession, report: Performed | InstructionRefusal
    ) -> None:
        """An outcome is acknowledged once it is recorded, and rejected where it is none of the
        platform's business."""
        if isinstance(report, InstructionRefusal):
            session.refusals += 1
            self._refused(session, report)
            return
        faultpoints.passing("dispatch.outcome.before")
        facts = session.facts
        done = self._database.submit(partial(self._record, facts, report), of=facts.tenant)
        done.add_done_callback(partial(self._recorded, session, report))

    def _record(
        self, facts: PlatformFacts, performed: Performed, db: sqlite3.Connection
    ) -> Step | Outcome | None:
        """One transaction: whether it counts is decided by what the outbox says then."""
        stored = outbox.get(db, performed.instruction)
        if stored is None or not self._holders.may_report(
            stored, tenant=facts.tenant, platform=facts.name, attempt=performed.attempt
        ):
            return Outcome.REJECTED
        return self._recorder.record(db, performed)

    def _recorded(
        self,
        session: PlatformSession,
        performed: Performed,
        done: asyncio.Future[Step | Outcome | None],
    ) -> None:
        """After the transaction. One that failed is tried again."""
        if done.cancelled():
            return
        if (failure := done.exception()) is not None:
            log.error("the outcome of %s is not recorded: %s", performed.instruction, failure)
            self._writer.retry_later(lambda: self.accept_report(session, performed))
            return
        faultpoints.passing("dispatch.outcome.after")
        step = done.result()
        if step is Outcome.REJECTED:
            self.rejected += 1
            session.reject(performed.instruction, performed.attempt)
            log.warning(
                "platform %s of tenant %s reported an outcome of %s, which it was not given",
                session.facts.name, session.facts.tenant, quoted(performed.instruction),
            )  # fmt: skip
            return
        self.outcomes += step is not None
        session.outcomes += step is not None
        session.acknowledge(performed.instruction, performed.attempt)
        session.in_flight.discard(performed.instruction)
        item = self._in_flight.get(performed.instruction)
        if item is not None and item.attempt <= performed.attempt:
            if step is Step.RETRY:
                _detach(item)
                item.attempt = performed.attempt + 1
                item.held_by = ""
                self._retry_later(item)
            else:
                self._remove(item)
        self._serve(session)

    def _refused(self, session: PlatformSession, refusal: InstructionRefusal) -> None:
        item = self._in_flight.get(refusal.instruction)
        if item is None or item.session is not session or item.attempt != refusal.attempt:
            if not refusal.instruction:
                log.error(
                    "platform %s refused what was sent to it (%s): %s",
                    session.facts.name, refusal.reason.value, refusal.message,
                )  # fmt: skip
            return
        self._holders.take_back(refusal.instruction, session.facts.name)
        step = after_refusal(refusal)
        _detach(item)
        item.held_by = ""
        instruction = item.instruction
        if refusal.reason is RefusalReason.NOT_HOSTED:
            session.ready.pop((instruction.application, instruction.version), None)
        if step.step is Step.DEAD:
            self._end_as_dead_letter(item, step.reason)
        else:
            item.why_waiting = step.reason
            if not instruction.idempotent:
                self._writer.write(
                    lambda db: outbox.release(db, instruction.id, step.reason),
                    of=instruction.tenant,
                )
            self._retry_later(item)
        self._serve(session)

    # -- sending -----------------------------------------------------------------------

    def _serve(self, session: PlatformSession) -> None:
        """Gives a platform what waits for it, as far as it has room."""
        waiting = self._in_flight.for_platform(session.facts.tenant, session.facts.name)
        for _ in range(len(waiting)):
            if not waiting or not session.has_room():
                break
            item = waiting.popleft()
            if self._in_flight.is_stale(item, of=session.facts.name):
                continue
            if session.can_run(item.instruction):
                self._send(item, session)
            else:
                waiting.append(item)
        for application, version in list(session.ready):
            if not session.has_room():
                return
            self._send_waiting(session.facts.tenant, application, version)

    def _send_waiting(self, tenant: str, application: str, version: str) -> None:
        """Sends what any platform may perform, while one has room."""
        waiting = self._in_flight.for_application(tenant, application, version)
        while waiting:
            item = waiting[0]
            if self._in_flight.is_stale(item, of=""):
                waiting.popleft()
                continue
            session = self.sessions.choose(item.instruction)
            if session is None:
                item.why_waiting = (
                    "every platform that has the application is busy or leaving"
                    if self.sessions.able(item.instruction)
                    else "no platform that is present has the application"
                )
                return
            waiting.popleft()
            self._send(item, session)

    def _send(self, item: InFlight, session: PlatformSession) -> None:
        if self._wall_ms() > item.deadline_ms and not item.held_by:
            self._end_as_dead_letter(item, f"its deadline passed: {item.why_waiting}")
            return
        self._sender.send(item, session)

    def _not_claimed(self, item: InFlight) -> None:
        _detach(item)
        self._retry_later(item)

    def _retry_later(self, item: InFlight) -> None:
        """After its back-off."""
        item.backing_off = True
        pause_ms = backoff_ms(item.retries, self._jitter())
        item.retries += 1

        def retry() -> None:
            if self._in_flight.holds(item):
                item.backing_off = False
                self._enqueue(item)

        self._schedule(pause_ms, retry)

    def _enqueue(self, item: InFlight) -> None:
        self._in_flight.append(item)
        instruction = item.instruction
        if not item.only_for:
            self._send_waiting(instruction.tenant, instruction.application, instruction.version)
            return
        session = self.sessions.get(instruction.tenant, item.only_for)
        if session is not None:
            self._serve(session)

    def _remove(self, item: InFlight) -> None:
        _detach(item)
        self._in_flight.remove(item)
        if self._reader.behind and self._in_flight.room(item.instruction.tenant):
            self._wake.set()

    # -- the outbox --------------------------------------------------------------------

    def dispatch(self, stored: StoredInstruction) -> None:
        """Starts sending an instruction: one that was decided, approved or redriven."""
        instruction = stored.instruction
        if self._in_flight.get(instruction.id) is not None:
            return
        item = InFlight(
            instruction=instruction, deadline_ms=stored.deadline_ms, attempt=stored.attempt,
            held_by=stored.platform if stored.state is InstructionState.SENT else "",
        )  # fmt: skip
        self._in_flight.add(item)
        self._enqueue(item)

    def _read_outbox(self) -> bool:
        """Reads on, a page; whether there may be more."""
        found = self._reader.read()
        for stored in found or ():
            self.dispatch(stored)
        return found is not None

    def _end_overdue(self) -> None:
        """What is past its deadline is not sent, and its outcome not waited for for ever."""
        now_ms = self._wall_ms()
        for item in self._in_flight.overdue(now_ms):
            holder = item.session.facts.name if item.session else item.held_by
            if not holder:
                self._end_as_dead_letter(item, f"its deadline passed: {item.why_waiting}")
            elif item.deadline_ms + REPORT_MS < now_ms:
                self._end_as_dead_letter(
                    item,
                    f"its deadline passed: platform {holder} has it and told no outcome in time",
                )
        if self._database.read(lambda db: outbox.overdue_approvals(db, now_ms)):
            self._writer.write(self._recorder.end_overdue_approvals)

    def _end_as_dead_letter(self, item: InFlight, reason: str) -> None:
        self._remove(item)
        self.dead += 1
        name, tenant = item.instruction.id, item.instruction.tenant
        self._writer.write(
            lambda db: self._recorder.end_as_dead_letter(db, name, reason), of=tenant
        )

    def _schedule(self, after_ms: int, action: Callable[[], None]) -> None:
        if self._timers.schedule(self._wall_ms() + after_ms, action):
            self._wake.set()


def _detach(item: InFlight) -> None:
    """No platform's session has it any more."""
    if item.session is not None:
        item.session.in_flight.discard(item.instruction.id)
        item.session = None
