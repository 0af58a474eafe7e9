"""From publishing to deciding, and from publishing to an outcome.

Deciding: batches as the wire brings them, read, checked against their schema, kept and decided
by 1,000 rules, one event in ten matching one, in one process; an event counts once its answer
is there. Without the transport, whose share bench/suite/bulk.py shows for other calls. The
ceiling: bare SQLite that appends the same events and does nothing else.

Outcomes: a server and a platform, processes of their own; each event makes a rule invoke the
sample command. Published at half the rate that they keep up with.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec.structs import replace

from bench.ceilings.raw_events import events_per_s
from bench.suite.deciding import FEED, MATCHING, rules
from bench.suite.measurement import Failed, Measurement, Ratio, Samples
from data_sharing.api.published_requests import read_batch
from data_sharing.clock import wall_ms
from data_sharing.database import Database
from data_sharing.decisions import sharing_tables
from data_sharing.decisions.instruction_factory import InstructionFactory
from data_sharing.decisions.tables import SCHEMAS
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.feed_key import KeyPath
from data_sharing.feeds import log_tables as feed_rows
from data_sharing.feeds.feed import Feed
from data_sharing.feeds.intake import Intake, IntakeLimits
from data_sharing.feeds.publisher import Publisher
from data_sharing.feeds.sqlite_log import SqliteFeedLog
from data_sharing.registry.catalogue import Version
from data_sharing.registry.manifest import Action, Manifest, RuntimeNeeds
from data_sharing.rules.compiled import CompiledRule
from data_sharing.rules.ruleset import RuleSet
from data_sharing.runtimes.port import ArtifactKind
from data_sharing.schemas import DataSchema
from data_sharing.sharing.consent import Consent
from data_sharing.sharing.policy import FeedPolicy, GrantSpec
from homeport.api.cloudevents.v1 import cloudevents_pb2
from homeport.api.datasharing.v1 import feed_pb2

EVENTS = 60_000
BATCH = 1_000
IN_FLIGHT = 4
RAW_GROUP = 4_096
DECIDING_SCHEMAS = (feed_rows.SCHEMA, *SCHEMAS)
SCHEMA = DataSchema(
    {
        "type": "object",
        "required": ["road", "speed"],
        "properties": {
            "road": {"type": "string", "maxLength": 64},
            "speed": {"type": "integer", "minimum": 0, "maximum": 400},
        },
    }
)
PURPOSE = "Measure."
SUBJECTS = 5_000
LAMP = Version(
    manifest=Manifest(
        tenant="bench",
        application="lamp",
        version="1.0.0",
        actions=(Action(name="blink", input=True, output=True, sample={}),),
        runtime=RuntimeNeeds(kind=ArtifactKind.WASI_COMMAND),
    ),
    text="{}",
    artifact_sha256="0" * 64,
    artifact_size=1,
    submitted_ms=0,
    current=True,
)


def messages(count: int) -> list[cloudevents_pb2.CloudEvent]:
    """Events with about 600 bytes of data; one in ten is on the road that rules watch."""
    filler = {f"field{n}": "x" * 31 for n in range(12)}
    found = []
    for number in range(count):
        data = {
            "road": "A100" if number % 10 == 0 else f"road-{number % 499}",
            "speed": number % 130,
            **filler,
        }
        event = cloudevents_pb2.CloudEvent(
            id=f"event-{number}",
            source="/bench",
            spec_version="1.0",
            type=FEED,
            text_data=json.dumps(data),
        )
        event.attributes["subject"].ce_string = f"car-{number % SUBJECTS}"
        found.append(event)
    return found


async def decided_per_s(folder: Path, payloads: Sequence[bytes], count: int) -> float:
    """Events a second, on this machine's disk."""
    database = await Database.open(folder / "sharing.db", DECIDING_SCHEMAS)
    return await decided_in(database, payloads, count)


async def governed_per_s(folder: Path, payloads: Sequence[bytes], count: int) -> float:
    """The same with a policy of the feed: three fields of fourteen are granted, one of them masked,
    by the consent that each of the 5,000 subjects has given to both readers."""
    database = await Database.open(folder / "governed.db", DECIDING_SCHEMAS)
    await database.transact(_govern)
    return await decided_in(database, payloads, count, governed=True)


