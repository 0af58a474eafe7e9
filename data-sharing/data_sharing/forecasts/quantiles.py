"""Quantiles: a sketch whose answers are within 1 % of a true value of the recent past.

DDSketch (Masson, Rim, Lee: "DDSketch: A fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019): values fall into bins whose bounds grow by a constant
factor. Old values fade by forward decay (Cormode, Shkapenyuk, Srivastava, Xu, ICDE 2009): newer
ones weigh more, instead of all older ones being made lighter. Bounded: past MOST_BINS the bins
next to zero are merged, which costs accuracy there alone.
"""

from __future__ import annotations

import math

import msgspec

ACCURACY = 0.01  # relative
_GROWTH = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GROWTH = math.log(_GROWTH)
_LEAST = 1e-9  # smaller magnitudes are zero
_MOST = 1e300
MOST_BINS = 512  # per sign: magnitudes over four orders keep their accuracy
_HEAVIEST = 2.0**40  # weights are scaled down before they lose digits


class Quantiles(msgspec.Struct, array_like=True):
    """Bins by index, for positive and for negative magnitudes."""

    positive: dict[int, float] = msgspec.field(default_factory=dict)
    negative: dict[int, float] = msgspec.field(default_factory=dict)
    zero: float = 0.0
    since_ms: int = 0  # a value at this time weighs 1

    def add(self, value: float, time_ms: int, half_life_ms: int) -> None:
        if not self.positive and not self.negative and self.zero == 0.0:
            self.since_ms = time_ms
        elapsed = (time_ms - self.since_ms) / half_life_ms
        if elapsed > 40.0:
            self._fade(elapsed)
            self.since_ms = time_ms
            elapsed = 0.0
        weight = math.exp2(max(elapsed, -40.0))
        magnitude = min(abs(value), _MOST)
        if magnitude < _LEAST:
            self.zero += weight
            return
        bins = self.positive if value > 0 else self.negative
        at = math.ceil(math.log(magnitude) / _LOG_GROWTH)
        bins[at] = bins.get(at, 0.0) + weight
        if len(bins) > MOST_BINS:
            lowest, next_lowest = sorted(bins)[:2]
            bins[next_lowest] += bins.pop(lowest)

    def quantile(self, share: float) -> float | None:
        """The value that this share of the weight does not exceed; None before any value."""
        total = self.zero + sum(self.positive.values()) + sum(self.negative.values())
        if total <= 0.0:
            return None
        rest = share * total
        for at in sorted(self.negative, reverse=True):
            rest -= self.negative[at]
            if rest <= 0.0:
                return -_middle(at)
        rest -= self.zero
        if self.zero > 0.0 and rest <= 0.0:
            return 0.0
        ordered = sorted(self.positive)
        for at in ordered:
            rest -= self.positive[at]
            if rest <= 0.0:
                return _middle(at)
        return _middle(ordered[-1]) if ordered else 0.0

    def _fade(self, half_lives: float) -> None:
        """Makes all weights lighter; those that then count nothing go."""
        by = math.exp2(-min(half_lives, 1_000.0))
        self.zero *= by
        for bins in (self.positive, self.negative):
            for at in list(bins):
                bins[at] *= by
                if bins[at] < 1.0 / _HEAVIEST:
                    del bins[at]


def _middle(at: int) -> float:
    return 2.0 * math.exp(at * _LOG_GROWTH) / (_GROWTH + 1.0)
