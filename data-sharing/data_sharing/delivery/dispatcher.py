"""Dispatcher: takes instructions from the outbox to platforms, at least once each, until an
outcome is recorded or nobody can be found to follow them in time.

A platform gets no more than its capacity. What may not be performed twice is claimed on disk
for one platform before it is sent, and then goes to no other one, because nobody but that
platform's journal knows whether it ran. What may be goes elsewhere when its platform stays
away. Outcomes are recorded, and told to the feeds, in one transaction; then the platform hears
that it was. The outbox is the only source: nothing that is in memory here is needed after a
restart.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

from control_plane import faultpoints
from control_plane.errors import Unavailable
from data_sharing.database import Database
from data_sharing.decisions import outbox
from data_sharing.decisions.outbox import Kept, State
from data_sharing.delivery.in_flight import InFlight, InFlightQueue, TimerQueue
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.delivery.platform_sessions import PlatformSession, PlatformSessions
from data_sharing.delivery.retry_policy import Step, after_refusal, backoff_ms
from data_sharing.instruction import Performed
from data_sharing.signing import Delivery, Flaw, Refusal, SigningKey, sign

log = logging.getLogger(__name__)

MOST_IN_MEMORY = 10_000
PULL = 256
AWAY_MS = 5_000  # how long an idempotent instruction waits for the platform that has it
REPORT_MS = 30_000  # how long after its deadline an outcome is waited for
SWEEP_MS = 500
TICK_S = 0.25  # wall clocks are set: no sleep is trusted for longer


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
        self._key = key
        self._partition = partition
        self._fence = fence
        self._wall_ms = wall_ms
        self._jitter = jitter
        self._recorder = recorder
        self._most = most_in_memory
        self.presence = PlatformSessions()
        self._flights = InFlightQueue()
        self._alarms = TimerQueue()
        self._row = 0  # of the outbox: looked through up to here
        self._sweep_at_ms = 0
        self._dirty = asyncio.Event()
        self._dirty.set()
        self.outcomes = 0
        self.dead = 0
        self.redelivered = 0
        database.on_commit.append(self._dirty.set)

    def __len__(self) -> int:
        """Instructions in memory."""
        return len(self._flights)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._dirty.clear()
            self._pull()
            self._alarms.run(self._wall_ms())
            if self._wall_ms() >= self._sweep_at_ms:
                self._sweep()
                self._sweep_at_ms = self._wall_ms() + SWEEP_MS
            try:
                async with asyncio.timeout(self._alarms.next_in_s(self._wall_ms(), TICK_S)):
                    await self._dirty.wait()
            except TimeoutError:
                continue

    def platform_of(self, instruction_id: str) -> str:
        """Which platform has it now; empty: none."""
        flight = self._flights.get(instruction_id)
        return flight.session.facts.name if flight is not None and flight.session else ""

    # -- platforms come and go ---------------------------------------------------------

    def join(self, session: PlatformSession) -> None:
        """A platform has connected. Raises Conflict."""
        before = self.presence.join(session)
        if before is not None:
            before.end()
            self._take_back(before)
        self._serve(session)

    def ready(self, session: PlatformSession, applications: dict[tuple[str, str], str]) -> None:
        """It has these applications now."""
        session.ready = applications
        self._serve(session)

    def lost(self, session: PlatformSession) -> None:
        """Its stream has ended."""
        session.end()
        if self.presence.leave(session):
            self._take_back(session)

    def _take_back(self, session: PlatformSession) -> None:
        """What it has and did not report waits for it, or goes elsewhere where it may."""
        for name in session.in_flight:
            flight = self._flights.get(name)
            if flight is None or flight.session is not session:
                continue
            flight.session = None
            flight.held_by = session.facts.name
            flight.why = f"platform {session.facts.name} has it and is away"
            self._enqueue(flight)
            if flight.instruction.idempotent and not flight.instruction.platform:
                self._at(self._wall_ms() + AWAY_MS, partial(self._let_go, flight))
        session.in_flight.clear()

    def _let_go(self, flight: InFlight) -> None:
        """Its platform stayed away, and running it twice would do no harm."""
        if self._flights.has(flight) and flight.session is None:
            if (
                flight.held_by
                and self.presence.get(flight.instruction.tenant, flight.held_by) is None
            ):
                flight.held_by = ""
                self.redelivered += 1
            self._enqueue(flight)

    # -- what platforms say ------------------------------------------------------------

    def heard(self, session: PlatformSession, report: Performed | Refusal) -> None:
        """A report came. An outcome is acknowledged once it is recorded."""
        if isinstance(report, Refusal):
            session.refusals += 1
            self._refused(session, report)
            return
        faultpoints.passing("dispatch.outcome.before")
        done = self._database.submit(lambda db: self._recorder.outcome(db, report))
        done.add_done_callback(partial(self._recorded, session, report))

    def _recorded(
        self, session: PlatformSession, performed: Performed, done: asyncio.Future[Step | None]
    ) -> None:
        """After the transaction. One that failed is told again by the platform."""
        if done.cancelled():
            return
        if (failure := done.exception()) is not None:
            log.error("the outcome of %s is not recorded: %s", performed.instruction, failure)
            self._at(
                self._wall_ms() + backoff_ms(3, self._jitter()),
                lambda: self.heard(session, performed),
            )
            return
        faultpoints.passing("dispatch.outcome.after")
        step = done.result()
        self.outcomes += step is not None
        session.outcomes += step is not None
        session.tell_recorded(performed.instruction, performed.attempt)
        session.in_flight.discard(performed.instruction)
        flight = self._flights.get(performed.instruction)
        if flight is not None and flight.attempt <= performed.attempt:
            if step is Step.AGAIN:
                self._forget_line(flight)
                flight.attempt = performed.attempt + 1
                flight.held_by = ""
                self._later(flight)
            else:
                self._drop(flight)
        self._serve(session)

    def _refused(self, session: PlatformSession, refusal: Refusal) -> None:
        flight = self._flights.get(refusal.instruction)
        if flight is None or flight.session is not session or flight.attempt != refusal.attempt:
            if not refusal.instruction:
                log.error(
                    "platform %s refused what was sent to it (%s): %s",
                    session.facts.name, refusal.flaw.value, refusal.message,
                )  # fmt: skip
            return
        step = after_refusal(refusal)
        self._forget_line(flight)
        flight.held_by = ""
        if refusal.flaw is Flaw.NOT_HOSTED:
            what = flight.instruction
            session.ready.pop((what.application, what.version), None)
        if step.step is Step.DEAD:
            self._die(flight, step.reason)
        else:
            flight.why = step.reason
            if not flight.instruction.idempotent:
                self._write(lambda db: outbox.release(db, flight.instruction.id, step.reason))
            self._later(flight)
        self._serve(session)

    # -- sending -----------------------------------------------------------------------

    def _serve(self, session: PlatformSession) -> None:
        """Gives a platform what waits for it, as far as it has room."""
        mine = self._flights.for_platform(session.facts.tenant, session.facts.name)
        for _ in range(len(mine)):
            if not mine or not session.has_room():
                break
            flight = mine.popleft()
            if self._flights.is_stale(flight, of=session.facts.name):
                continue
            if session.can_run(flight.instruction):
                self._deliver(flight, session)
            else:
                mine.append(flight)
        for application, version in list(session.ready):
            if not session.has_room():
                return
            self._pump(session.facts.tenant, application, version)

    def _pump(self, tenant: str, application: str, version: str) -> None:
        """Sends what any platform may perform, while one has room."""
        queue = self._flights.for_application(tenant, application, version)
        while queue:
            flight = queue[0]
            if self._flights.is_stale(flight, of=""):
                queue.popleft()
                continue
            session = self.presence.choose(flight.instruction)
            if session is None:
                able = self.presence.able(flight.instruction)
                flight.why = (
                    "every platform that has the application is busy or leaving"
                    if able
                    else "no platform that is present has the application"
                )
                return
            queue.popleft()
            self._deliver(flight, session)

    def _deliver(self, flight: InFlight, session: PlatformSession) -> None:
        what = flight.instruction
        if self._wall_ms() > flight.deadline_ms and not flight.held_by:
            self._die(flight, f"its deadline passed: {flight.why}")
            return
        flight.session = session
        session.in_flight.add(what.id)
        if what.idempotent or flight.held_by == session.facts.name:
            self._send(flight, session)
            return
        flight.held_by = session.facts.name
        name = session.facts.name
        claimed = self._database.submit(lambda db: outbox.claim(db, what.id, name))
        claimed.add_done_callback(partial(self._claimed, flight, session))

    def _claimed(
        self, flight: InFlight, session: PlatformSession, done: asyncio.Future[None]
    ) -> None:
        if done.cancelled() or flight.session is not session:
            return
        if (failure := done.exception()) is not None:
            log.error("%s is not sent: %s", flight.instruction.id, failure)
            self._forget_line(flight)
            self._later(flight)
            return
        faultpoints.passing("dispatch.claim.after")
        self._send(flight, session)

    def _send(self, flight: InFlight, session: PlatformSession) -> None:
        delivery = Delivery(
            instruction=flight.instruction,
            platform=session.facts.name,
            partition=self._partition,
            fence=self._fence,
            attempt=flight.attempt,
        )
        session.send(sign(delivery, self._key, self._wall_ms()))

    def _later(self, flight: InFlight) -> None:
        """Tries again after a while."""
        flight.waiting = True
        pause_ms = backoff_ms(flight.tries, self._jitter())
        flight.tries += 1

        def again() -> None:
            if self._flights.has(flight):
                flight.waiting = False
                self._enqueue(flight)

        self._at(self._wall_ms() + pause_ms, again)

    def _enqueue(self, flight: InFlight) -> None:
        self._flights.line_up(flight)
        what = flight.instruction
        if not flight.only_for:
            self._pump(what.tenant, what.application, what.version)
            return
        session = self.presence.get(what.tenant, flight.only_for)
        if session is not None:
            self._serve(session)

    def _forget_line(self, flight: InFlight) -> None:
        if flight.session is not None:
            flight.session.in_flight.discard(flight.instruction.id)
            flight.session = None

    def _drop(self, flight: InFlight) -> None:
        self._forget_line(flight)
        self._flights.drop(flight)
        if len(self._flights) < self._most // 2:
            self._dirty.set()

    # -- the outbox --------------------------------------------------------------------

    def admit(self, kept: Kept) -> None:
        """Starts sending an instruction: one that was decided, approved or redriven."""
        what = kept.instruction
        if self._flights.get(what.id) is not None:
            return
        flight = InFlight(
            instruction=what, deadline_ms=kept.deadline_ms, attempt=kept.attempt,
            held_by=kept.platform if kept.state is State.SENT else "",
        )  # fmt: skip
        self._flights.add(flight)
        self._enqueue(flight)

    def _pull(self) -> None:
        """Reads on in the outbox while there is room."""
        while len(self._flights) < self._most:
            after = self._row
            some = self._database.read(lambda db, after=after: outbox.open_after(db, after, PULL))  # type: ignore[misc]
            if not some:
                return
            self._row = some[-1].row
            for kept in some:
                if kept.state is not State.AWAITING_APPROVAL:
                    self.admit(kept)

    def _sweep(self) -> None:
        """What is past its deadline is not sent, and its outcome not waited for for ever."""
        now_ms = self._wall_ms()
        for flight in self._flights.past(now_ms):
            holder = flight.session.facts.name if flight.session else flight.held_by
            if not holder:
                self._die(flight, f"its deadline passed: {flight.why}")
            elif flight.deadline_ms + REPORT_MS < now_ms:
                self._die(
                    flight,
                    f"its deadline passed: platform {holder} has it and told no outcome in time",
                )
        if self._database.read(lambda db: outbox.overdue_approvals(db, now_ms)):
            self._write(self._recorder.overdue_approvals)

    def _die(self, flight: InFlight, reason: str) -> None:
        self._drop(flight)
        self.dead += 1
        self._write(lambda db: self._recorder.death(db, flight.instruction.id, reason))

    def _write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Until the disk has it."""

        def done(future: asyncio.Future[Any]) -> None:
            if future.cancelled():
                return
            failure = future.exception()
            if isinstance(failure, Unavailable):
                log.error("the outbox waits for the disk: %s", failure)
                self._at(self._wall_ms() + backoff_ms(3, self._jitter()), lambda: self._write(work))
            elif failure is not None:
                log.error("the outbox cannot be written", exc_info=failure)

        self._database.submit(work).add_done_callback(done)

    # -- time --------------------------------------------------------------------------

    def _at(self, at_ms: int, what: Callable[[], None]) -> None:
        if self._alarms.at(at_ms, what):
            self._dirty.set()
