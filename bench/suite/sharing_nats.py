"""From publishing to deciding, kept on three NATS servers, next to bare JetStream there.

Ours: as bench/suite/sharing.py, in a database whose commits go to a changelog with three replicas,
every write synced. The ceiling: the same events published to those servers in atomic batches, in
the better of two sizes. Client and servers share this machine's processors.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from bench.ceilings.raw_jetstream import GROUPS, events_per_s
from bench.suite.measurement import Measurement, Ratio, Samples
from bench.suite.sharing import BATCH, DECIDING_SCHEMAS, decided_in, messages
from console.local.nats_process import NatsCluster
from control_plane.errors import Unavailable
from data_sharing.clock import wall_ms
from data_sharing.database import Database
from data_sharing.replication import replica_tables
from data_sharing.replication.jetstream import connection
from data_sharing.replication.jetstream.changelog import JetStreamChangeLog
from data_sharing.replication.jetstream.connection import JetStreamTarget
from data_sharing.replication.replica import Replica
from data_sharing.replication.takeover import Takeover
from homeport.api.datasharing.v1 import feed_pb2

EVENTS = 60_000
MEMBERS = 3
TRIES = 20
_PARTITIONS = itertools.count()


def target_of(servers: Sequence[str], monitoring: str) -> JetStreamTarget:
    """Of servers that keep three replicas."""
    return JetStreamTarget(servers=servers, monitoring=[monitoring])


def _target(cluster: NatsCluster) -> JetStreamTarget:
    return target_of(cluster.urls, cluster.members[0].monitoring)


async def until_available(work: Callable[[], Awaitable[object]]) -> None:
    """As a server does: servers that share a busy machine answer late."""
    for left in reversed(range(TRIES)):
        try:
            await work()
            return
        except Unavailable:
            if not left:
                raise
            await asyncio.sleep(1.0)


async def decided_per_s(
    target: JetStreamTarget,
    folder: Path,
    payloads: Sequence[bytes],
    count: int,
    *,
    partition: str = "",
) -> float:
    """Events a second, in a partition that is made for it."""
    client = await connection.connected(target)
    try:
        changelog = JetStreamChangeLog(client, target, partition or f"bench{next(_PARTITIONS)}")
        await changelog.open()

        def new_id() -> str:
            return secrets.token_hex(8)

        schemas = [*DECIDING_SCHEMAS, replica_tables.SCHEMA]
        replica = Replica(changelog, owner=new_id(), new_id=new_id)
        path = folder / "sharing.db"
        takeover = Takeover(path, schemas, changelog, new_id=new_id, wall_ms=wall_ms)
        await until_available(lambda: takeover.begin(replica))
        database = await Database.open(path, schemas, prepare=replica.prepare, gate=replica)
        return await decided_in(database, payloads, count)
    finally:
        await connection.close(client)


async def published_per_s(cluster: NatsCluster, contents: Sequence[bytes]) -> float:
    """Events a second, in the better of the two ways."""
    client = await connection.connected(_target(cluster))
    try:
        return max([await events_per_s(client, contents, *group, MEMBERS) for group in GROUPS])
    finally:
        await connection.close(client)


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Alternates ours and bare JetStream, each in streams of its own."""
    count = EVENTS // (6 if quick else 1)
    events = messages(count)
    payloads = [
        feed_pb2.PublishBatchRequest(
            tenant="bench", events=events[start : start + BATCH]
        ).SerializeToString()
        for start in range(0, count, BATCH)
    ]
    contents = [event.text_data.encode() for event in events]
    with (
        tempfile.TemporaryDirectory(dir=".", prefix=".bench-nats-") as servers,
        NatsCluster(Path(servers), members=MEMBERS) as cluster,
    ):
        for number in range(-1, rounds):
            kept = samples if number >= 0 else Samples()  # round -1 warms everything up
            kept.add("raw_nats_events_per_s", asyncio.run(published_per_s(cluster, contents)))
            with tempfile.TemporaryDirectory(dir=".") as folder:
                decided = asyncio.run(
                    decided_per_s(_target(cluster), Path(folder), payloads, count)
                )
            kept.add("decide_nats_events_per_s", decided)
            tick()


SHARING_NATS = Measurement(
    name="publishing to deciding, on NATS",
    ratios=(
        Ratio(key="decide_nats_vs_raw_nats", ours="decide_nats_events_per_s",
              ceiling="raw_nats_events_per_s", target=0.50, paired=True),
    ),
    units={
        "decide_nats_events_per_s": "events/s, 600 bytes, durable on three servers, 1,000 rules",
        "raw_nats_events_per_s": "events/s, atomic batches of 100 or 1,000, three replicas",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
