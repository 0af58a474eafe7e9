"""Event: a CloudEvent as the whole decision side sees it, whatever format it came in.

A plain value that crosses every layer: feeds make it, rules read it, decisions name it as a
cause. Formats, validation and where it is kept are the feeds' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True):
    """One accepted event. A msgspec.Struct, because tens of thousands a second are made: it
    takes a third of the time of a named tuple."""

    tenant: str
    source: str  # CloudEvents `source`: application that said it; with `id` names the event
    id: str
    type: str  # CloudEvents `type`: names the feed
    key: str  # what the feed is about, e.g. a user or a road; order is kept per key
    time_ms: int  # when it happened, Unix ms; the time of acceptance where the producer gave none
    data: Mapping[str, Any]  # decoded JSON object, conforming to the feed's schema
    subject: str = ""  # CloudEvents `subject`
    position: int = 0  # in its log, growing by one; 0: not in a log yet
    trace: str = ""  # which it came in with (data_sharing.spans); not known once it was kept
    correlation: str = ""  # the flow that it is of, where something says so
    causation: str = ""  # id of the event or instruction that led to it; empty: not known
    hops: int = 0  # decisions that came before it in its flow

    @property
    def correlation_id(self) -> str:
        """The flow that it is of: with an event that names none, one begins."""
        return self.correlation or self.id
