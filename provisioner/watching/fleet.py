"""FleetWatches: every stream that follows the fleet on this server.

While somebody watches, the fleet is read again whenever one of its records was written, half
a second's writes together, and compared with the reading before. A stream remembers one
number, the revision it sent last; what it sends next is what has changed since, so a slow one
costs nothing. Units are opaque here: `read` reads them and `fingerprint` compares them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from control_plane import keys
from control_plane.errors import Exhausted, HistoryGone, InvalidInput, ServiceError, Unavailable
from control_plane.store.port import Compacted, Store
from control_plane.supervision import Supervisor

log = logging.getLogger(__name__)

T = TypeVar("T")
FOLLOWED = (
    keys.UNITS,
    keys.LIVE,
    keys.AGENTS,
    keys.CAPACITY,
    keys.USAGE,
    keys.LIFECYCLE,
    keys.JOBS,
)
GATHER_S = 0.5  # writes that are read together
SHARE = 10  # a reading that takes long is followed by a pause so many times as long
KEEPALIVE_S = 15.0
OPEN_S = 5.0
RETRY_S = 0.5


class FleetChanges(NamedTuple, Generic[T]):
    """What changed up to `revision`; nothing: a keepalive."""

    units: list[T]
    removed: list[str]
    revision: int


class _ReadUnit(NamedTuple, Generic[T]):
    """A unit as it was read last."""

    unit: T
    fingerprint: bytes
    changed_at: int  # the revision at which it was first read so


class FleetWatches(Generic[T]):
    """One per server; `run` is a task of the owner's.

    read(revision): all units by id and the revision they were read at; 0: now; raises
    Compacted, Unavailable. fingerprint: equal for units that watchers need not tell apart.
    limit: streams at once. jitter: 0 to 1, new at each call. supervisor: of what `run` runs.
    """

    def __init__(
        self,
        store: Store,
        *,
        read: Callable[[int], Awaitable[tuple[Mapping[str, T], int]]],
        fingerprint: Callable[[T], bytes],
        limit: int,
        jitter: Callable[[], float],
        supervisor: Supervisor,
        keepalive_s: float = KEEPALIVE_S,
        gather_s: float = GATHER_S,
    ) -> None:
        self._store = store
        self._read = read
        self._fingerprint = fingerprint
        self._limit = limit
        self._jitter = jitter
        self._supervisor = supervisor
        self._keepalive_s = keepalive_s
        self._gather_s = gather_s
        self._streams = 0
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._units: dict[str, _ReadUnit[T]] = {}
        self._removed: dict[str, int] = {}  # at which revision
        self._revision = 0  # of the last reading
        self._current = False  # whether writes since that reading are noticed
        self._written = asyncio.Event()
        self._was_read = asyncio.Event()  # a new one for each reading
        self._closed = False

    def __len__(self) -> int:
        """Streams now."""
        return self._streams

    def close(self) -> None:
        """Ends every stream."""
        self._closed = True
        self._wake()

    async def stream(self, revision: int) -> AsyncGenerator[FleetChanges[T]]:
        """All units, or what changed since `revision`; then every change. Raises InvalidInput,
        HistoryGone, Exhausted, Unavailable."""
        if revision < 0:
            raise InvalidInput("revision", "revision is below 0; leave it out, or send the last")
        if self._streams >= self._limit:
            raise Exhausted(
                f"this server has {self._limit:,} watchers of the fleet, as many as it takes; "
                "try another one",
                retry_after_s=1.0 + 4.0 * self._jitter(),
            )
        self._register()
        try:
            changes = await self._first(revision)
            while True:
                yield changes
                changes = await self._next(changes.revision)
        finally:
            self._unregister()

    async def run(self) -> None:
        """Works for ever; only while somebody watches is there work."""
        while True:
            await self._wanted.wait()
            async with asyncio.TaskGroup() as group:
                keep = self._supervisor.keep
                tasks = [
                    group.create_task(keep("fleet following", partial(self._follow, prefix)))
                    for prefix in FOLLOWED
                ]
                tasks.append(group.create_task(keep("fleet reading", self._keep_reading)))
                await self._unwanted.wait()
                for task in tasks:
                    task.cancel()

    # -- streams -----------------------------------------------------------------------

    def _register(self) -> None:
        self._raise_if_closed()
        self._streams += 1
        self._unwanted.clear()
        self._wanted.set()

    def _unregister(self) -> None:
        self._streams -= 1
        if not self._streams:
            self._current = False
            self._wanted.clear()
            self._unwanted.set()

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise Unavailable(
                "this server is shutting down; watch again on another one",
                retry_after_s=0.2 + self._jitter(),
            )

    async def _first(self, revision: int) -> FleetChanges[T]:
        try:
            async with asyncio.timeout(OPEN_S):
                before = await self._fingerprints_at(revision)
                # At least as new as what the caller has seen, or it would be sent the past.
                if self._revision < revision:
                    self._written.set()
                while not self._current or self._revision < revision:
                    self._raise_if_closed()
                    await self._was_read.wait()
        except TimeoutError as error:
            raise Unavailable(
                "the fleet cannot be read now; try again", retry_after_s=0.5 + self._jitter()
            ) from error
        changed = [
            seen.unit for name, seen in self._units.items() if before.get(name) != seen.fingerprint
        ]
        removed = [name for name in before if name not in self._units]
        return FleetChanges(changed, removed, self._revision)

    async def _next(self, seen: int) -> FleetChanges[T]:
        """What has changed since `seen`, or nothing after a while."""
        try:
            async with asyncio.timeout(self._keepalive_s):
                while True:
                    self._raise_if_closed()
                    changes = self._changes_since(seen)
                    if changes.units or changes.removed:
                        return changes
                    await self._was_read.wait()
        except TimeoutError:
            return self._changes_since(seen)

    async def _fingerprints_at(self, revision: int) -> Mapping[str, bytes]:
        """Fingerprints of the units at that revision."""
        if not revision:
            return {}
        page = await self._store.range(keys.UNITS, limit=1, keys_only=True)
        if revision > page.revision:
            raise HistoryGone(
                f"the store has not come to revision {revision}; watch again without a revision"
            )
        try:
            units, _ = await self._read(revision)
        except Compacted as gone:
            raise HistoryGone(
                f"history before revision {gone.compact_revision} is compacted; watch again "
                "without a revision, and replace what you know"
            ) from gone
        return {name: self._fingerprint(unit) for name, unit in units.items()}

    def _changes_since(self, revision: int) -> FleetChanges[T]:
        changed = [seen.unit for seen in self._units.values() if seen.changed_at > revision]
        removed = [name for name, at in self._removed.items() if at > revision]
        return FleetChanges(changed, removed, self._revision)

    # -- following ---------------------------------------------------------------------

    async def _follow(self, prefix: bytes) -> None:
        """Notices every write under one prefix."""
        while True:
            try:
                page = await self._store.range(prefix, limit=1, keys_only=True)
                self._written.set()
                async for batch in self._store.watch(prefix, from_revision=page.revision + 1):
                    if batch.events:
                        self._written.set()
            except Compacted:
                continue
            except ServiceError as error:
                log.info("cannot follow %s now: %s", prefix.decode(), error)
            await asyncio.sleep(RETRY_S)

    async def _keep_reading(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await self._written.wait()
            self._written.clear()
            began = clock()
            try:
                units, revision = await self._read(0)
            except (ServiceError, Compacted) as error:
                log.info("cannot read the fleet now: %s", error)
                self._written.set()
                await asyncio.sleep(RETRY_S)
                continue
            self._compare(units, revision)
            await asyncio.sleep(max(self._gather_s, SHARE * (clock() - began)))

    def _compare(self, units: Mapping[str, T], revision: int) -> None:
        for name in [name for name in self._units if name not in units]:
            del self._units[name]
            self._removed[name] = revision
        for name, unit in units.items():
            fingerprint = self._fingerprint(unit)
            seen = self._units.get(name)
            if seen is None or seen.fingerprint != fingerprint:
                self._units[name] = _ReadUnit(unit, fingerprint, revision)
                self._removed.pop(name, None)
        self._revision, self._current = revision, True
        self._wake()

    def _wake(self) -> None:
        was_read, self._was_read = self._was_read, asyncio.Event()
        was_read.set()
