"""Watermarks: how far event time has come at one key of a rule, and what is too late for it.

Time is the events' own. The newest time that a key has seen, less what is allowed, is its
watermark: an event behind it is late. Each key of each rule has its own, so that a producer whose
clock runs ahead makes nobody late at other keys; and a time that is further ahead of the
service's clock than the rule allows moves no watermark at all. Pure, and no state of its own: who
keeps a key keeps its newest time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

LateThen: TypeAlias = Literal["drop", "dead_letter", "decide"]

AHEAD_MS = 300_000  # of the service's clock, where a rule says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Lateness:
    """What a rule allows. allowed_ms: how much older than the newest of its key an event may be;
    ahead_ms: how far ahead of the clock an event may be and still count as the newest; then: what
    becomes of an event that is too late."""

    allowed_ms: int = 0
    ahead_ms: int = AHEAD_MS
    then: LateThen = "drop"

    def watermark(self, newest_ms: int) -> int:
        """Of a key whose newest time is that: events before it are late."""
        return newest_ms - self.allowed_ms

    def late_by(self, newest_ms: int, time_ms: int) -> int:
        """By how much an event is behind the watermark, in ms; 0: it is not late."""
        return max(0, self.watermark(newest_ms) - time_ms)

    def ahead_by(self, time_ms: int, now_ms: int) -> int:
        """By how much an event is further ahead of the clock than it may be, in ms; 0: it is
        not."""
        return max(0, time_ms - now_ms - self.ahead_ms)

    def newest(self, newest_ms: int, time_ms: int, now_ms: int) -> int:
        """The newest time of a key, once an event of that time has come to it. It never goes
        back."""
        if time_ms <= newest_ms or self.ahead_by(time_ms, now_ms):
            return newest_ms
        return time_ms


PUNCTUAL = Lateness()  # of a rule that says nothing
