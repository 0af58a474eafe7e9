"""The database of one data-sharing server: its own, or a partition's, once it has the lease of it.

With `feeds` a server waits for its partition, makes its file whole, begins its term, and then is a
server like any other, until another one has the partition. Without, the file is all there is.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from control_plane import faultpoints
from control_plane.errors import InvalidInput, Refused, Unavailable
from control_plane.private_files import private_folder
from control_plane.sqlite.schema import Schema
from control_plane.supervision import Supervisor, log_failure
from control_plane.telemetry.endpoint import MetricsEndpoint, Readiness
from data_sharing.api.partition_metrics import WaitingForPartition
from data_sharing.database import Database
from data_sharing.replication import replica_tables
from data_sharing.replication.lease import Holder, PartitionLease, acquire_any
from data_sharing.replication.partition_map import PartitionMap, name_of
from data_sharing.replication.replica import Replica
from data_sharing.replication.snapshots import Snapshots
from data_sharing.replication.takeover import Takeover
from data_sharing.settings import Settings
from homeport.partitions import partition_of

log = logging.getLogger("homeport")

RETRY_S = 1.0
LAST_S = 5.0  # for what waits for a changelog that is away, when the server stops


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedPartition:
    """What a server keeps everything in. tasks: of the owner's; each ends the server where it
    raises Conflict."""

    database: Database
    replica: Replica | None = None
    lease: PartitionLease | None = None
    snapshots: Snapshots | None = None
    term: int = 0
    file: Path  # of the database
    partitions: PartitionMap | None = None  # None: keys are not spread
    tasks: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)


@asynccontextmanager
async def opened_partition(
    settings: Settings,
    schemas: Sequence[Schema],
    *,
    stop: asyncio.Event,
    wall_ms: Callable[[], int],
    supervisor: Supervisor,
) -> AsyncIterator[OpenedPartition | None]:
    """None: told to stop before it was this server's turn; until then it is alive, not ready, and
    tells Prometheus that it waits. Raises ServiceError."""
    if not settings.feeds:
        database = await Database.open(settings.database_file, schemas)
        try:
            await _be_alone(database, detach=settings.feeds_detach)
            yield OpenedPartition(database=database, file=settings.database_file)
        finally:
            await database.close()
        return
    async with AsyncExitStack() as stack:
        async with told_as_waiting(settings.metrics_listen, supervisor):
            opened = await _take_over(settings, schemas, stack, stop, wall_ms)
        yield opened


@asynccontextmanager
async def told_as_waiting(listen: str, supervisor: Supervisor) -> AsyncIterator[None]:
    """Whoever looks whether the process is alive must not end one that waits for hours. Where the
    port is another's, as of the server that it waits for on the same machine, nobody is told."""
    endpoint = MetricsEndpoint(
        listen, WaitingForPartition(), supervisor, ready=lambda: Readiness.NOT_READY
    )
    try:
        endpoint.__enter__()
    except InvalidInput as error:
        log.warning("%s; until it serves nobody is told that it waits", error.message)
    try:
        yield
    finally:
        await asyncio.to_thread(endpoint.__exit__, None, None, None)


async def _be_alone(database: Database, *, detach: bool) -> None:
    if database.read(replica_tables.state_of) is None:
        return
    if not detach:
        raise Refused(
            "the database is a copy of a partition on NATS; name its servers with --feeds, or go "
            "on without them, once no server of the partition runs, with --feeds-detach"
        )
    await database.transact(replica_tables.detach)


