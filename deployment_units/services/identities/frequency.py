"""Frequency and recency of a pair of identifiers (a pair use) as one number, the rank. Pure.

Each use weighs 1 when it happens and half as much after each half-life. The weight at an instant
t is 2^((rank - t) / half-life): the rank is the instant at which the weight is 1. So ranks are
compared without a clock, and what was used more, or later, has the higher rank.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp2, log2

HALF_LIFE_MS = 60 * 86_400_000
_MOST_EXPONENT = 60.0


def used_again(rank_ms: int | None, now_ms: int) -> int:
    """The rank after a use. rank_ms: before it; None: there was none.

    >>> used_again(None, 1_000)
    1000
    >>> used_again(1_000, 1_000) - 1_000 == HALF_LIFE_MS  # twice at once weighs 2
    True
    """
    return now_ms if rank_ms is None else combined((rank_ms, now_ms))


def combined(ranks: Iterable[int]) -> int:
    """The rank of several uses together. Raises ValueError for none."""
    several = list(ranks)
    most = max(several)
    if len(several) == 1:
        return most
    weights = sum(exp2((rank - most) / HALF_LIFE_MS) for rank in several)
    return most + round(HALF_LIFE_MS * log2(weights))


def weight(rank_ms: int, now_ms: int) -> float:
    """How many uses of just now it is worth."""
    exponent = (rank_ms - now_ms) / HALF_LIFE_MS
    return exp2(max(-_MOST_EXPONENT, min(_MOST_EXPONENT, exponent)))
