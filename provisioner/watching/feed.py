"""MoveFeed: one watch of the store, from which all listeners of this server learn of moves.

It follows departures and releases (keys.WHO_LEFT), in revision order, and nothing else: most
writes are new assignments, which concern nobody who watches. Where history has a gap it says
so, and each listener reads the store anew, at a revision that the feed goes on from.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from control_plane import keys
from control_plane.errors import ServiceError
from control_plane.printable import quoted
from control_plane.store.damaged import UNREADABLE
from control_plane.store.port import Compacted, KeyValue, Store
from provisioner.ledger.departure import DepartureRecord, decode_departure, decode_released

log = logging.getLogger(__name__)

RETRY_S = 0.5


class MoveListener(Protocol):
    """Is called on the event loop, in revision order. `client`: `<tenant>/<client>`."""

    def departed(self, unit: str, client: str, departure: DepartureRecord, revision: int) -> None:
        """The client left the unit."""
        ...

    def released(self, client: str, revision: int) -> None:
        """The client has no home any more; its departure may come as well."""
        ...

    def reached(self, revision: int) -> None:
        """Everything up to `revision` has come."""
        ...

    def gap(self, revision: int) -> None:
        """What happened up to `revision` may not have come; from there on it will."""
        ...


class MoveFeed:
    """`run` is a task of the owner's. It sets `following` once it has a position: what is read
    from then on is not older than what will come."""

    def __init__(self, store: Store, *listeners: MoveListener, following: asyncio.Event) -> None:
        self._store = store
        self._listeners = listeners
        self._following = following
        self.damaged = 0

    async def run(self) -> None:
        """Follows the store for ever."""
        while True:
            revision = await self._position()
            for listener in self._listeners:
                listener.gap(revision)
            self._following.set()
            try:
                async for batch in self._store.watch(keys.WHO_LEFT, from_revision=revision + 1):
                    for event in batch.events:
                        if not event.deleted:  # a departure that ceases to matter is no news
                            self._notify(event.kv)
                    for listener in self._listeners:
                        listener.reached(batch.revision)
            except Compacted:
                log.info("the history of moves is compacted; reading anew")
            except ServiceError as error:
                log.warning("cannot follow moves: %s", error)
                await asyncio.sleep(RETRY_S)

    async def _position(self) -> int:
        """The store's revision now, however long it is away."""
        while True:
            try:
                page = await self._store.range(keys.RELEASED, limit=1, keys_only=True)
            except ServiceError:
                await asyncio.sleep(RETRY_S)
            else:
                return page.revision

    def _notify(self, pair: KeyValue) -> None:
        revision = pair.mod_revision
        try:
            if pair.key == keys.RELEASED:
                for client in decode_released(pair.value):
                    for listener in self._listeners:
                        listener.released(client, revision)
                return
            unit, _, client = pair.key[len(keys.MOVES) :].decode().partition("/")
            departure = decode_departure(pair.value)
        except UNREADABLE as error:
            self.damaged += 1
            log.error("leaving out the damaged departure %s: %s", quoted(pair.key), error)
            return
        for listener in self._listeners:
            listener.departed(unit, client, departure, revision)
