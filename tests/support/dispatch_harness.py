"""The harness of instructions: services with a dispatcher each, and platforms that are real hosts
with real journals. What is between them is a test's to cut."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from data_sharing.database import Database
from data_sharing.decisions import approval_tables, dead_letters, outbox, rollout_tables
from data_sharing.decisions.outbox import InstructionState, StoredInstruction
from data_sharing.delivery.dispatcher import Dispatcher
from data_sharing.delivery.in_flight_queue import MOST_IN_MEMORY
from data_sharing.delivery.outcome_recorder import OutcomeRecorder
from data_sharing.delivery.platform_sessions import PlatformFacts, PlatformSession
from data_sharing.instruction import Instruction, Performed
from data_sharing.platforms.host import HostedApplication, PlatformHost
from data_sharing.platforms.journal import Journal
from data_sharing.signing import InstructionVerifier, SigningKey
from tests.support.fakes.runner import FakeInstalled, FakeRunner, echo
from tests.support.instructions import NOW_MS, RING, Clock

WAIT_S = 30.0
KEY = SigningKey.of(b"k" * 32)
SCHEMAS = [outbox.SCHEMA, dead_letters.SCHEMA, rollout_tables.SCHEMA, approval_tables.SCHEMA]
ONCE = RING
REPEATABLE = replace(ONCE, idempotent=True)


class Service:
    """A dispatcher on a database, and the outcomes that it told the feeds."""

    def __init__(
        self, database: Database, fence: int = 1, most_in_memory: int = MOST_IN_MEMORY
    ) -> None:
        self.database = database
        self.clock = Clock()
        self.told: list[Performed] = []
        self.fence = fence
        self.recorder = OutcomeRecorder(self._tell, wall_ms=self.clock)
        self.dispatcher = Dispatcher(
            database,
            KEY,
            self.recorder,
            partition="0",
            fence=fence,
            wall_ms=self.clock,
            jitter=lambda: 0.0,
            most_in_memory=most_in_memory,
        )

    def _tell(self, db: sqlite3.Connection, kept: StoredInstruction, performed: Performed) -> None:
        self.told.append(performed)

    async def decide(self, *instructions: Instruction, needs_approval: bool = False) -> None:
        def write(db: sqlite3.Connection) -> None:
            for one in instructions:
                outbox.put(db, one, needs_approval=needs_approval)

        await self.database.transact(write)

    def kept(self, instruction: str = "i-1") -> StoredInstruction:
        found = self.database.read(lambda db: outbox.get(db, instruction))
        assert found is not None
        return found

    def letters(self) -> list[dead_letters.DeadLetter]:
        return self.database.read(
            lambda db: dead_letters.page(db, "acme", 1 << 62, 100, with_redriven=False)
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def ends(self, state: InstructionState, instruction: str = "i-1") -> StoredInstruction:
        await self.until(lambda: self.kept(instruction).state is state)
        return self.kept(instruction)


class PlatformLink:
    """A platform and its connection, which a test can cut. While `deaf`, nothing arrives."""

    def __init__(self, service: Service, journal: Journal, name: str, *, capacity: int) -> None:
        self.service, self.journal, self.name = service, journal, name
        self.runner = FakeRunner(4)
        self.alarm = FakeInstalled(echo)
        self.deaf = self.mute = False
        self.capacity = capacity
        self.runs = 0
        self.host = PlatformHost(
            name,
            InstructionVerifier("acme", name, {KEY.key_id: KEY.public_bytes()}),
            journal,
            self.runner,
            capacity=capacity,
            wall_ms=service.clock,
            report=lambda report: (
                None if self.mute else self.service.dispatcher.accept_report(self.session, report)
            ),
        )
        self.host.add(HostedApplication(application="alarm", version="1.0.0", installed=self.alarm))
        self.session = self._session()
        self._carrier: asyncio.Task[None] | None = None

    def _session(self) -> PlatformSession:
        self.runs += 1
        return PlatformSession(
            facts=PlatformFacts(
                tenant="acme", name=self.name, incarnation=f"{self.runs:04}", version="1",
                capacity=self.capacity, ttl_s=10.0, wanted=(("alarm", ""),),
                connected_at_ms=NOW_MS,
            )
        )  # fmt: skip

    def connect(self) -> None:
        self.session = self._session()
        self._carrier = asyncio.create_task(self._carry(self.session))
        dispatcher = self.service.dispatcher
        dispatcher.join(self.session)
        dispatcher.set_applications(
            self.session, {(o.application, o.version): o.sha256 for o in self.host.hosted}
        )
        self.host.report_unrecorded()

    def cut(self) -> None:
        self.service.dispatcher.leave(self.session)

    async def _carry(self, session: PlatformSession) -> None:
        while not session.gone:
            session.output_ready.clear()
            while session.tokens and not self.deaf:
                self.host.accept(session.tokens.popleft())
            while session.recorded:
                await self.journal.mark_recorded([session.recorded.popleft()], self.service.clock())
            await session.output_ready.wait()

    async def close(self) -> None:
        self.runner.hold.set()
        await self.host.drain(WAIT_S)
        if self._carrier is not None:
            self._carrier.cancel()
        await self.journal.close()


class DispatchHarness:
    """Services and platforms of one test, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._links: list[PlatformLink] = []

    @asynccontextmanager
    async def service(
        self, fence: int = 1, most_in_memory: int = MOST_IN_MEMORY
    ) -> AsyncIterator[Service]:
        database = await Database.open(self._folder / "db", SCHEMAS)
        service = Service(database, fence, most_in_memory)
        run = asyncio.create_task(service.dispatcher.run())
        try:
            yield service
        finally:
            run.cancel()
            await database.close()

    async def platform(
        self, service: Service, name: str = "hub", *, capacity: int = 8
    ) -> PlatformLink:
        journal = await Journal.open(self._folder / name / "journal", now_ms=NOW_MS)
        line = PlatformLink(service, journal, name, capacity=capacity)
        self._links.append(line)
        return line

    async def close(self) -> None:
        for line in self._links:
            await line.close()
