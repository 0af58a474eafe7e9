"""RetransmitTimer: how long a commit queue waits for a commit before it asks what became of it.

The estimate of RFC 6298 (TCP's retransmission timer): the smoothed time and four times its
variation, doubled with each timeout. A leader that is gone is noticed in half a second, and a
slow disk is not taken for one. Asking early is safe: the ledger reads before it writes again,
and a late write fails its compares. Pure; seconds.
"""

from __future__ import annotations

LEAST_S = 0.5  # a third of an etcd election, many times a commit
MOST_S = 2.0


class RetransmitTimer:
    """One per commit queue."""

    __slots__ = ("_smoothed_s", "_variation_s", "wait_s")

    def __init__(self) -> None:
        self._smoothed_s = 0.0
        self._variation_s = 0.0
        self.wait_s = 1.0

    def answered(self, took_s: float) -> None:
        """A commit was answered."""
        if self._smoothed_s == 0.0:
            self._smoothed_s, self._variation_s = took_s, took_s / 2
        else:
            self._variation_s += (abs(took_s - self._smoothed_s) - self._variation_s) / 4
            self._smoothed_s += (took_s - self._smoothed_s) / 8
        self.wait_s = min(MOST_S, max(LEAST_S, self._smoothed_s + 4 * self._variation_s))

    def timed_out(self) -> None:
        """A commit was not answered within `wait_s`."""
        self.wait_s = min(MOST_S, 2 * self.wait_s)
