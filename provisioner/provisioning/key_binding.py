"""KeyBinder: binds a key to a client that has none, once the client has proved itself otherwise.

Clients of earlier versions, and those that a gateway made, come without a key. Off the path of the
call, and only where the record is what it was when the proof was held against it: what cannot be
written now is written when the client proves itself again.
"""

from __future__ import annotations

import logging
from asyncio import Event
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from control_plane.errors import ServiceError
from control_plane.store.port import Compare, KeyValue, Put, Store, Txn, unchanged
from provisioner.ledger.assignment import with_key

log = logging.getLogger(__name__)

MOST_WAITING = 10_000


class RecordStore(NamedTuple):
    """Where a client is written now, and what has to hold there besides."""

    store: Store
    compares: Sequence[Compare] = ()


FindStore: TypeAlias = Callable[[bytes], RecordStore | None]
"""By the key of an assignment; None: it is written nowhere now, its shard moves."""


class KeyBinder:
    """One per server; `run` is a task of the owner's. bound: how many were, since the start."""

    def __init__(self, find_store: FindStore) -> None:
        self._find_store = find_store
        self._waiting: deque[tuple[KeyValue, str]] = deque()
        self._wake = Event()
        self.bound = 0

    def bind(self, found: KeyValue, key: str) -> None:
        """found: the client's record, as the proof was held against it; key: the digest shown.
        Where too many wait it is passed over."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append((found, key))
            self._wake.set()

    async def run(self) -> None:
        """Works for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._bind(*self._waiting.popleft())

    async def _bind(self, found: KeyValue, key: str) -> None:
        where = self._find_store(found.key)
        if where is None:
            return
        try:
            result = await where.store.commit(
                Txn(
                    compares=[*where.compares, unchanged(found.key, found.mod_revision)],
                    then=[Put(found.key, with_key(found.value, key))],
                )
            )
        except ServiceError as error:
            log.info("a client's key could not be bound now: %s", error.message)
            return
        self.bound += result.succeeded
