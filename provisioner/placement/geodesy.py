"""Distances on the sphere. Pure numbers: degrees in, kilometres out.

The haversine form (R. W. Sinnott, "Virtues of the Haversine", Sky & Telescope 68, 1984)
keeps its precision for close points; near antipodes it is good to some metres, which is
below what any geo database knows. The Earth is a sphere of the mean radius 6,371.0088 km
(IUGG); the error against the ellipsoid is at most 0.5 %.
"""

from __future__ import annotations

from math import asin, cos, pi, radians, sin, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_KM = 6371.0088
HALF_WAY_ROUND_KM = pi * EARTH_RADIUS_KM

Floats: TypeAlias = NDArray[np.float64]


def distance_km(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Great-circle distance between two points.

    >>> round(distance_km(0, 179.5, 0, -179.5))
    111
    """
    phi_a, phi_b = radians(lat_a), radians(lat_b)
    half_phi = sin((phi_b - phi_a) / 2)
    half_lambda = sin(radians(lon_b - lon_a) / 2)
    haversine = half_phi * half_phi + cos(phi_a) * cos(phi_b) * half_lambda * half_lambda
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(haversine)))


def unit_vectors(latitudes: Floats, longitudes: Floats) -> Floats:
    """Points as unit vectors from the Earth's centre; shape (n, 3)."""
    phi, lam = np.radians(latitudes), np.radians(longitudes)
    return np.column_stack((np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)))


def distances_km(latitude: float, longitude: float, vectors: Floats) -> Floats:
    """Great-circle distance from one point to each of `vectors`; shape (n,).

    By the chord: the angle between unit vectors is 2 asin(chord / 2).
    """
    phi, lam = radians(latitude), radians(longitude)
    here = np.array((cos(phi) * cos(lam), cos(phi) * sin(lam), sin(phi)))
    chord = np.linalg.norm(vectors - here, axis=1)
    result: Floats = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(1.0, chord / 2))
    return result
