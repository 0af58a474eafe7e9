"""Voice: what one network says of a cell and a unit; and the figure that many of them come to.

However many clients a network has, and by however many servers it reports, it is one voice: it has
the weight of its newest report, which halves with each half-life, and never more than a third of
all weight. The figure is the weighted median: whatever one network reports, the figure stays
between the quartiles of what the others do. Weighted medians bound what a minority can do
(D. L. Donoho and P. J. Huber, "The notion of breakdown point", 1983). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeAlias

MOST_NETWORKS = 12  # of a pair, those reported last
LEAST_NETWORKS = 3  # before a pair is known
MOST_SHARE = 1 / 3  # of all weight, of one network
HALF_LIFE_S = 3_600.0
FORGOTTEN_S = 6 * HALF_LIFE_S
_ROUNDING = 1e-12

Pair: TypeAlias = tuple[str, str]  # cell, unit id


@dataclass(frozen=True, slots=True)
class Estimate:
    """ms: round trip; reports: of so many clients; networks: in so many; age_s: since the last."""

    ms: float
    reports: int
    networks: int
    age_s: float


@dataclass(frozen=True, slots=True)
class Voice:
    """Of a network at one server. ms: the weighted median of its clients; clients: so many of them;
    at: its newest report, seconds of the clock of whoever joins voices."""

    network: str
    ms: float
    clients: int
    at: float


def joined(voices: Iterable[Voice], now: float) -> Estimate | None:
    """What voices of one pair, several of a network among them, come to: those of the networks
    that were heard last count. None: of too few networks it is known."""
    by_network: dict[str, list[Voice]] = {}
    for one in voices:
        if now - one.at < FORGOTTEN_S:
            by_network.setdefault(one.network, []).append(one)
    if len(by_network) < LEAST_NETWORKS:
        return None
    latest = sorted(
        ((max(one.at for one in of_one), name, of_one) for name, of_one in by_network.items()),
        reverse=True,
    )[:MOST_NETWORKS]
    weights = capped([weight(at, now) for at, _, _ in latest], MOST_SHARE)
    figures = [
        weighted_median((one.ms, one.clients * weight(one.at, now)) for one in of_one)
        for _, _, of_one in latest
    ]
    return Estimate(
        ms=weighted_median(zip(figures, weights, strict=True)),
        reports=sum(one.clients for _, _, of_one in latest for one in of_one),
        networks=len(latest),
        age_s=max(0.0, now - latest[0][0]),
    )


def weight(at: float, now: float) -> float:
    """Of a report: 1.0 of a new one, half of that after each half-life."""
    return float(0.5 ** (max(0.0, now - at) / HALF_LIFE_S))


def weighted_median(pairs: Iterable[tuple[float, float]]) -> float:
    """Of (value, weight) pairs, at least one: half of all weight is at it or below.

    >>> weighted_median([(10.0, 1.0), (20.0, 1.0), (90.0, 1.0)])
    20.0
    """
    ordered = sorted(pairs)
    half = sum(share for _, share in ordered) / 2
    reached = 0.0
    for value, share in ordered:
        reached += share
        if reached >= half:
            return value
    return ordered[-1][0]


def capped(weights: Sequence[float], share: float) -> list[float]:
    """Weights, at least 1/share of them, of which none is more than this share of all that are
    left: the largest are made less, as little as that takes.

    >>> capped([1.0, 1.0, 10.0], 0.5)
    [1.0, 1.0, 2.0]
    """
    ordered = sorted(weights)
    cap, most = ordered[-1], ceil(1 / share - _ROUNDING)
    if cap > share * sum(ordered):
        for many in range(1, most):  # so many are at the cap: cap = share (rest + many cap)
            rest = ordered[:-many]
            cap = share * sum(rest) / (1.0 - share * many)
            if cap >= rest[-1] - _ROUNDING:
                break
        else:
            cap = ordered[-most]
    return [min(one, cap) for one in weights]
