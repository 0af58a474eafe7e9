"""Shared reads: who was shown what of decided events, counted before it is written."""

from __future__ import annotations

from collections import Counter

from data_sharing.decisions.sharing_tables import ReadName
from data_sharing.event import Event
from data_sharing.rules.results import EvaluationResult

DAY_MS = 86_400_000


def count(reads: Counter[ReadName], event: Event, decided: EvaluationResult, now_ms: int) -> None:
    """One more event for each reader and field."""
    day = now_ms // DAY_MS
    for audience, fields in decided.reads:
        for reader in audience.readers:
            for field in fields:
                reads[ReadName(event.tenant, day, event.type, reader, audience.purpose, field)] += 1
