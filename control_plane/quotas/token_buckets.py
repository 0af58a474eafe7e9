"""TokenBuckets: a bucket for each key, with one number a key; bounded in how many keys are kept.

A bucket is the time at which it would be full again: the generic cell rate algorithm, in its form
of virtual scheduling (ITU-T I.371, annex A). Pure: the clock is an argument.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

MOST_KEYS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """per_s: tokens a second, for ever; burst: tokens that a full bucket has. Both above 0."""

    per_s: float
    burst: float


class TokenBuckets:
    """own: the rates of keys that do not have the common one. Beyond most_keys the key that was
    not used for longest is forgotten, and has a full bucket where it comes again."""

    def __init__(
        self, rate: Rate, *, own: Mapping[str, Rate] | None = None, most_keys: int = MOST_KEYS
    ) -> None:
        self._token_s, self._burst_s = _times(rate)
        self._own = {key: _times(one) for key, one in (own or {}).items()}
        self._most_keys = most_keys
        # Least recently used first. A plain dict finds its first key ever more slowly, the more
        # were deleted before it.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: float, cost: float = 1.0) -> float:
        """Takes `cost` tokens and returns 0.0; or takes none, and returns after how many seconds
        there will be enough. What costs more than a full bucket has takes a full one. now:
        monotonic seconds."""
        full_at = self._full_at
        token_s, burst_s = self._token_s, self._burst_s
        if self._own:
            token_s, burst_s = self._own.get(key, (token_s, burst_s))
        was = full_at.pop(key, now)
        if was < now:
            was = now
        filled = was + min(cost * token_s, burst_s)
        wait_s = filled - now - burst_s
        if wait_s > 1e-9:  # less is what adding up floats makes of nothing
            full_at[key] = was
            return wait_s
        full_at[key] = filled
        if len(full_at) > self._most_keys:
            full_at.popitem(last=False)
        return 0.0


def _times(rate: Rate) -> tuple[float, float]:
    """Seconds a token takes, and seconds a full bucket does."""
    if not (0 < rate.per_s < math.inf and 0 < rate.burst < math.inf):
        raise ValueError(f"{rate} is no rate: both numbers are above 0")
    return 1.0 / rate.per_s, rate.burst / rate.per_s
