"""Shared reads: who was shown what of the events of a transaction, counted before it is written."""

from __future__ import annotations

import sqlite3
from collections import Counter

from data_sharing.decisions import sharing_tables
from data_sharing.decisions.sharing_tables import ReadName
from data_sharing.event import Event
from data_sharing.rules.results import AudienceRead, EvaluationResult

DAY_MS = 86_400_000


class SharedReads:
    """Of one transaction, whose events are accepted at one time."""

    __slots__ = ("_counts", "_day")

    def __init__(self, now_ms: int) -> None:
        self._counts: Counter[tuple[str, str, AudienceRead]] = Counter()
        self._day = now_ms // DAY_MS

    def add(self, event: Event, decided: EvaluationResult) -> None:
        """One more event."""
        for read in decided.reads:
            self._counts[event.tenant, event.type, read] += 1

    def write(self, db: sqlite3.Connection) -> None:
        """A row for each reader and field."""
        counts = Counter[ReadName]()
        for (tenant, feed, (audience, fields)), events in self._counts.items():
            for reader in audience.readers:
                for field in fields:
                    name = ReadName(tenant, self._day, feed, reader, audience.purpose, field)
                    counts[name] += events
        if counts:
            sharing_tables.add_reads(db, counts)
