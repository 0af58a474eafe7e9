"""RateLimiter: a token bucket that bounds moves per second. Pure state.

Clock readings are arguments. The bucket holds a quarter of a second's worth, so that a batch is not
cut into crumbs and a pause is not followed by a burst.
"""

from __future__ import annotations

HELD_S = 0.25


class RateLimiter:
    """`rate_per_s` may be changed at any time."""

    def __init__(self, rate_per_s: float, now: float) -> None:
        self.rate_per_s = rate_per_s
        self._tokens = 0.0
        self._at = now

    def acquire(self, wanted: int, now: float) -> tuple[int, float]:
        """(how many may go now, seconds until more may): one of them is 0."""
        most = max(1.0, self.rate_per_s * HELD_S)
        earned = max(0.0, now - self._at) * self.rate_per_s
        self._tokens, self._at = min(most, self._tokens + earned), now
        granted = min(wanted, int(self._tokens))
        if granted > 0:
            self._tokens -= granted
            return granted, 0.0
        missing = min(float(wanted), most) - self._tokens
        return 0, missing / self.rate_per_s