def _govern(db: sqlite3.Connection) -> None:
    grant = GrantSpec(
        purpose=PURPOSE, applications=["lamp"], tenant=["rules"], fields=["key", "/road", "/speed"],
        masks={"/field1": "hash"},
    )  # fmt: skip
    policy = FeedPolicy(feed=FEED, grants=[grant])
    sharing_tables.put_policy(db, "bench", policy, now_ms=0, secret=b"s" * 32)
    for number in range(SUBJECTS):
        for consumer in ("", "lamp"):
            one = Consent(
                id=f"{number}{consumer}", tenant="bench", subject=f"car-{number}",
                consumer=consumer, purpose=PURPOSE,
            )  # fmt: skip
            sharing_tables.put_consent(db, one)


def _with_purpose(rule: CompiledRule) -> CompiledRule:
    return dataclasses.replace(rule, spec=replace(rule.spec, purpose=PURPOSE))


async def decided_in(
    database: Database, payloads: Sequence[bytes], count: int, *, governed: bool = False
) -> float:
    """Events a second, in a database that is closed then. Raises Failed where not exactly the
    expected instructions are kept."""
    try:
        instructions = InstructionFactory(lambda tenant, application, version: LAMP)
        worker = DecisionWorker(database, instructions, wall_ms=wall_ms)
        await worker.start()
        made = rules(1_000, 'e.data.road == "A100"')[MATCHING - 1 :]
        worker.replace_rules(RuleSet(map(_with_purpose, made) if governed else made))
        log = SqliteFeedLog(database, wall_ms=wall_ms, follower=worker.follow)
        feed = Feed("bench", FEED, "bench", SCHEMA, KeyPath.parse("/subject"))
        limits = IntakeLimits(event_bytes=65_536, ahead_s=300.0, late_s=86_400.0)
        intake = Intake(lambda tenant, type_: feed if type_ == FEED else None, limits)
        publisher = Publisher(intake, log, wall_ms=wall_ms, clock=time.monotonic)
        left = iter(payloads)

        async def producer() -> None:
            for payload in left:
                envelopes = read_batch(payload).envelopes
                for answer in await publisher.publish("bench", envelopes):
                    if not hasattr(answer, "position"):
                        raise Failed(f"an event was refused: {answer}")

        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)  # as the server does
        began = time.perf_counter()
        await asyncio.gather(*(producer() for _ in range(IN_FLIGHT)))
        took = time.perf_counter() - began
        kept = database.read(
            lambda db: db.execute("SELECT count(*) FROM instructions").fetchone()[0]
        )
        if kept != count // 10:
            raise Failed(f"{kept} instructions are kept, not {count // 10}")
        return count / took
    finally:
        await database.close()


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Alternates ours and bare SQLite, each on a fresh file."""
    count = EVENTS // (6 if quick else 1)
    events = messages(count)
    payloads = [
        feed_pb2.PublishBatchRequest(
            tenant="bench", events=events[start : start + BATCH]
        ).SerializeToString()
        for start in range(0, count, BATCH)
    ]
    contents = [event.text_data.encode() for event in events]
    for number in range(-1, rounds):
        kept = samples if number >= 0 else Samples()  # round -1 warms everything up
        with tempfile.TemporaryDirectory(dir=".") as folder:
            kept.add("raw_sqlite_events_per_s", events_per_s(Path(folder), contents, RAW_GROUP))
            kept.add(
                "decide_events_per_s", asyncio.run(decided_per_s(Path(folder), payloads, count))
            )
            kept.add(
                "governed_events_per_s", asyncio.run(governed_per_s(Path(folder), payloads, count))
            )
        tick()


SHARING = Measurement(
    name="publishing to deciding",
    ratios=(
        Ratio(key="decide_vs_sqlite_log", ours="decide_events_per_s",
              ceiling="raw_sqlite_events_per_s", target=0.40),
        Ratio(key="governed_vs_open", ours="governed_events_per_s",
              ceiling="decide_events_per_s", target=0.80),
    ),
    units={
        "decide_events_per_s": "events/s, 600 bytes, 1,000 rules, one in ten fires one",
        "raw_sqlite_events_per_s": "events/s, appended",
        "governed_events_per_s": "events/s, the same by a sharing policy and consents",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
