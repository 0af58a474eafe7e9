"""The Natural Earth projection, and great circles for it.

A compromise projection for world maps that bends meridians gently and distorts little where
people live. Polynomials: Šavrič, Jenny, Patterson, Petrovič, Hurni, "A polynomial equation for
the Natural Earth projection", Cartography and Geographic Information Science 38(4), 2011.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_STEP_RADIANS = np.radians(4.0)

Coordinates = NDArray[np.float64]


def project(longitude_deg: ArrayLike, latitude_deg: ArrayLike) -> tuple[Coordinates, Coordinates]:
    """Map x and y of points, on a sphere of radius 1; x spans ±2.7353, y ±1.4222."""
    lon = np.radians(np.asarray(longitude_deg, dtype=np.float64))
    lat = np.radians(np.asarray(latitude_deg, dtype=np.float64))
    lat2 = lat * lat
    lat4 = lat2 * lat2
    x = lon * (
        0.870700 - 0.131979 * lat2 - 0.013791 * lat4 + lat4**2 * (0.003971 * lat2 - 0.001529 * lat4)
    )
    y = lat * (
        1.007226 + lat2 * (0.015085 + lat4 * (-0.044475 + 0.028874 * lat2 - 0.005916 * lat4))
    )
    return x, y


def great_circle(start: tuple[float, float], end: tuple[float, float]) -> list[Coordinates]:
    """The shortest path between two (longitude, latitude) pairs in degrees, as polylines of
    shape (n, 2) in degrees with a point every few degrees: one, or two where the path crosses
    the antimeridian. Nearly antipodal ends give some great circle among the many.
    Interpolation: https://en.wikipedia.org/wiki/Slerp."""
    a, b = _unit_vector(*start), _unit_vector(*end)
    angle = float(np.arccos(np.clip(a @ b, -1.0, 1.0)))
    share = np.linspace(0.0, 1.0, 2 + int(angle / _STEP_RADIANS))[:, None]
    if np.sin(angle) < 1e-9:
        track = a + (b - a) * share
    else:
        track = (np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)
    longitude = np.degrees(np.arctan2(track[:, 1], track[:, 0]))
    latitude = np.degrees(np.arcsin(np.clip(track[:, 2], -1.0, 1.0)))
    line = np.column_stack([longitude, latitude])
    jumps = np.flatnonzero(np.abs(np.diff(longitude)) > 180.0) + 1
    return [piece for piece in np.split(line, jumps) if len(piece) > 1]


def _unit_vector(longitude_deg: float, latitude_deg: float) -> Coordinates:
    lon, lat = np.radians(longitude_deg), np.radians(latitude_deg)
    return np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
