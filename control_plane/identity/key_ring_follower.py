"""KeyRingFollower: the ticket keys a server uses, kept in step with where they come from.

A file that operators hand out is read once. Without one the ring is the store's, made by
whichever server comes first; this server then follows it, so that a rotation reaches it, and
may begin with the ring of a snapshot until the store is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from control_plane import keys
from control_plane.errors import InvalidInput
from control_plane.identity.key_wrapping import Wrapping
from control_plane.identity.keyring import (
    IN_STORE,
    PLAIN,
    KeyRing,
    decode_ring,
    load_or_create,
    read_ring,
)
from control_plane.store.port import KeyValue, OutcomeUnknown, Store, StoreUnavailable
from control_plane.store.replica import Replica

log = logging.getLogger(__name__)

RETRY_S = 0.5


class KeyRingFollower:
    """`start` or `restore`, then `run`, a task of the owner's. path None: the store's ring.
    wall: Unix seconds; random(n): n bytes from a cryptographic source."""

    def __init__(
        self,
        store: Store,
        path: Path | None,
        *,
        wall: Callable[[], float],
        random: Callable[[int], bytes],
        wrapping: Wrapping = PLAIN,
    ) -> None:
        """wrapping: how the ring is kept, wherever that is."""
        self.wrapping = wrapping
        self._store = store
        self._path = path
        self._wall = wall
        self._random = random
        self._ring: KeyRing | None = None
        self._subscribers: list[Callable[[KeyRing], None]] = []
        self._replica = Replica(store, keys.KEY_RING, self._decode, self._changed, keeps_pairs=True)

    def subscribe(self, notify: Callable[[KeyRing], None]) -> None:
        """From now on calls `notify` with each ring that takes the place of another."""
        self._subscribers.append(notify)

    @staticmethod
    def check(pairs: Iterable[KeyValue], path: Path | None, wrapping: Wrapping = PLAIN) -> None:
        """Raises InvalidInput where a server could not begin with these records of a
        snapshot: they hold no usable ring, and there is no file of keys."""
        if path is None:
            found = [pair for pair in pairs if pair.key == keys.KEY_RING]
            if not found:
                raise InvalidInput(
                    "snapshot", "it holds no ticket keys; give them with --master-key-file"
                )
            decode_ring(found[0].value, "the snapshot", wrapping)

    @property
    def from_file(self) -> bool:
        """Whether the keys come from a file, and the store's ring is not looked at."""
        return self._path is not None

    @property
    def ring(self) -> KeyRing:
        """The keys to use."""
        assert self._ring is not None, "start or restore comes first"
        return self._ring

    @property
    def replicas(self) -> tuple[Replica[Any], ...]:
        """What a snapshot must hold of it; nothing where the keys come from a file."""
        return () if self._path is not None else (self._replica,)

    async def start(self) -> None:
        """Reads the ring, and makes it where there is none. Raises InvalidInput,
        StoreUnavailable, OutcomeUnknown."""
        if self._path is not None:
            self._ring = await asyncio.to_thread(read_ring, self._path, self.wrapping)
            return
        await load_or_create(
            self._store,
            path=None,
            now=self._wall(),
            random=self._random,
            wrapping=self.wrapping,
        )
        await self._replica.start()

    def restore(self, pairs: Iterable[KeyValue]) -> None:
        """Uses the ring of the file, or that of a snapshot that `check` has passed, unless
        there is one already. Raises InvalidInput for the file."""
        if self._path is not None:
            self._ring = self._ring or read_ring(self._path, self.wrapping)
        else:
            self._replica.restore(pairs)

    async def run(self) -> None:
        """Follows the store's ring for ever."""
        if self._path is not None:
            return
        while not self._replica.listed:
            try:
                await self.start()
            except (StoreUnavailable, OutcomeUnknown):
                await asyncio.sleep(RETRY_S)
        await self._replica.run()

    def _changed(self, name: str, ring: KeyRing | None) -> None:
        if ring is None:
            log.error("%s is gone or damaged; keeping the keys in use", IN_STORE)
        elif ring != self._ring:
            self._ring = ring
            for notify in self._subscribers:
                notify(ring)

    def _decode(self, pair: KeyValue) -> KeyRing:
        return decode_ring(pair.value, IN_STORE, self.wrapping)
