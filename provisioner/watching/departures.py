"""DepartureFeed: tells the agents that beat on this server which clients have left their unit.

A line begins with a list of all departures that still matter, in pages, and goes on with the
feed. What an agent has not taken yet is kept by client, so the newest counts, and up to a
bound; past that the line lists again. Telling a departure twice does no harm: the agent keeps
the highest epoch.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from control_plane import keys
from provisioner.ledger.client_keys import ClientKeys
from provisioner.ledger.departure import (
    DepartureRecord,
    decode_departure,
    split_departure_key,
)

log = logging.getLogger(__name__)

PAGE = 1_000  # departures in one message: some 100 kB
KEPT = 20_000  # not taken yet, of one line; past that it is cheaper to list again


class Left(NamedTuple):
    """A client that left the line's unit."""

    tenant: str
    client_id: str
    departure: DepartureRecord


class Stream:
    """One agent's. `news` is set while there is something to take."""

    def __init__(self, store: ClientKeys, unit_id: str) -> None:
        self._store = store
        self._prefix = keys.move(unit_id, "", "").removesuffix(b"/")
        self._waiting: dict[str, DepartureRecord] = {}
        self._listing = True
        self._listed_to: bytes | None = None
        self._round = 0  # how often the list was begun anew
        self.news = asyncio.Event()
        self.news.set()

    def note(self, client: str, departure: DepartureRecord) -> None:
        """It has left just now."""
        self._waiting.pop(client, None)
        self._waiting[client] = departure
        if len(self._waiting) > KEPT:
            self.begin()
        self.news.set()

    def begin(self) -> None:
        """Everything that still matters is to be told anew."""
        self._waiting.clear()
        self._listing, self._listed_to = True, None
        self._round += 1
        self.news.set()

    async def take(self) -> Sequence[Left]:
        """The next departures, a page at most; `news` says whether there are more. Raises
        StoreUnavailable, and then nothing is lost."""
        if self._listing:
            return await self._list()
        names = list(self._waiting)[:PAGE]
        left = []
        for name in names:
            tenant, _, client_id = name.partition("/")
            left.append(Left(tenant, client_id, self._waiting.pop(name)))
        if not self._waiting:
            self.news.clear()
        return left

    async def _list(self) -> Sequence[Left]:
        # What is written behind the place the list has come to is told by the feed.
        of_round = self._round
        page = await self._store.range(self._prefix, start_after=self._listed_to, limit=PAGE)
        if self._round != of_round:
            return ()  # begun anew meanwhile
        left = []
        for pair in page.items:
            _, tenant, client_id = split_departure_key(pair.key)
            try:
                left.append(Left(tenant, client_id, decode_departure(pair.value)))
            except msgspec.MsgspecError as error:
                log.error("leaving out the damaged departure %r: %s", pair.key, error)
        if page.more:
            self._listed_to = page.items[-1].key
        else:
            self._listing, self._listed_to = False, None
            if not self._waiting:
                self.news.clear()
        return left


class DepartureFeed:
    """One per server; a Listener of its feed."""

    def __init__(self, store: ClientKeys) -> None:
        self._store = store
        self._lines: dict[str, list[Stream]] = {}

    def open(self, unit_id: str) -> Stream:
        """A line for the unit's agent; `close` it."""
        line = Stream(self._store, unit_id)
        self._lines.setdefault(unit_id, []).append(line)
        return line

    def close(self, unit_id: str, line: Stream) -> None:
        """Nobody takes from it any more."""
        lines = self._lines[unit_id]
        lines.remove(line)
        if not lines:
            del self._lines[unit_id]

    def departed(self, unit: str, client: str, departure: DepartureRecord, revision: int) -> None:
        """See feed.Listener."""
        for line in self._lines.get(unit, ()):
            line.note(client, departure)

    def released(self, client: str, revision: int) -> None:
        """See feed.Listener: nothing that a unit must know, because the client gave its home
        up itself."""

    def reached(self, revision: int) -> None:
        """See feed.Listener."""

    def gap(self, revision: int) -> None:
        """See feed.Listener."""
        for lines in self._lines.values():
            for line in lines:
                line.begin()
