"""Partitions on NATS: four decided by two workers next to one by one, and how long one is away when
its worker dies.

Workers are processes; the three NATS servers share this machine's processors with them. What a
rebalance takes is measured as a second worker sees it, which has no file: the lease of the dead one
runs out, the newest snapshot is fetched and becomes the file, the commits behind it are made, and
the term begins.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.suite.measurement import Failed, Measurement, Ratio, Samples, Target
from bench.suite.sharing import BATCH, DECIDING_SCHEMAS, messages
from bench.suite.sharing_nats import MEMBERS, decided_per_s, target_of, until_available
from console.local.nats_process import NatsCluster
from data_sharing.clock import wall_ms
from data_sharing.database import Database
from data_sharing.decisions.instruction_factory import InstructionFactory
from data_sharing.decisions.worker import DecisionWorker
from data_sharing.replication import replica_tables
from data_sharing.replication.jetstream import connection
from data_sharing.replication.jetstream.changelog import JetStreamChangeLog
from data_sharing.replication.jetstream.leases import JetStreamLease
from data_sharing.replication.lease import LEASE_S, Holder, PartitionLease
from data_sharing.replication.replica import Replica
from data_sharing.replication.snapshots import Snapshots
from data_sharing.replication.takeover import Takeover
from homeport.api.datasharing.v1 import feed_pb2

EVENTS = 15_000  # of one partition
KEYS, IN_ONE_COMMIT = 1_000_000, 20_000
BEHIND = 10  # commits behind the snapshot
CONTENT = b"\x93" + bytes(60)  # of a key
SCHEMAS = (*DECIDING_SCHEMAS, replica_tables.SCHEMA)
START_S, END_S = 120.0, 600.0


def new_id() -> str:
    return secrets.token_hex(8)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


# -- four partitions on two workers --------------------------------------------------------


def main() -> None:
    """`python -m bench.suite.partitions_nats URLS MONITORING EVENTS PARTITION…`: says that it is
    ready, waits for a line, decides in each partition, and says from when to when."""
    urls, monitoring, count, *partitions = sys.argv[1:]
    events = messages(int(count))
    payloads = [
        feed_pb2.PublishBatchRequest(
            tenant="bench", events=events[start : start + BATCH]
        ).SerializeToString()
        for start in range(0, int(count), BATCH)
    ]
    target = target_of(urls.split(","), monitoring)

    async def decide() -> None:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            await asyncio.gather(
                *(
                    decided_per_s(
                        target, _made(Path(folder) / one), payloads, int(count), partition=one
                    )
                    for one in partitions
                )
            )

    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    asyncio.run(decide())
    print(json.dumps([began, time.monotonic()]), flush=True)


def events_per_s(cluster: NatsCluster, workers: Sequence[Sequence[str]], count: int) -> float:
    """Of all workers, each of which has these partitions."""
    with ExitStack() as running:
        started = [
            running.enter_context(
                subprocess.Popen(
                    [
                        sys.executable, "-m", "bench.suite.partitions_nats",
                        ",".join(cluster.urls), cluster.members[0].monitoring, str(count), *those,
                    ],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )
            for those in workers
        ]  # fmt: skip
        for one in started:
            running.callback(one.kill)
            if one.stdout is None or one.stdout.readline() != "ready\n":
                raise Failed("a worker did not start")
        spans = []
        for one in started:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        for one in started:
            out, _ = one.communicate(timeout=END_S)
            if one.returncode:
                raise Failed("a worker did not decide all of it")
            spans.append(json.loads(out))
        took = max(end for _, end in spans) - min(began for began, _ in spans)
        partitions = sum(len(those) for those in workers)
        return float(partitions * count / took)


# -- a rebalance ---------------------------------------------------------------------------


async def rebalance_s(cluster: NatsCluster, folder: Path, keys: int) -> float:
    """From when a worker was last heard of until its successor could decide, s."""
    target = target_of(cluster.urls, cluster.members[0].monitoring)
    partition = f"moved{new_id()}"
    client = await connection.connected(target)
    try:
        changelog = JetStreamChangeLog(client, target, partition)
        cell = JetStreamLease(client, target, partition)
        await changelog.open()
        await cell.open()
        await _filled(folder / "first.db", changelog, keys)
        holder = Holder("first", "")
        dead = PartitionLease(cell, holder, monotonic=time.monotonic, lease_s=LEASE_S)
        await dead.acquire()
        began = time.perf_counter()
        lease = PartitionLease(
            cell, Holder("second", ""), monotonic=time.monotonic, lease_s=LEASE_S
        )
        await lease.acquire()
        path = folder / "second.db"
        replica = Replica(changelog, owner="second", new_id=new_id)
        takeover = Takeover(path, SCHEMAS, changelog, new_id=new_id, wall_ms=wall_ms)
        await until_available(lambda: takeover.begin(replica))
        database = await Database.open(path, SCHEMAS, prepare=replica.prepare, gate=replica)
        try:
            worker = DecisionWorker(database, InstructionFactory(lambda *_: None), wall_ms=wall_ms)
            await worker.start()
            took = time.perf_counter() - began
            found = database.read(lambda db: db.execute("SELECT count(*) FROM cells").fetchone()[0])
            if found != keys + BEHIND:
                raise Failed(f"{found} keys of state came over, not {keys + BEHIND}")
            return took
        finally:
            await database.close()
    finally:
        await connection.close(client)


def _insert(db: sqlite3.Connection, rows: Sequence[tuple[str, str, str, str, bytes]]) -> None:
    columns = "tenant, kind, name, key, content"
    db.executemany(f"INSERT INTO cells ({columns}) VALUES (?, ?, ?, ?, ?)", rows)


async def _filled(path: Path, changelog: JetStreamChangeLog, keys: int) -> None:
    """A partition with so much state, a snapshot of it, and commits behind that."""
    replica = Replica(changelog, owner="first", new_id=new_id)
    takeover = Takeover(path, SCHEMAS, changelog, new_id=new_id, wall_ms=wall_ms)
    await until_available(lambda: takeover.begin(replica))
    database = await Database.open(path, SCHEMAS, prepare=replica.prepare, gate=replica)
    try:

        async def add(first: int, count: int) -> None:
            rows = [
                ("bench", "rule", "often", f"key-{number}", CONTENT)
                for number in range(first, first + count)
            ]
            await database.transact(lambda db: _insert(db, rows))

        for first in range(0, keys, IN_ONE_COMMIT):
            await add(first, min(IN_ONE_COMMIT, keys - first))
        await Snapshots(path, database, replica, changelog, new_id=new_id).make()
        for number in range(BEHIND):
            await add(keys + number, 1)
    finally:
        replica.end("its process died")
        await database.close()


# -- both ----------------------------------------------------------------------------------


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Alternates one and four partitions, each in streams of its own; then rebalances."""
    count = EVENTS // (5 if quick else 1)
    keys = KEYS // (10 if quick else 1)
    with (
        tempfile.TemporaryDirectory(dir=".", prefix=".bench-nats-") as servers,
        NatsCluster(Path(servers), members=MEMBERS) as cluster,
    ):
        for _ in range(rounds):
            names = [f"p{new_id()}" for _ in range(5)]
            one = events_per_s(cluster, [names[:1]], count)
            samples.add("decide_nats_1_partition_events_per_s", one)
            four = events_per_s(cluster, [names[1:3], names[3:]], count)
            samples.add("decide_nats_4_partitions_events_per_s", four)
            tick()
        with tempfile.TemporaryDirectory(dir=".") as folder:
            samples.add("rebalance_pause_s", asyncio.run(rebalance_s(cluster, Path(folder), keys)))
        tick()


PARTITIONS_NATS = Measurement(
    name="partitions on NATS",
    ratios=(
        Ratio(key="decide_4_partitions_vs_1", ours="decide_nats_4_partitions_events_per_s",
              ceiling="decide_nats_1_partition_events_per_s", target=None, paired=True),
    ),
    units={
        "decide_nats_1_partition_events_per_s": "events/s, one partition on one worker",
        "decide_nats_4_partitions_events_per_s": "events/s, four partitions on two workers",
        "rebalance_pause_s": "s without a worker, 1,000,000 keys of state (100,000 when quick)",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
    targets=(Target(figure="rebalance_pause_s", target=10.0, at_least=False),),
)  # fmt: skip


if __name__ == "__main__":
    main()
