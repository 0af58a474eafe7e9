"""Mean: exponentially weighted mean and variance of values at irregular times.

A value's weight halves with each half-life of its age. After Finch, "Incremental calculation of
weighted mean and variance" (2009), section 9, with a decay that depends on the time between.
"""

from __future__ import annotations

import math

import msgspec


class Mean(msgspec.Struct, array_like=True):
    """weight: sum of the weights now, the effective number of values."""

    weight: float = 0.0
    mean: float = 0.0
    squared_deviations: float = 0.0  # weighted sum of squared deviations
    time_ms: int = 0  # of the newest value

    def add(self, value: float, time_ms: int, half_life_ms: int) -> None:
        """An older value than the newest counts by its age."""
        weight = 1.0
        if self.weight == 0.0:
            self.time_ms = time_ms
        elif time_ms >= self.time_ms:
            decay = math.exp2((self.time_ms - time_ms) / half_life_ms)
            self.weight *= decay
            self.squared_deviations *= decay
            self.time_ms = time_ms
        else:
            weight = math.exp2((time_ms - self.time_ms) / half_life_ms)
        self.weight += weight
        if self.weight <= 0.0:  # so old that it counts nothing
            return
        before = value - self.mean
        self.mean += before * (weight / self.weight)
        self.squared_deviations += weight * before * (value - self.mean)

    @property
    def variance(self) -> float:
        """Of the values, not of the mean; 0.0 after one value."""
        return max(0.0, self.squared_deviations / self.weight) if self.weight > 0.0 else 0.0

    @property
    def sd(self) -> float:
        return math.sqrt(self.variance)
