"""SnapshotKeeper: writes down what a server knows, while the store confirms it.

Soon after a change, and now and then without one, so that the file tells how fresh it is.
What the store does not confirm is never written: a server that started from a snapshot would
else pass it on as new. A disk that is full or gone costs the snapshot and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from control_plane.store.port import Health, KeyValue
from control_plane.store.replica import Replica
from control_plane.store.snapshot import Snapshot, encode_snapshot, in_order, write_snapshot
from control_plane.store.status import StoreStatus

log = logging.getLogger(__name__)

POLL_S = 1.0
SHORTEST_S = 2.0  # at least so long between two writes
LONGEST_S = 60.0  # at most so long, while the store answers


class SnapshotKeeper:
    """`run` is a task of the owner's. clock: monotonic seconds. Replicas must keep pairs. also:
    records that are written along, whose changes are no reason to write: they may be older than
    the rest, and say themselves of when they are."""

    def __init__(
        self,
        path: Path,
        replicas: Sequence[Replica[Any]],
        store_status: StoreStatus,
        health: Health,
        *,
        endpoints: Sequence[str],
        clock: Callable[[], float],
        also: Callable[[], Iterable[KeyValue]] = tuple,
        write: Callable[[Path, bytes], None] = write_snapshot,
    ) -> None:
        self.path = path
        self._replicas = tuple(replicas)
        self._store_status = store_status
        self._health = health
        self._endpoints = tuple(endpoints)
        self._clock = clock
        self._also = also
        self._write = write
        self._written_at = -LONGEST_S
        self._changes = -1  # as of the last write
        self._behind_since: float | None = None
        self._failing = False
        self.written = 0
        self.failed = 0

    @property
    def age_s(self) -> float:
        """How long the file has not held all that the server knows; 0: it does."""
        return 0.0 if self._behind_since is None else self._clock() - self._behind_since

    async def write_if_due(self) -> None:
        """Writes if it is time to; `run` does it every second."""
        if not self._store_status.current:
            return
        now, changes = self._clock(), sum(replica.changes for replica in self._replicas)
        if changes != self._changes and self._behind_since is None:
            self._behind_since = now
        since_s = now - self._written_at
        if since_s < SHORTEST_S or (changes == self._changes and since_s < LONGEST_S):
            return
        self._written_at = now  # also where it fails: a full disk is not tried in a loop
        content = encode_snapshot(self._snapshot())
        try:
            await asyncio.to_thread(self._write, self.path, content)
        except OSError as error:
            self.failed += 1
            if not self._failing:
                log.error("cannot write the snapshot %s: %s", self.path, error)
            self._failing = True
            return
        self.written += 1
        self._failing = False
        self._changes, self._behind_since = changes, None

    async def run(self) -> None:
        """Keeps the file for ever."""
        while True:
            await self.write_if_due()
            await asyncio.sleep(POLL_S)

    def _snapshot(self) -> Snapshot:
        pairs: Iterable[KeyValue] = (p for replica in self._replicas for p in replica.pairs)
        return Snapshot(
            cluster=self._health.cluster,
            endpoints=self._endpoints,
            confirmed_at=self._store_status.as_of,
            revision=self._health.last_revision,
            pairs=in_order([*pairs, *self._also()]),
        )
