"""Latency: how long a round trip from places to units takes, and what a policy makes of it. Pure.

What was measured between a place and a unit counts; where nothing was, what light in fibre needs
on a path half as long again as the great circle (R. Durairajan et al., "InterTubes: a study of the
US long-haul fiber-optic infrastructure", SIGCOMM 2015, and I. N. Bozkurt et al., "Why is the
Internet so slow?!", PAM 2017, have paths of 1.5 to 2 times): what distance costs alone, without
access networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Protocol

import numpy as np

from provisioner.placement.geodesy import Floats

FIBRE_KM_PER_MS = 204.2  # light, at a refractive index of 1.468
PATH_STRETCH = 1.5
CLASSES = 3  # within the cap, within what it relaxes to, beyond


def latency_ms(distance_km: float) -> float:
    """The least round trip over that distance.

    >>> round(latency_ms(1000), 1)
    14.7
    """
    return 2 * distance_km * PATH_STRETCH / FIBRE_KM_PER_MS


def latencies_ms(distances_km: Floats) -> Floats:
    """`latency_ms` of each; shape as given."""
    found: Floats = distances_km * (2 * PATH_STRETCH / FIBRE_KM_PER_MS)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyCaps:
    """Units within `cap_ms` go first, all of them alike; then those within `relax_to_ms`, which is
    no less; then all others."""

    cap_ms: float
    relax_to_ms: float

    def classes(self, ms: Floats) -> Floats:
        """0.0, 1.0 or 2.0 of each latency; shape as given."""
        beyond: Floats = (ms > self.cap_ms).astype(np.float64)
        beyond += ms > self.relax_to_ms
        return beyond

    def words(self, ms: float) -> str:
        """Where a latency lies, for explanations."""
        if ms <= self.cap_ms:
            return f"within {self.cap_ms:g} ms"
        if ms <= self.relax_to_ms:
            return f"above {self.cap_ms:g} ms and within {self.relax_to_ms:g} ms"
        return f"above {self.relax_to_ms:g} ms" if ms < inf else "at an unknown latency"


class Latencies(Protocol):
    """What was measured."""

    def of(self, cell: str, country: str, continent: str) -> Mapping[str, float]:
        """Milliseconds by unit id, of those that are known, between clients of a place and
        units; the same for all clients of a cell."""
        ...


class NothingMeasured:
    """Latencies of which none is known."""

    def of(self, cell: str, country: str, continent: str) -> Mapping[str, float]:
        return {}


NOTHING_MEASURED = NothingMeasured()
