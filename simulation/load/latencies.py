"""Latencies: HdrHistogram, three significant digits from a microsecond to two minutes.

The one module that knows the library; it comes with `homeport-server[load]`. What is recorded is
the time since a call was due, not since it was sent: a generator or a server that stalls is
charged for everybody who had to wait (coordinated omission, Tene 2013).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hdrh.histogram import HdrHistogram

LARGEST_US = 120_000_000
DIGITS = 3
PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


class Latencies:
    """A histogram of durations. Its bytes can be sent, and added to another's."""

    def __init__(self, encoded: bytes = b"") -> None:
        self._histogram = HdrHistogram(1, LARGEST_US, DIGITS)
        if encoded:
            self.add(encoded)

    def record(self, seconds: Iterable[float]) -> None:
        """Any number of durations."""
        for value, count in Counter(int(one * 1e6) for one in seconds).items():
            self._histogram.record_value(min(max(value, 1), LARGEST_US), count)

    def add(self, encoded: bytes) -> None:
        """Those of another, as `encoded` gave it."""
        self._histogram.decode_and_add(encoded)

    def encoded(self) -> bytes:
        """V2 of HdrHistogram's compressed form, in base64: what its other tools read."""
        made: bytes = self._histogram.encode()
        return made

    @property
    def count(self) -> int:
        """How many durations it holds."""
        return int(self._histogram.get_total_count())

    def at_ms(self, percentile: float) -> float:
        """The duration at a percentile, 0 to 100; 0.0 where there is none."""
        return float(self._histogram.get_value_at_percentile(percentile)) / 1e3

    def max_ms(self) -> float:
        """The longest."""
        return float(self._histogram.get_max_value()) / 1e3 if self.count else 0.0

    def mean_ms(self) -> float:
        """The mean."""
        return float(self._histogram.get_mean_value()) / 1e3 if self.count else 0.0
