"""Arrivals: when the clients of a place come, over the time of a simulation, 0.0 to 1.0.

Evenly; or in a day as it goes round the world, by the hours at which people are awake where they
are: the share of users that are active by local hour, a cosine between 4 h and 16 h, a tenth of
the peak at the least, after the diurnal cycle that traffic of access networks has (C. Labovitz et
al., "Internet inter-domain traffic", SIGCOMM 2010, has its shape).
"""

from __future__ import annotations

from math import cos, pi

import numpy as np
from numpy.typing import NDArray

HOURS = 24
_PEAK_AT_H = 16.0
_LEAST = 0.1  # of the peak


def activity(local_hour: float) -> float:
    """How active people are at this hour, 0.1 to 1.0; 1.0 in the afternoon."""
    wave = (1 + cos((local_hour - _PEAK_AT_H) / HOURS * 2 * pi)) / 2
    return _LEAST + (1 - _LEAST) * wave


def local_hour(utc_hour: float, longitude: float | None) -> float:
    """By the sun; without a longitude, that of Greenwich."""
    return (utc_hour + (longitude or 0.0) / 15.0) % HOURS


def hourly_shares(longitude: float | None) -> NDArray[np.float64]:
    """Of the clients at a longitude, the share that comes in each hour of a day that begins at
    0 h UTC; shape (24,), 1.0 together."""
    found = np.array([activity(local_hour(hour + 0.5, longitude)) for hour in range(HOURS)])
    shares: NDArray[np.float64] = found / found.sum()
    return shares


def even_shares() -> NDArray[np.float64]:
    """The same where they come evenly, at any hour."""
    return np.full(HOURS, 1.0 / HOURS)
