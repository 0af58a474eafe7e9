"""DepartureFeed: which clients have left a unit, for the agents with a heartbeat stream here.

A stream begins with a list of all departures that still matter, in pages, and goes on with the
feed. What has not been sent yet is kept by client, so the newest counts, and up to a bound;
past that the stream lists again. Sending a departure twice does no harm: the agent keeps the
highest epoch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from control_plane import keys
from control_plane.printable import quoted
from control_plane.store.damaged import UNREADABLE
from provisioner.ledger.client_keys import ClientKeys
from provisioner.ledger.departure import (
    DepartureRecord,
    decode_departure,
    split_departure_key,
)

log = logging.getLogger(__name__)

PAGE = 1_000  # departures in one message: some 100 kB
MAX_WAITING = 20_000  # not sent yet, of one stream; past that it is cheaper to list again


class ClientDeparture(NamedTuple):
    """A client that left the stream's unit."""

    tenant: str
    client_id: str
    departure: DepartureRecord


class DepartureStream:
    """The departures of one unit, for one agent. `ready` is set while there are some."""

    def __init__(self, store: ClientKeys, unit_id: str) -> None:
        self._store = store
        self._prefix = keys.move(unit_id, "", "").removesuffix(b"/")
        self._waiting: dict[str, DepartureRecord] = {}
        self._listing = True
        self._listed_to: bytes | None = None
        self._listings = 0  # how often the list was begun anew
        self.ready = asyncio.Event()
        self.ready.set()

    def append(self, client: str, departure: DepartureRecord) -> None:
        """The client has left just now."""
        self._waiting.pop(client, None)
        self._waiting[client] = departure
        if len(self._waiting) > MAX_WAITING:
            self.relist()
        self.ready.set()

    def relist(self) -> None:
        """Everything that still matters is to be sent anew."""
        self._waiting.clear()
        self._listing, self._listed_to = True, None
        self._listings += 1
        self.ready.set()

    async def next_page(self) -> Sequence[ClientDeparture]:
        """The next departures, a page at most; `ready` says whether there are more. Raises
        StoreUnavailable, and then nothing is lost."""
        if self._listing:
            return await self._list()
        names = list(self._waiting)[:PAGE]
        left = []
        for name in names:
            tenant, _, client_id = name.partition("/")
            left.append(ClientDeparture(tenant, client_id, self._waiting.pop(name)))
        if not self._waiting:
            self.ready.clear()
        return left

    async def _list(self) -> Sequence[ClientDeparture]:
        # What is written behind the place the list has come to, the feed brings.
        listing = self._listings
        page = await self._store.range(self._prefix, start_after=self._listed_to, limit=PAGE)
        if self._listings != listing:
            return ()  # begun anew meanwhile
        left = []
        for pair in page.items:
            try:
                _, tenant, client_id = split_departure_key(pair.key)
                left.append(ClientDeparture(tenant, client_id, decode_departure(pair.value)))
            except UNREADABLE as error:
                log.error("leaving out the damaged departure %s: %s", quoted(pair.key), error)
        if page.more:
            self._listed_to = page.items[-1].key
        else:
            self._listing, self._listed_to = False, None
            if not self._waiting:
                self.ready.clear()
        return left


class DepartureFeed:
    """One per server; a MoveListener of its feed."""

    def __init__(self, store: ClientKeys) -> None:
        self._store = store
        self._streams: dict[str, list[DepartureStream]] = {}

    def open(self, unit_id: str) -> DepartureStream:
        """A stream for the unit's agent; `close` it."""
        stream = DepartureStream(self._store, unit_id)
        self._streams.setdefault(unit_id, []).append(stream)
        return stream

    def close(self, unit_id: str, stream: DepartureStream) -> None:
        """Nobody reads it any more."""
        streams = self._streams[unit_id]
        streams.remove(stream)
        if not streams:
            del self._streams[unit_id]

    def departed(self, unit: str, client: str, departure: DepartureRecord, revision: int) -> None:
        """See MoveListener."""
        for stream in self._streams.get(unit, ()):
            stream.append(client, departure)

    def released(self, client: str, revision: int) -> None:
        """See MoveListener: nothing that a unit must know, because the client gave its home
        up itself."""

    def reached(self, revision: int) -> None:
        """See MoveListener."""

    def gap(self, revision: int) -> None:
        """See MoveListener."""
        for streams in self._streams.values():
            for stream in streams:
                stream.relist()