async def _take_over(
    settings: Settings,
    schemas: Sequence[Schema],
    stack: AsyncExitStack,
    stop: asyncio.Event,
    wall_ms: Callable[[], int],
) -> OpenedPartition | None:
    try:
        from data_sharing.replication.jetstream import connection
        from data_sharing.replication.jetstream.changelog import JetStreamChangeLog
        from data_sharing.replication.jetstream.leases import JetStreamCount, JetStreamLease
    except ImportError as error:
        raise InvalidInput(
            "feeds", f"feeds on NATS need a client ({error}); install homeport-server[nats]"
        ) from error
    target = connection.JetStreamTarget(
        servers=settings.feeds,
        prefix=settings.feeds_prefix,
        replicas=settings.feeds_replicas,
        allow_fewer=settings.feeds_allow_fewer,
        monitoring=settings.feeds_monitoring,
        allow_unsynced=settings.feeds_allow_unsynced,
        credentials=settings.feeds_credentials,
        ca=settings.feeds_ca,
    )
    owner = secrets.token_hex(8)
    count = settings.feeds_partitions
    names = [settings.feeds_partition]
    if count > 1:
        names = [name_of(number, count) for number in range(count)]
    taken: list[tuple[JetStreamChangeLog, PartitionLease, int]] = []
    cells: list[JetStreamLease] = []

    async def acquire() -> None:
        """However long it takes. Raises Refused."""
        client = await _until_available(lambda: connection.connected(target))
        stack.push_async_callback(connection.close, client)
        fixed = JetStreamCount(client, target)
        await _until_available(fixed.open)
        await _until_available(lambda: fixed.agree(count))
        cells.extend(JetStreamLease(client, target, name) for name in names)
        holder = Holder(owner, settings.listen if count == 1 else "")
        leases = [
            PartitionLease(
                cell, holder, monotonic=time.monotonic, lease_s=settings.feeds_lease_s
            )
            for cell in cells
        ]  # fmt: skip
        order = _order(settings, names)
        log.info("waiting for the lease of partition %s", " or ".join(names))
        number = order[await acquire_any([leases[place] for place in order])]
        changelog = JetStreamChangeLog(client, target, names[number])
        await _until_available(changelog.open)
        await _until_available(lambda: fixed.agree(count))  # somebody else may have said it first
        taken.append((changelog, leases[number], number))

    if not await _unless_stopped(acquire(), stop):
        return None
    faultpoints.passing("takeover.leased")
    ((changelog, lease, partition),) = taken
    replica = Replica(changelog, owner=owner, new_id=lambda: secrets.token_hex(12))
    keeping = asyncio.create_task(lease.run(replica.end), name="partition lease")
    keeping.add_done_callback(log_failure)
    stack.push_async_callback(_cancelled, keeping)

    def new_id() -> str:
        return secrets.token_hex(8)

    path = settings.database_file
    partitions = None
    if count > 1:
        path = settings.partition_file(names[partition])
        await asyncio.to_thread(_made, path.parent)
        partitions = PartitionMap(cells, partition, partition_of)
    takeover = Takeover(path, schemas, changelog, new_id=new_id, wall_ms=wall_ms)
    number = await _until_available(lambda: takeover.begin(replica))
    log.info("term %d of partition %s begins", number, names[partition])
    database = await Database.open(path, schemas, prepare=replica.prepare, gate=replica)
    database.on_commit.append(lambda: faultpoints.passing("changelog.committed"))
    stack.push_async_callback(_closed, database, replica)
    snapshots = Snapshots(path, database, replica, changelog, new_id=new_id)
    stack.push_async_callback(_last_snapshot, snapshots, replica)
    return OpenedPartition(
        database=database,
        replica=replica,
        lease=lease,
        snapshots=snapshots,
        term=number,
        file=path,
        partitions=partitions,
        tasks={
            "partition": replica.run,
            "snapshots": snapshots.run,
            **({} if partitions is None else {"partitions": partitions.run}),
        },
    )


def _order(settings: Settings, names: Sequence[str]) -> list[int]:
    """In which order this server looks for a free one: first those of which it has a file, which
    need not come over whole; then from a place of its own on, so that servers begin apart."""
    if len(names) == 1:
        return [0]
    begin = secrets.randbelow(len(names))
    places = [(begin + place) % len(names) for place in range(len(names))]
    return sorted(places, key=lambda place: not settings.partition_file(names[place]).exists())


def _made(folder: Path) -> None:
    for one in (folder.parent, folder):
        private_folder(one)


async def _until_available(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    while True:
        try:
            return await work()
        except Unavailable as error:
            log.warning("%s; trying again", error.message)
            await asyncio.sleep(RETRY_S)


async def _unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Whether the work was done before."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return working.done()
    finally:
        await _cancelled(working)
        await _cancelled(stopping)


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _closed(database: Database, replica: Replica) -> None:
    """What waits for a changelog that is away does not wait for ever."""
    ending = asyncio.get_running_loop().call_later(
        LAST_S, replica.end, "it was stopped while the changelog was away"
    )
    try:
        await database.close()
    finally:
        ending.cancel()


async def _last_snapshot(snapshots: Snapshots, replica: Replica) -> None:
    """A worker that stops in order leaves one, of which also another version can be built."""
    if replica.waiting or replica.has_ended:
        return
    try:
        await snapshots.make()
    except Unavailable as error:
        log.warning("no snapshot was left: %s", error.message)
