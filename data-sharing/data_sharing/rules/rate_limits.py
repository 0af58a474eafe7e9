"""Rate limits: how often a rule may fire within any stretch of a length, exactly.

A sliding window log: the times of the newest firings are kept, as many as the greatest limit
counts, so each firing is counted for exactly `per_ms` and there is no edge at which twice as many
go through. Pure; who keeps the times keeps them with what fired.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

MOST_FIRINGS = 1_000  # that a limit counts


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most so many firings in any `per_ms`. of_rule: at all keys together, else at each."""

    at_most: int
    per_ms: int
    of_rule: bool = False


class Exceeded(NamedTuple):
    """fired: within the limit's time; since_ms: the first of them; next_ms: when the next may
    be."""

    limit: RateLimit
    fired: int
    since_ms: int
    next_ms: int


def exceeded(limits: Sequence[RateLimit], fired_ms: Sequence[int], now_ms: int) -> Exceeded | None:
    """Of limits that one more firing now would exceed, the one that lasts longest; None: it may be.
    fired_ms: ascending."""
    found: Exceeded | None = None
    for limit in limits:
        first = bisect_right(fired_ms, now_ms - limit.per_ms)
        count = bisect_right(fired_ms, now_ms) - first
        if count < limit.at_most:
            continue
        next_ms = fired_ms[first + count - limit.at_most] + limit.per_ms
        if found is None or next_ms > found.next_ms:
            found = Exceeded(limit, count, fired_ms[first], next_ms)
    return found


def add(limits: Sequence[RateLimit], fired_ms: list[int], now_ms: int) -> None:
    """Counts a firing, and lets go of times that no limit counts any more."""
    insort(fired_ms, now_ms)
    longest_ms = max(limit.per_ms for limit in limits)
    most = max(limit.at_most for limit in limits)
    gone = max(len(fired_ms) - most, bisect_right(fired_ms, now_ms - longest_ms))
    del fired_ms[: max(0, gone)]
