"""EventRecorder: counts what becomes of events that are published, by the way they went, and which
of them an outcome must follow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from google.protobuf.message import DecodeError

from homeport.api.datasharing.v1 import feed_pb2
from simulation.load.counts import MOST_DELAYS
from simulation.load.events.event_kinds import WAYS, EventKind, Way, kind_in, way_in
from simulation.load.recorder import Recorder

_REFUSING = {"HTTP status 429": "RESOURCE_EXHAUSTED", "HTTP status 503": "UNAVAILABLE"}
_RETRY_AFTER = re.compile(rb"\r\nretry-after: *(\d{1,5})\b", re.IGNORECASE)


class EventRecorder(Recorder):
    """cpu_s: processor time that this process has used so far."""

    def __init__(self, cpu_s: Callable[[], float]) -> None:
        super().__init__(cpu_s, WAYS)

    def sent(self, kind: int, late_s: float, *, again: bool) -> None:
        """A call went out."""
        super().sent(way_in(kind), late_s, again=again)

    def answered(self, kind: int, answer: bytes, latency_s: float) -> None:
        """An event is kept, and decided."""
        way = way_in(kind)
        if not position_in(way, answer):
            self.now.failed["no position"] += 1
            return
        self.now.good[WAYS[way]] += 1
        self.keep_latency(way, latency_s)
        if kind_in(kind) is EventKind.INVOKING:
            self.now.outcomes_due += 1

    def ended(self, kind: int, error: str, trailers: bytes) -> float | None:
        """A call ended otherwise; when its user was told to come back, in seconds."""
        way = way_in(kind)
        status = _REFUSING.get(error)
        if way is Way.GRPC or status is None:
            return super().ended(way, error, trailers)
        now, told = self.now, _RETRY_AFTER.search(trailers)
        now.refused[status] += 1
        now.refused_kinds[WAYS[way]] += 1
        if told is None:
            now.silent += 1
            return None
        if len(now.delays_s) < MOST_DELAYS:
            now.delays_s.append(float(told[1]))
        return float(told[1])


def position_in(way: Way, answer: bytes) -> int:
    """The position of an event, above 0, as its answer says it; 0: it says none."""
    try:
        if way is Way.HTTP:
            return int(json.loads(answer)["position"])
        return int(feed_pb2.PublishEventResponse.FromString(answer).position)
    except (ValueError, KeyError, TypeError, DecodeError):
        return 0
