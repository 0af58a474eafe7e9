"""Ranges: which of many closed ranges a number lies in; ranges come and go one by one.

Half-lines are kept by their end, in order. Ranges with two ends lie in a grid of cells as wide as
the next power of two from their own width on, one grid for each such width (a hierarchical spatial
hash; see Ericson, "Real-Time Collision Detection", 7.2): a range is in two cells at most, and a
number asks one cell of each grid. What is found in a cell is looked at once more.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, bisect_right
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")
_FINEST = -960  # exponent of the narrowest cells
_DIGITS = 53  # of a double: cells are no finer than what tells its numbers apart


class Interval(NamedTuple, Generic[T]):
    """low <= number <= high; an open end is an infinity."""

    low: float
    high: float
    what: T


class Ranges(Generic[T]):
    """Ranges whose low exceeds their high hold nothing."""

    __slots__ = ("_above", "_below", "_grids", "_highs", "_lows", "_never", "count")

    def __init__(self) -> None:
        self.count = 0
        self._lows: list[float] = []
        self._above: list[T] = []  # by their low ends; without high ones
        self._highs: list[float] = []
        self._below: list[T] = []  # by their high ends; without low ones
        # By the exponent of a cell's width: the magnitude beyond which nothing is there, and cells.
        self._grids: dict[int, tuple[float, dict[int, list[Interval[T]]]]] = {}
        self._never: list[T] = []  # whose low exceeds their high

    def copy(self) -> Ranges[T]:
        """Changed apart from this one."""
        made: Ranges[T] = Ranges()
        made.count = self.count
        made._lows, made._above = self._lows[:], self._above[:]
        made._highs, made._below = self._highs[:], self._below[:]
        made._never = self._never[:]
        made._grids = {
            exponent: (most, cells.copy()) for exponent, (most, cells) in self._grids.items()
        }
        return made

    def add(self, interval: Interval[T]) -> None:
        """One more."""
        low, high, what = interval
        self.count += 1
        if low > high:
            self._never.append(what)
        elif high == math.inf:
            at = bisect_right(self._lows, low)
            self._lows.insert(at, low)
            self._above.insert(at, what)
        elif low == -math.inf:
            at = bisect_right(self._highs, high)
            self._highs.insert(at, high)
            self._below.insert(at, what)
        else:
            exponent = _exponent(low, high)
            _, cells = self._grids.setdefault(exponent, (_most(exponent), {}))
            for cell in _cells(low, high, exponent):
                cells[cell] = [*cells.get(cell, ()), interval]  # never changed: copies share it

    def belonging_to(self, low: float, high: float) -> list[T]:
        """What belongs to just these ends, and perhaps more."""
        if low > high:
            return self._never[:]
        if high == math.inf:
            return self._above[bisect_left(self._lows, low) : bisect_right(self._lows, low)]
        if low == -math.inf:
            return self._below[bisect_left(self._highs, high) : bisect_right(self._highs, high)]
        exponent = _exponent(low, high)
        _, cells = self._grids.get(exponent, (0.0, {}))
        return [one.what for one in cells.get(_cell(low, exponent), ())]

    def remove(self, interval: Interval[T]) -> None:
        """One that is there; with the very same `what`."""
        low, high, what = interval
        self.count -= 1
        if low > high:
            del self._never[_place(self._never, 0, what)]
        elif high == math.inf:
            at = _place(self._above, bisect_left(self._lows, low), what)
            del self._lows[at], self._above[at]
        elif low == -math.inf:
            at = _place(self._below, bisect_left(self._highs, high), what)
            del self._highs[at], self._below[at]
        else:
            exponent = _exponent(low, high)
            _, cells = self._grids[exponent]
            for cell in _cells(low, high, exponent):
                left = [one for one in cells[cell] if one.what is not what]
                if left:
                    cells[cell] = left
                else:
                    del cells[cell]
            if not cells:
                del self._grids[exponent]

    def holding(self, number: Any, into: list[T]) -> None:
        """Appends what belongs to the ranges that the number lies in. number: a float or an int, of
        any size, which is not rounded to a float."""
        if self._lows:
            into.extend(self._above[: bisect_right(self._lows, number)])
        if self._highs:
            into.extend(self._below[bisect_left(self._highs, number) :])
        for exponent, (most, cells) in self._grids.items():
            if -most <= number <= most:
                for low, high, what in cells.get(_cell(number, exponent), ()):
                    if low <= number <= high:
                        into.append(what)

    def crowd(self, low: float, high: float) -> float:
        """About how many others a number hits that lies in such a range."""
        if high == math.inf:
            return len(self._lows) / 2
        if low == -math.inf:
            return len(self._highs) / 2
        if low > high:
            return 0.0
        exponent = _exponent(low, high)
        _, cells = self._grids.get(exponent, (0.0, {}))
        return len(cells.get(_cell(low, exponent), ())) / 2


def _place(those: list[T], start: int, what: T) -> int:
    return next(at for at in range(start, len(those)) if those[at] is what)


def _exponent(low: float, high: float) -> int:
    """Of the width of the cells for such a range, both ends finite."""
    half = high / 2 - low / 2  # of its width, which may exceed all doubles
    width = math.frexp(half)[1] + 1 if half else _FINEST
    magnitude = math.frexp(max(abs(low), abs(high)))[1]
    return max(width, magnitude - _DIGITS, _FINEST)


def _most(exponent: int) -> float:
    """The greatest magnitude of an end in the grid of such cells."""
    power = exponent + _DIGITS
    return math.ldexp(1.0, power) if power < sys.float_info.max_exp else sys.float_info.max


def _cell(number: Any, exponent: int) -> int:
    """In the grid of cells that are 2**exponent wide."""
    return math.floor(math.ldexp(number, -exponent))


def _cells(low: float, high: float, exponent: int) -> range:
    """Two at most."""
    return range(_cell(low, exponent), _cell(high, exponent) + 1)
