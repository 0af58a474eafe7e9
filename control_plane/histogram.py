"""Histogram: how many observations were how large, counted where they are made.

A list of numbers and no lock: it belongs to one thread, which alone observes, and another may read
it at any time for a page of metrics. Bounds are inclusive, as Prometheus's `le` is
(https://prometheus.io/docs/concepts/metric_types/#histogram). What follows from an input is no
label here: whoever keeps several bounds their number.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

SECONDS: Final[tuple[float, ...]] = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Of most durations: half a millisecond to ten seconds."""
FINE_SECONDS: Final[tuple[float, ...]] = (
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, *SECONDS[:10],
)  # fmt: skip
"""Of steps inside one call."""
SIZES: Final[tuple[float, ...]] = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 96.0, 128.0, 512.0, 2048.0)
"""Of what is gathered into one transaction."""
TOP_MS: Final = 10_000


class Histogram:
    """bounds: ascending; whatever is above the last one is counted besides."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0  # of all observations

    def observe(self, value: float) -> None:
        """Counts one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Bound as text, and how many observations were no larger; the last is of all."""
        return _cumulative(self.bounds, list(self.counts))


def together(histograms: Iterable[Histogram], bounds: Sequence[float] = SECONDS) -> Histogram:
    """The observations of all of them, which have these bounds."""
    found = Histogram(bounds)
    for one in histograms:
        found.total += one.total
        for place, count in enumerate(one.counts):
            found.counts[place] += count
    return found


class MillisecondHistogram:
    """Of whole milliseconds, each counted by itself: the cheapest there is, for where every
    client of a batch is observed. Bounds are those of SECONDS. counts: by milliseconds, the last
    of all above TOP_MS; who is in a hurry, and knows a value to be from 0 to TOP_MS, adds there."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = [0] * (TOP_MS + 2)

    def observe_ms(self, value_ms: int) -> None:
        """A negative value, of a clock that was set back, counts as 0; all above 10 s alike."""
        if 0 <= value_ms <= TOP_MS:
            self.counts[value_ms] += 1
        else:
            self.counts[0 if value_ms < 0 else TOP_MS + 1] += 1

    @property
    def total(self) -> float:
        """Of all observations, seconds."""
        return sum(ms * count for ms, count in enumerate(self.counts) if count) / 1000.0

    def cumulative(self) -> list[tuple[str, float]]:
        """As that of Histogram. A duration of less than 1 ms counts as 0."""
        counts, bounds = list(self.counts), SECONDS
        ends = [int(bound * 1000) + 1 for bound in bounds]
        starts = [0, *ends]
        parts = [sum(counts[start:end]) for start, end in zip(starts, ends, strict=False)]
        return _cumulative(bounds, [*parts, sum(counts[ends[-1] :])])


def _cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    found, so_far = [], 0
    for bound, count in zip([*bounds, None], counts, strict=True):
        so_far += count
        found.append(("+Inf" if bound is None else repr(bound), float(so_far)))
    return found
