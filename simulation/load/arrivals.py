"""Arrivals: when users come, whatever becomes of those before them. Pure.

A Poisson process whose rate changes as the scenario says: of unit rate first, then stretched by
the inverse of the rate's integral (the inversion method, Lewis and Shedler 1979). Rates are
given at points of time and run in straight lines between them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulation.load.settings import LoadSettings, Scenario

OUTAGE_AT, BACK_AT = 0.2, 0.3  # of a herd's run: when users are cut off, and can come back
DAY_POINTS = 96
# How active people are by the hour where they are, 0 to 23: asleep at four, at work at ten, at
# their busiest at eight in the evening. Relative; a made-up round day.
ACTIVITY = (
    0.45, 0.30, 0.20, 0.15, 0.15, 0.20, 0.40, 0.70, 1.00, 1.20, 1.25, 1.25,
    1.25, 1.20, 1.15, 1.15, 1.20, 1.30, 1.50, 1.70, 1.75, 1.60, 1.20, 0.80,
)  # fmt: skip
MEAN_ACTIVITY = sum(ACTIVITY) / len(ACTIVITY)
Rates = Sequence[tuple[float, float]]  # seconds from the beginning, and arrivals a second then


def activity(hour: NDArray[np.float64]) -> NDArray[np.float64]:
    """How active people are at an hour of their day, 1.0 on average; hours go round."""
    points = np.arange(25.0)
    values = np.array([*ACTIVITY, ACTIVITY[0]]) / MEAN_ACTIVITY
    return np.interp(np.mod(hour, 24.0), points, values)


def rates_of(settings: LoadSettings, share: float = 1.0) -> Rates:
    """What the scenario asks for, but for the day, which depends on where users are, and those
    of a herd who come back. share: of all arrivals, 0.0 to 1.0."""
    rate, end = settings.rate_per_s * share, settings.duration_s
    match settings.scenario:
        case Scenario.CONSTANT | Scenario.DAY:
            return ((0.0, rate), (end, rate))
        case Scenario.RAMP:
            return ((0.0, 0.0), (end, rate))
        case Scenario.HERD:
            cut, back = end * OUTAGE_AT, end * BACK_AT
            return ((0.0, rate), (cut, rate), (cut, 0.0), (back, 0.0), (back, rate), (end, rate))


def day_rates(settings: LoadSettings, hours_ahead: float, share: float) -> Rates:
    """Of the users of one part of the world, whose clocks are so many hours ahead of UTC: a day
    from midnight UTC, compressed into the run. share: of all arrivals."""
    at = np.linspace(0.0, 1.0, DAY_POINTS + 1)
    rates = activity(at * 24.0 + hours_ahead) * settings.rate_per_s * share
    return tuple(zip((at * settings.duration_s).tolist(), rates.tolist(), strict=True))


def arrivals(rates: Rates, rng: np.random.Generator) -> NDArray[np.float64]:
    """Times from the beginning in seconds, ascending."""
    at = np.array([time for time, _ in rates])
    rate = np.array([value for _, value in rates])
    pieces = np.diff(at) * (rate[1:] + rate[:-1]) / 2
    integral = np.concatenate(([0.0], np.cumsum(pieces)))
    total = float(integral[-1])
    if total <= 0.0:
        return np.empty(0)
    # Of a Poisson process of a known number of points, these are uniform (Ross, 5.3).
    unit = np.sort(rng.random(int(rng.poisson(total)))) * total
    piece = np.clip(np.searchsorted(integral, unit, side="right") - 1, 0, len(pieces) - 1)
    left = unit - integral[piece]
    start, lasts = rate[piece], np.diff(at)[piece]
    slope = np.divide(np.diff(rate)[piece], lasts, out=np.zeros_like(lasts), where=lasts > 0)
    # start * x + slope / 2 * x² = left, solved so that a slope of zero does no harm.
    root = np.sqrt(np.maximum(start * start + 2 * slope * left, 0.0))
    found: NDArray[np.float64] = at[piece] + np.divide(
        2 * left, start + root, out=np.zeros_like(left), where=start + root > 0
    )
    return found
