"""StoreWatches: sends every watch what happened, from the tables, as far as it has got.

A watcher holds a position and nothing else; events are read when it asks for them. So a
slow one costs no memory and holds up nobody, and one that begins in the past is no special
case. Commits wake only watchers whose prefix they touched; the others' position moves on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice

from control_plane.store.embedded.tables import StoreReader
from control_plane.store.port import Compacted, Event, WatchBatch

AT_ONCE = 10_000  # events read for one batch, more only where one revision has more


class _Watch:
    def __init__(self, prefix: bytes, position: int) -> None:
        self.prefix = prefix
        self.position = position  # everything up to here was told
        self.behind = True  # whether there may be something past the position
        self.wake = asyncio.Event()
        self.closed = False


class StoreWatches:
    """All watchers of one store. `compacted_at` gives the revision compacted last."""

    def __init__(self, reader: StoreReader, compacted_at: Callable[[], int]) -> None:
        self._reader = reader
        self._compacted_at = compacted_at
        self._watchers: set[_Watch] = set()
        self.revision = 0

    def committed(self, revision: int, touched: Iterable[bytes]) -> None:
        """Everything up to `revision` is on disk; `touched` are the first bytes of the keys
        it changed since the last time."""
        self.revision = revision
        if not self._watchers:
            return
        starts = list(touched)
        for watcher in self._watchers:
            prefix = watcher.prefix
            if any(s.startswith(prefix[: len(s)]) or prefix.startswith(s) for s in starts):
                watcher.behind = True
                watcher.wake.set()
            elif not watcher.behind:
                watcher.position = revision

    def compacted(self) -> None:
        """Watchers that are behind the compaction must hear of it."""
        for watcher in self._watchers:
            if watcher.behind:
                watcher.wake.set()

    def close(self) -> None:
        """Ends every watch."""
        for watcher in self._watchers:
            watcher.closed = True
            watcher.wake.set()

    async def watch(self, prefix: bytes, from_revision: int) -> AsyncIterator[WatchBatch]:
        """See Store.watch."""
        watcher = _Watch(prefix, max(0, from_revision - 1))
        self._watchers.add(watcher)
        try:
            while not watcher.closed:
                if watcher.position < self.revision and watcher.behind:
                    if watcher.position < self._compacted_at():
                        raise Compacted(self._compacted_at())
                    batch = self._read(watcher)
                    watcher.position = batch.revision
                    yield batch
                    continue
                watcher.behind = False
                watcher.wake.clear()
                await watcher.wake.wait()
        finally:
            self._watchers.discard(watcher)

    def _read(self, watcher: _Watch) -> WatchBatch:
        """The next events, whole revisions only."""
        upto = self.revision
        found = self._reader.events(watcher.prefix, watcher.position, upto)
        events: list[Event] = list(islice(found, AT_ONCE))
        if len(events) == AT_ONCE:
            last = events[-1].kv.mod_revision
            for event in found:
                if event.kv.mod_revision != last:
                    upto = last
                    break
                events.append(event)
        return WatchBatch(events=events, revision=upto)
