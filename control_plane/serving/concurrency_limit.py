"""ConcurrencyLimit: how many calls may be under way at once, found by how fast they are answered.

Pure. By Little's law calls that are answered at a rate take as long as there are calls under way
for each answer a second. So the limit that keeps them at a time that is wanted is the rate times
that time: Envoy's gradient controller (envoy.filters.http.adaptive_concurrency) with a time that is
given, in place of one that is measured while next to nothing may come. Whatever saturates, a
processor, a store or the event loop, shows in the rate.
"""

from __future__ import annotations

from typing import Final

TARGET_S: Final = 0.5  # what a call takes where as many are under way as may be
LEAST: Final = 64  # with fewer, groups for the store would be too small to serve anybody
MOST: Final = 8_000
# What the limit comes back to while fewer are under way than may be: who comes all at once is
# served then, and at 250 calls a second, what a slow server does, callers still wait for the last.
IDLE: Final = 1_000
WEIGHT: Final = 0.3  # of the newest sample
LEAST_GRADIENT: Final = 0.5
MOST_GRADIENT: Final = 1.5
GROWTH: Final = 1.05  # at a sample in which nobody had to wait


class ConcurrencyLimit:
    """`calls` may be under way; `sample` once in a while, some ten times a second."""

    def __init__(
        self,
        *,
        target_s: float = TARGET_S,
        least: int = LEAST,
        most: int = MOST,
        idle: int = IDLE,
    ) -> None:
        self._target_s = target_s
        self._least = least
        self._most = most
        self._idle = idle
        self._limit = float(idle)
        self.calls = idle
        self.rate_per_s = 0.0  # of answers, while as many were under way as may be; 0.0: never yet

    def sample(self, *, answered: int, seconds: float, was_full: bool) -> None:
        """So many calls were answered in so many seconds (above 0). was_full: whether in that time
        a call had to wait, or was refused, because of the limit."""
        if was_full:
            rate_per_s = answered / seconds
            self.rate_per_s += WEIGHT * (rate_per_s - self.rate_per_s)
            gradient = rate_per_s * self._target_s / self._limit
            gradient = min(MOST_GRADIENT, max(LEAST_GRADIENT, gradient))
            self._limit *= 1.0 + WEIGHT * (gradient - 1.0)
        elif self._limit < self._idle:
            self._limit = min(self._idle, self._limit * GROWTH)
        self._limit = min(self._most, max(self._least, self._limit))
        self.calls = int(self._limit)
