"""Shared reads: who was shown what of the events of a transaction, counted before it is written."""

from __future__ import annotations

import sqlite3
from collections import Counter

from data_sharing.decisions import sharing_tables
from data_sharing.decisions.sharing_tables import ReadName
from data_sharing.event import Event
from data_sharing.rules.results import EvaluationResult
from data_sharing.sharing.field_view import AudienceRead

DAY_MS = 86_400_000


class SharedReads:
    """Of one transaction, whose events are accepted at one time."""

    __slots__ = ("_counts", "_day", "_reads")

    def __init__(self, now_ms: int) -> None:
        # By feed, and by the object that says who was shown what, of which there are few.
        self._counts: dict[tuple[str, str, int], int] = {}
        self._reads: dict[int, AudienceRead] = {}
        self._day = now_ms // DAY_MS

    def add(self, event: Event, decided: EvaluationResult) -> None:
        """One more event."""
        for read in decided.reads:
            self._reads[id(read)] = read
            place = event.tenant, event.type, id(read)
            self._counts[place] = self._counts.get(place, 0) + 1

    def write(self, db: sqlite3.Connection) -> None:
        """A row for each reader and field."""
        counts = Counter[ReadName]()
        for (tenant, feed, number), events in self._counts.items():
            audience, fields = self._reads[number]
            for reader in audience.readers:
                for field in fields:
                    name = ReadName(tenant, self._day, feed, reader, audience.purpose, field)
                    counts[name] += events
        if counts:
            sharing_tables.add_reads(db, counts)
