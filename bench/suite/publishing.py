"""Publishing events, next to bare SQLite.

Ours: from the bytes of PublishBatch requests of 500 events to the bytes of their answers, a few
under way at once: read, checked against their schema, known not to be repeats, durable. In this
process and without transport; a follower of the log would decide in the same transaction. The
ceiling: the same events appended to a table of one column, in the best of two group sizes.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.ceilings.raw_events import events_per_s
from bench.suite.measurement import Failed, Measurement, Ratio, Samples
from control_plane.serving import gc_freeze
from data_sharing.api.cloudevent_message import results_to_proto
from data_sharing.api.published_requests import read_batch
from data_sharing.database import Database
from data_sharing.feed_key import KeyPath
from data_sharing.feeds import log_tables as feed_rows
from data_sharing.feeds.feed import Feed
from data_sharing.feeds.intake import Intake
from data_sharing.feeds.publisher import Publisher
from data_sharing.feeds.sqlite_log import Follower, SqliteFeedLog
from data_sharing.schemas import DataSchema
from homeport.api.datasharing.v1 import feed_pb2 as pb

EVENTS = 50_000
BATCH = 500
UNDER_WAY = 4
GROUPS = (500, 2_000)
TENANT, FEED = "bench", "bench.traffic"
SCHEMA = {
    "type": "object",
    "required": ["road", "speed_kmh"],
    "properties": {
        "road": {"type": "string", "minLength": 1, "maxLength": 64},
        "speed_kmh": {"type": "number", "minimum": 0, "maximum": 400},
        "level": {"enum": ["free", "slow", "jam"]},
        "lanes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"n": {"type": "integer"}, "open": {"type": "boolean"}},
            },
        },
        "note": {"type": "string"},
    },
    "additionalProperties": False,
}


def batches(count: int, *, random_ids: bool) -> list[bytes]:
    """PublishBatch requests with events of some 600 bytes."""
    rng = random.Random(7)
    made = []
    for start in range(0, count, BATCH):
        request = pb.PublishBatchRequest(tenant=TENANT)
        for number in range(start, start + BATCH):
            data = {
                "road": f"A{rng.randrange(500)}", "speed_kmh": rng.randint(0, 130),
                "level": "slow", "lanes": [{"n": 1, "open": True}, {"n": 2, "open": False}],
                "note": "x" * 380,
            }  # fmt: skip
            name = f"{rng.getrandbits(128):032x}" if random_ids else f"{number:012d}"
            event = request.events.add(
                id=name, source="/bench/traffic", spec_version="1.0", type=FEED,
                text_data=json.dumps(data, separators=(",", ":")),
            )  # fmt: skip
            event.attributes["time"].ce_timestamp.FromNanoseconds(time.time_ns())
            event.attributes["datacontenttype"].ce_string = "application/json"
        made.append(request.SerializeToString())
    return made


def contents(requests: Sequence[bytes]) -> list[bytes]:
    """Each event of the requests, as it was sent."""
    return [
        event.SerializeToString()
        for request in requests
        for event in pb.PublishBatchRequest.FromString(request).events
    ]


async def published_per_s(
    folder: Path, requests: Sequence[bytes], follower: Follower | None = None
) -> float:
    """Events answered a second. Raises Failed where one was refused or was there before."""

    def wall_ms() -> int:
        return time.time_ns() // 1_000_000

    feed = Feed(TENANT, FEED, "traffic", DataSchema(SCHEMA), KeyPath.parse("/data/road"))
    with tempfile.TemporaryDirectory(dir=folder) as own:
        database = await Database.open(Path(own) / "sharing.db", [feed_rows.SCHEMA])
        log = SqliteFeedLog(database, wall_ms=wall_ms, follower=follower)
        publisher = Publisher(Intake(lambda *_: feed), log, wall_ms=wall_ms, clock=time.monotonic)
        under_way: deque[asyncio.Future[Sequence[object]]] = deque()
        answered = 0

        async def answer() -> None:
            nonlocal answered
            results = results_to_proto(await under_way.popleft())
            pb.PublishBatchResponse(results=results).SerializeToString()
            answered += len(results)
            if results[-1].position != answered:
                raise Failed(f"the event {answered} was not kept: {results[-1]}")

        began = time.perf_counter()
        for request in requests:
            tenant, envelopes, _ = read_batch(request)
            under_way.append(publisher.publish(tenant, envelopes))  # type: ignore[arg-type]
            if len(under_way) >= UNDER_WAY:
                await answer()
        while under_way:
            await answer()
        per_s = answered / (time.perf_counter() - began)
        await database.close()
    return per_s


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Alternates ours and bare SQLite."""
    count = EVENTS // (5 if quick else 1)
    growing, scattered = batches(count, random_ids=False), batches(count, random_ids=True)
    bare = contents(growing)
    gc_freeze.freeze_gc()  # as the server does
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-events-") as name:
        folder = Path(name)
        for number in range(-1, rounds):
            kept = samples if number >= 0 else Samples()  # round -1 warms everything up
            kept.add("publish_per_s", asyncio.run(published_per_s(folder, growing)))
            kept.add("publish_random_ids_per_s", asyncio.run(published_per_s(folder, scattered)))
            kept.add("sqlite_log_per_s", max(events_per_s(folder, bare, group) for group in GROUPS))
            tick()


PUBLISHING = Measurement(
    name="publishing events",
    ratios=(
        Ratio(key="publish_vs_sqlite_log", ours="publish_per_s", ceiling="sqlite_log_per_s",
              target=0.45),
    ),
    units={
        "publish_per_s": "events/s, ids that grow",
        "publish_random_ids_per_s": "events/s, random ids",
        "sqlite_log_per_s": "events/s",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
