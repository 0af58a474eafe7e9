"""ReadReplica: what a server remembers of keys that it has read, kept right by one watch.

It holds the keys that were asked for last, and that one was absent as well: a watch that hears of
all changes makes both safe. A change has the key forgotten, and read again when somebody asks.
While the watch is not where it should be nothing is remembered; while the store is away what is
remembered is answered as stale, and anything else not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from control_plane.store.port import (
    MAX_OPERATIONS,
    Compacted,
    Event,
    Get,
    KeyValue,
    Store,
    StoreUnavailable,
    Txn,
)

log = logging.getLogger(__name__)

MOST = 1_000_000  # keys: some 600 bytes each
RETRY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaRead:
    """pairs: in the order of the keys, None: absent. revision: for which all of it stands. stale:
    the store is away, and this is what was known."""

    pairs: Sequence[KeyValue | None]
    revision: int
    stale: bool = False


class ReadReplica:
    """Use from one event loop; `run` is a task of the owner's. prefix: what is watched. concerns:
    which keys a change makes uncertain. keeps_absent: whether a key that comes to be is heard
    of. heard: is told each of those keys, as the change is heard of, and None where some may not
    be."""

    def __init__(
        self,
        store: Store,
        prefix: bytes,
        concerns: Callable[[Event], Iterable[bytes]],
        *,
        keeps_absent: bool = True,
        most: int = MOST,
        heard: Callable[[bytes | None], None] | None = None,
    ) -> None:
        self._heard = heard or (lambda key: None)
        self._store = store
        self._prefix = prefix
        self._concerns = concerns
        self._keeps_absent = keeps_absent
        self._most = most
        self._known: OrderedDict[bytes, KeyValue | None] = OrderedDict()
        # Keys that are being read now: by how many, and the last change heard of meanwhile.
        self._reading: dict[bytes, tuple[int, int]] = {}
        self._watching = False
        self.revision = 0  # up to which the watch has heard of everything
        self.hits = self.misses = 0

    def __len__(self) -> int:
        return len(self._known)

    async def run(self) -> None:
        """Follows the store for ever."""
        while True:
            try:
                page = await self._store.range(self._prefix, limit=1, keys_only=True)
            except StoreUnavailable:
                await asyncio.sleep(RETRY_S)
                continue
            self.revision, self._watching = page.revision, True
            self._heard(None)  # what is read from here on, and what is heard, leave nothing out
            try:
                async for batch in self._store.watch(self._prefix, from_revision=page.revision + 1):
                    for event in batch.events:
                        self._hear(event)
                    self.revision = max(self.revision, batch.revision)
            except Compacted:
                log.info("history of %s is compacted; forgetting what was read", self._prefix)
            finally:
                self._forget()

    def remembered(self, keys: Sequence[bytes]) -> ReplicaRead | None:
        """These keys, without asking the store; None: not all of them are known."""
        known, pairs = self._known, []
        for key in keys:
            if key not in known:
                return None
            known.move_to_end(key)
            pairs.append(known[key])
        self.hits += 1
        stale = not self._store.health.connected
        return ReplicaRead(pairs=pairs, revision=self.revision, stale=stale)

    async def read(self, keys: Sequence[bytes], *, fresh: bool = False) -> ReplicaRead:
        """These keys, MAX_OPERATIONS at most. fresh: from the store. Raises StoreUnavailable where
        it is away and something is not known."""
        assert len(keys) <= MAX_OPERATIONS
        if not fresh and (found := self.remembered(keys)) is not None:
            return found
        self.misses += 1
        return await self._read(keys)

    async def _read(self, keys: Sequence[bytes]) -> ReplicaRead:
        begun = self._watching
        for key in keys:
            readers, changed = self._reading.get(key, (0, 0))
            self._reading[key] = (readers + 1, changed)
        try:
            result = await self._store.commit(Txn(then=[Get(key) for key in keys]))
            pairs = [found[0] if found else None for found in result.results]
            for key, pair in zip(keys, pairs, strict=True):
                # A change that was heard of before it was asked for is in the answer; one that was
                # heard of meanwhile may not be.
                if begun and self._watching and self._reading[key][1] <= result.revision:
                    self._keep(key, pair)
        finally:
            for key in keys:
                readers, changed = self._reading[key]
                if readers > 1:
                    self._reading[key] = (readers - 1, changed)
                else:
                    del self._reading[key]
        return ReplicaRead(pairs=pairs, revision=result.revision)

    def _keep(self, key: bytes, pair: KeyValue | None) -> None:
        if pair is None and not self._keeps_absent:
            return
        self._known[key] = pair
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def _hear(self, event: Event) -> None:
        for key in self._concerns(event):
            self._known.pop(key, None)
            if key in self._reading:
                readers, changed = self._reading[key]
                self._reading[key] = (readers, max(changed, event.kv.mod_revision))
            self._heard(key)

    def _forget(self) -> None:
        """The watch has lost its place: whatever is being read now is not kept either."""
        self._watching = False
        self._known.clear()
        self._reading = {key: (readers, 1 << 63) for key, (readers, _) in self._reading.items()}
