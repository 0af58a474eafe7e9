"""Replica: the records under one prefix, decoded, in memory, kept in step by a watch.

`start` lists once; `run`, a task of the owner's, follows. When the watch cannot go on from
where it was (the history is compacted) it lists again and reports what differs, so a reader
never has to know. One that was restored from an earlier sight instead lists as soon as the
store is there. A record that cannot be decoded is left out and reported once, and so is one under
a key that nobody of us wrote; the others live on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from control_plane.errors import ServiceError
from control_plane.printable import quoted
from control_plane.store.damaged import UNREADABLE, name_in, shown_key
from control_plane.store.port import Compacted, KeyValue, Store, StoreUnavailable, range_all

log = logging.getLogger(__name__)

T = TypeVar("T")
RETRY_S = 0.5


class Replica(Generic[T]):
    """Names are keys without the prefix. `on_change(name, record)` is called for each
    change, in order, with None for what has gone. keeps_pairs: whether the records are kept
    as stored, too, so that a snapshot can be made of them."""

    def __init__(
        self,
        store: Store,
        prefix: bytes,
        decode: Callable[[KeyValue], T],
        on_change: Callable[[str, T | None], None] = lambda name, record: None,
        *,
        clock: Callable[[], float] = lambda: 0.0,
        keeps_pairs: bool = False,
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._decode = decode
        self._on_change = on_change
        self._clock = clock
        self._items: dict[str, T] = {}
        self._pairs: dict[str, KeyValue] | None = {} if keeps_pairs else None
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.revision = 0
        self.synced_at = 0.0  # when `revision` was last confirmed, by `clock`
        self.damaged: set[bytes] = set()  # keys of the records that cannot be read now
        self.listed = False  # whether the store itself was read; False: nothing, or restored
        self.changes = 0  # seen so far

    @property
    def prefix(self) -> str:
        """What the keys of the records begin with."""
        return self._prefix.decode()

    @property
    def items(self) -> Mapping[str, T]:
        """The records as of `revision`, by name: one mapping, which follows."""
        return self._items

    def damaged_keys(self) -> Iterator[str]:
        """The keys of the records that cannot be read now."""
        return map(shown_key, sorted(self.damaged))

    @property
    def pairs(self) -> Iterable[KeyValue]:
        """The records as they are stored; none where pairs are not kept."""
        return (self._pairs or {}).values()

    async def start(self) -> None:
        """Reads everything. Raises StoreUnavailable."""
        await self._list()

    def restore(self, pairs: Iterable[KeyValue]) -> None:
        """Takes over what was seen earlier, unless the store itself has been read. Pairs of
        other prefixes are passed over."""
        if not self.listed:
            for pair in pairs:
                if pair.key.startswith(self._prefix):
                    self._take(pair, gone=False)

    def begin_anew(self) -> None:
        """The store is another one, whose revisions have nothing to do with those seen: it is
        listed by the next `run`, and until then the records stay. Not while `run` is under way."""
        self.listed = False
        self.revision = 0

    async def run(self) -> None:
        """Follows the store for ever."""
        if not self.listed:
            await self._list_when_there()
        while True:
            try:
                async for batch in self._store.watch(self._prefix, from_revision=self.revision + 1):
                    for event in batch.events:
                        self._take(event.kv, gone=event.deleted)
                    self._reached(batch.revision)
            except Compacted:
                log.info("history of %s is compacted; listing again", self._prefix.decode())
            # However a watch ended, its position may be lost: list, then go on from there.
            await self._list_when_there()

    async def wait_for_revision(self, revision: int, *, timeout_s: float) -> bool:
        """Whether everything up to `revision` was seen within the time."""
        if self.revision >= revision:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((revision, waiter))
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            return False
        return True

    async def _list(self) -> None:
        page = await range_all(self._store, self._prefix)
        names = {self._name(pair.key) for pair in page.items}
        self.damaged &= {pair.key for pair in page.items}
        if self._pairs is not None:
            self._pairs = {name: pair for name, pair in self._pairs.items() if name in names}
        for name in [name for name in self._items if name not in names]:
            del self._items[name]
            self.changes += 1
            self._on_change(name, None)
        for pair in page.items:
            self._take(pair, gone=False)
        self.listed = True
        self._reached(page.revision)

    async def _list_when_there(self) -> None:
        while True:
            try:
                return await self._list()
            except (StoreUnavailable, Compacted):  # the latter: history went between two pages
                await asyncio.sleep(RETRY_S)

    def _name(self, key: bytes) -> str | None:
        """What follows the prefix; empty for a replica of one key."""
        return "" if key == self._prefix else name_in(key, self._prefix)

    def _take(self, pair: KeyValue, *, gone: bool) -> None:
        self.changes += 1
        was_damaged = pair.key in self.damaged
        self.damaged.discard(pair.key)
        name = self._name(pair.key)
        if name is None:
            if not gone:
                self.damaged.add(pair.key)
                if not was_damaged:
                    log.error("leaving out a record under a key not of ours: %s", quoted(pair.key))
            return
        if self._pairs is not None:
            if gone:
                self._pairs.pop(name, None)
            else:
                self._pairs[name] = pair
        if gone:
            if self._items.pop(name, None) is not None:
                self._on_change(name, None)
            return
        try:
            record = self._decode(pair)
        except (ServiceError, *UNREADABLE) as error:
            self.damaged.add(pair.key)
            if not was_damaged:
                log.error("leaving out a damaged record: %s", error)
            if self._items.pop(name, None) is not None:
                self._on_change(name, None)
            return
        known = self._items.get(name)
        if known is None or known != record:
            self._items[name] = record
            self._on_change(name, record)

    def _reached(self, revision: int) -> None:
        self.revision = max(self.revision, revision)
        self.synced_at = self._clock()
        if self._waiters:
            for wanted, waiter in self._waiters:
                if wanted <= self.revision and not waiter.done():
                    waiter.set_result(None)
            self._waiters = [w for w in self._waiters if not w[1].done()]
