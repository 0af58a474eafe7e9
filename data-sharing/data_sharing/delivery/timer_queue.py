"""TimerQueue: what is to be done at a time, by a wall clock that may be set."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable


class TimerQueue:
    """Times are Unix ms; equal ones are done in the order in which they were scheduled."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def schedule(self, at_ms: int, action: Callable[[], None]) -> bool:
        """Whether it is the next one now."""
        heapq.heappush(self._waiting, (at_ms, next(self._order), action))
        return self._waiting[0][2] is action

    def run_due(self, now_ms: int) -> None:
        """Does what is due."""
        while self._waiting and self._waiting[0][0] <= now_ms:
            heapq.heappop(self._waiting)[2]()

    def next_in_s(self, now_ms: int, most_s: float) -> float:
        """Seconds until something is due, at most so many."""
        if not self._waiting:
            return most_s
        return min(most_s, max(0.0, (self._waiting[0][0] - now_ms) / 1000))
