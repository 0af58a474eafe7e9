"""A decision worker on a real database, with rules from text and an application to order."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from data_sharing.correlation import Correlation, extensions_of
from data_sharing.database import Database, Schema
from data_sharing.decisions import dead_letters, history, outbox
from data_sharing.decisions import tables as decision_tables
from data_sharing.decisions.ancestry_tables import NamedCauses
from data_sharing.decisions.dead_letters import DeadLetter
from data_sharing.decisions.history import Decision
from data_sharing.decisions.instruction_factory import FindOrigin, InstructionFactory
from data_sharing.decisions.outbox import StoredInstruction
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.event import Event
from data_sharing.feeds import log_tables
from data_sharing.feeds.port import Appended, Candidate
from data_sharing.feeds.sqlite_log import SqliteFeedLog
from data_sharing.memory_limits import MemoryLimits, TenantLimits
from data_sharing.registry.catalogue import Catalogue, Version
from data_sharing.registry.manifest import Action, Manifest, Produced, RuntimeNeeds
from data_sharing.runtimes.port import ArtifactKind
from tests.support.instructions import NOW_MS, Clock
from tests.support.rule_harness import TENANT, rules_of

T = TypeVar("T")
ALL = 1 << 40  # rows
TIMES = {"type": "object", "properties": {"times": {"type": "integer"}}}
LAMP = Version(
    manifest=Manifest(
        tenant=TENANT,
        application="lamp",
        version="1.2.0",
        produces=(
            Produced(
                type="switched",
                schema={"type": "object", "properties": {"on": {"type": "boolean"}}},
                key="/subject",
                samples=(),
            ),
        ),
        actions=(
            Action(
                name="blink", input=TIMES, output={"type": "integer"}, sample={}, idempotent=True
            ),
            Action(name="unlock", input=True, output=True, sample={}, needs_approval=True),
        ),
        runtime=RuntimeNeeds(kind=ArtifactKind.WASI_COMMAND),
    ),
    text="{}",
    artifact_sha256="a" * 64,
    artifact_size=1,
    submitted_ms=0,
    current=True,
)
CATALOGUE = Catalogue([LAMP])


def find_lamp(tenant: str, application: str, version: str) -> Version | None:
    """The FindVersion of a tenant that has one application, in one version."""
    known = tenant == TENANT and application == "lamp" and version in ("", "1.2.0")
    return LAMP if known else None


@contextmanager
def tables(*schemas: Schema) -> Iterator[sqlite3.Connection]:
    """A connection to a database in memory that has these tables."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    try:
        for schema in schemas:
            for step in schema.steps:
                for statement in step:
                    db.execute(statement)
        yield db
    finally:
        db.close()


def event(
    data: Mapping[str, Any] | None = None,
    *,
    id: str = "e1",
    feed: str = "traffic",
    key: str = "k",
    time_ms: int = NOW_MS,
    tenant: str = TENANT,
    position: int = 0,
    source: str = "/road",
) -> Event:
    return Event(
        tenant=tenant, source=source, id=id, type=feed, key=key, time_ms=time_ms,
        data=data or {}, position=position,
    )  # fmt: skip


def _attributes(one: Event) -> bytes:
    told = extensions_of(Correlation(one.correlation, one.causation, one.hops))
    return msgspec.json.encode(told) if told else b""


class DecisionHarness:
    """`rules` replaces what decides, `publish` appends events and has them decided. monotonic: s,
    by which transactions end."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        find_origin: FindOrigin = lambda tenant, feed: "",
        memory: MemoryLimits | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.worker = DecisionWorker(
            database,
            InstructionFactory(find_lamp, find_origin),
            wall_ms=clock,
            monotonic=monotonic,
            memory=None if memory is None else TenantLimits(memory),
        )
        self.log = SqliteFeedLog(
            database, wall_ms=clock, follower=self.worker.follow, monotonic=monotonic,
            ancestry=NamedCauses(find_origin),
        )  # fmt: skip

    def rules(self, text: str, *, version: int = 1) -> None:
        self.worker.replace_rules(rules_of(text, version=version))

    async def publish(self, *events: Event) -> list[Appended]:
        return list(
            await self.log.append(
                [
                    Candidate(
                        event=one,
                        content=msgspec.json.encode(one.data),
                        attributes=_attributes(one),
                    )
                    for one in events
                ]
            )
        )

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return self.database.read(work)

    def decisions(self, tenant: str = TENANT) -> list[Decision]:
        """Oldest first."""
        found = self.read(lambda db: history.page(db, tenant, ALL, 1_000))
        return [one for _, one in reversed(found)]

    def instructions(self, tenant: str = TENANT) -> list[StoredInstruction]:
        """Oldest first."""
        return self.read(lambda db: outbox.page(db, tenant, ALL, 1_000))[::-1]

    def letters(self, tenant: str = TENANT) -> list[DeadLetter]:
        """Oldest first."""
        return self.read(lambda db: dead_letters.page(db, tenant, ALL, 1_000, with_redriven=True))[
            ::-1
        ]


@asynccontextmanager
async def decision_harness(
    folder: Path,
    *,
    find_origin: FindOrigin = lambda tenant, feed: "",
    memory: MemoryLimits | None = None,
) -> AsyncIterator[DecisionHarness]:
    """With a worker that has taken its partition over."""
    database = await Database.open(
        folder / "sharing.db", [log_tables.SCHEMA, *decision_tables.SCHEMAS]
    )
    harness = DecisionHarness(database, Clock(), find_origin=find_origin, memory=memory)
    try:
        await harness.worker.start()
        yield harness
    finally:
        await database.close()
