"""How many datagrams of one trunk are read: counted before anything of them is. Pure.

A token bucket an address. Only listed trunks have one, so there are no more than those.
"""

from __future__ import annotations

from collections.abc import Callable

DEFAULT_PER_S = 4_000
BURST_S = 2.0


class SourceRates:
    """per_s: datagrams a second of one address; clock: monotonic seconds."""

    def __init__(self, per_s: float, *, clock: Callable[[], float]) -> None:
        self._per_s = per_s
        self._most = per_s * BURST_S
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def takes(self, host: str) -> bool:
        """Whether one more is read; it is counted."""
        now = self._clock()
        left, at = self._left.get(host, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_s)
        taken = left >= 1.0
        self._left[host] = (left - 1.0 if taken else left, now)
        return taken
