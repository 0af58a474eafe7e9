"""Exponential back-off: pauses that double with every failure in a row, up to a longest one. Pure:
the jitter, which keeps many who failed together from coming back together, is an argument."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MOST_DOUBLINGS = 60  # longer than anybody waits; keeps the power a small number


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """`first_s` after no failure before, twice that after one, and so on. `jittered` is the share
    of a pause that the jitter decides: 1.0 draws it from nothing to all, 0.5 from half to all."""

    first_s: float
    most_s: float = math.inf
    jittered: float = 1.0

    def pause_s(self, failures: int, jitter: float = 1.0) -> float:
        """How long to wait after `failures` failures in a row before this one; `jitter` from 0
        to 1."""
        doubled = self.first_s * 2.0 ** min(max(failures, 0), _MOST_DOUBLINGS)
        return min(self.most_s, doubled) * (1.0 - self.jittered * (1.0 - jitter))
