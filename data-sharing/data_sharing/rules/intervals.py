"""Intervals: which of many closed intervals a number lies in, in O(log n + those found).

A centred interval tree (Edelsbrunner 1980; de Berg et al., "Computational Geometry", 10.1),
built once. Open ends are infinities.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
_FEW = 8  # intervals that are simply looked at


class Interval(NamedTuple, Generic[T]):
    low: float
    high: float
    what: T


class Intervals(Generic[T]):
    """Immutable. Intervals whose low exceeds their high hold nothing."""

    __slots__ = (
        "_below", "_beyond", "_by_high", "_by_low", "_centre", "_few", "_highs", "_least", "_lows",
        "_most",
    )  # fmt: skip

    def __init__(self, intervals: Sequence[Interval[T]]) -> None:
        self._few: tuple[Interval[T], ...] = ()
        self._below: Intervals[T] | None = None
        self._beyond: Intervals[T] | None = None
        here = [one for one in intervals if one.low <= one.high]
        self._least = min((one.low for one in here), default=math.inf)
        self._most = max((one.high for one in here), default=-math.inf)
        if len(here) <= _FEW:
            self._few = tuple(here)
            return
        self._centre = _centre(here)
        crossing = [one for one in here if one.low <= self._centre <= one.high]
        below = [one for one in here if one.high < self._centre]
        beyond = [one for one in here if one.low > self._centre]
        by_low = sorted(crossing, key=lambda one: one.low)
        by_high = sorted(crossing, key=lambda one: one.high)
        self._lows = [one.low for one in by_low]
        self._by_low = [one.what for one in by_low]
        self._highs = [one.high for one in by_high]
        self._by_high = [one.what for one in by_high]
        self._below = Intervals(below) if below else None
        self._beyond = Intervals(beyond) if beyond else None

    def holding(self, number: float, into: list[T]) -> None:
        """Appends what belongs to the intervals that the number lies in."""
        tree: Intervals[T] | None = self
        while tree is not None and tree._least <= number <= tree._most:
            if tree._few:
                into.extend(one.what for one in tree._few if one.low <= number <= one.high)
                return
            if number < tree._centre:
                into.extend(tree._by_low[: bisect_right(tree._lows, number)])
                tree = tree._below
            elif number > tree._centre:
                into.extend(tree._by_high[bisect_left(tree._highs, number) :])
                tree = tree._beyond
            else:
                into.extend(tree._by_low)
                return


def _centre(intervals: Sequence[Interval[T]]) -> float:
    """The median of the finite ends, so that each side holds at most half of them."""
    ends = sorted(end for one in intervals for end in (one.low, one.high) if math.isfinite(end))
    return ends[len(ends) // 2] if ends else 0.0
