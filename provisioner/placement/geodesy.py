"""Distances on the sphere. Pure numbers: degrees in, kilometres out.

The Earth is a sphere of the mean radius 6,371.0088 km (IUGG; H. Moritz, "Geodetic Reference
System 1980", J. Geodesy 74, 2000); the error against the ellipsoid is at most 0.5 %. One
pair goes by the haversine form (R. W. Sinnott, "Virtues of the Haversine", Sky & Telescope
68, 1984), many by their chords; both are good to a metre anywhere, antipodes included.
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


def unit_vector(latitude: float, longitude: float) -> Floats:
    """A point as unit vector from the Earth's centre; shape (3,)."""
    phi, lam = radians(latitude), radians(longitude)
    return np.array((cos(phi) * cos(lam), cos(phi) * sin(lam), sin(phi)))


def unit_vectors(latitudes: Floats, longitudes: Floats) -> Floats:
    """Points as unit vectors from the Earth's centre; shape (n, 3)."""
    phi, lam = np.radians(latitudes), np.radians(longitudes)
    return np.column_stack((np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)))


def distances_km(here: Floats, vectors: Floats) -> Floats:
    """Great-circle distance from one unit vector to each of `vectors`; shape (n,).

    By the chord: the angle between unit vectors is 2 asin(chord / 2). A unit's distance does
    not depend, to the last bit, on which others are asked for with it.
    """
    x, y, z = (vectors - here).T
    chord = np.sqrt(x * x + y * y + z * z)
    result: Floats = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(1.0, chord / 2))
    return result
