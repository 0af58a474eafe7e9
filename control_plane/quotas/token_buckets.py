"""TokenBuckets: a bucket for each key, with one number a key; bounded in how many keys are kept.

A bucket is the time at which it would be full again: the generic cell rate algorithm, in its form
of virtual scheduling (ITU-T I.371, annex A). Pure: the clock is an argument.

Keys are kept in two generations, so that taking is a lookup and a write of plain dicts: the key
that is used is in the recent one, and when that is full it becomes the one before. What was in the
one before is dropped a few keys at a time, for dropping all at once would hold everybody up.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

MOST_KEYS = 100_000
_DROPPED_AT_ONCE = 2  # keys, for each key that is new in the recent generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """per_s: tokens a second, for ever; burst: tokens that a full bucket has. Both above 0."""

    per_s: float
    burst: float


class TokenBuckets:
    """own: the rates of keys that do not have the common one. A key is kept until at least
    most_keys others have come since it was used, and twice as many are kept at most; one that is
    forgotten has a full bucket where it comes again."""

    def __init__(
        self, rate: Rate, *, own: Mapping[str, Rate] | None = None, most_keys: int = MOST_KEYS
    ) -> None:
        self._token_s, self._burst_s = _times(rate)
        self._own: dict[Hashable, tuple[float, float]] = {
            key: _times(one) for key, one in (own or {}).items()
        }
        self._most_keys = most_keys
        self._recent: dict[Hashable, float] = {}
        self._before: dict[Hashable, float] = {}
        self._dropped: dict[Hashable, float] = {}  # on their way out, and not looked at

    def __len__(self) -> int:
        return len(self._recent) + len(self._before.keys() - self._recent.keys())

    def take(self, key: Hashable, now: float, cost: float = 1.0) -> float:
        """Takes `cost` tokens and returns 0.0; or takes none, and returns after how many seconds
        there will be enough. What costs more than a full bucket has takes a full one. now:
        monotonic seconds."""
        token_s, burst_s = self._token_s, self._burst_s
        if self._own:
            token_s, burst_s = self._own.get(key, (token_s, burst_s))
        full_at = self._recent.get(key)
        if full_at is None:
            full_at = self._before.get(key, now)
            self._make_room()
        if full_at < now:
            full_at = now
        costs_s = cost * token_s
        filled = full_at + (costs_s if costs_s < burst_s else burst_s)
        wait_s = filled - now - burst_s
        if wait_s > 1e-9:  # less is what adding up floats makes of nothing
            self._recent[key] = full_at
            return wait_s
        self._recent[key] = filled
        return 0.0

    def give_back(self, key: Hashable, cost: float = 1.0) -> None:
        """So many tokens of what the key took a moment ago were not needed."""
        full_at = self._recent.get(key)
        if full_at is not None:
            token_s = self._own[key][0] if key in self._own else self._token_s
            self._recent[key] = full_at - cost * token_s

    def _make_room(self) -> None:
        """For one more key in the recent generation."""
        for _ in range(min(_DROPPED_AT_ONCE, len(self._dropped))):
            self._dropped.popitem()
        if len(self._recent) >= self._most_keys:
            self._recent, self._before, self._dropped = {}, self._recent, self._before


def _times(rate: Rate) -> tuple[float, float]:
    """Seconds a token takes, and seconds a full bucket does."""
    if not (0 < rate.per_s < math.inf and 0 < rate.burst < math.inf):
        raise ValueError(f"{rate} is no rate: both numbers are above 0")
    return 1.0 / rate.per_s, rate.burst / rate.per_s
