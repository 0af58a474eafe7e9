"""Cells: the short names of places, made from a location and read back into one.

Caches begin with them, and an assignment keeps no more of where its client was: when the
client is moved while it is away, the middle of the cell is as good as the location that the
cell was made from. Locations of one cell may still be decided differently, where units are
about as near as each other: a decision is of the position, never of the cell.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import cos, hypot, radians

from provisioner.geo.countries import continent_of
from provisioner.geo.location import NOWHERE, Location, LocationSource

HALF_DEGREES = 0.05  # from a cell's middle to its sides, both ways
MOST_REACH_KM = 8.0  # more than from a cell's middle to a corner, anywhere
HALF_KM = 0.5  # of uncertainty: what rounding took away or added at most

_CELL = re.compile(r"([A-Z]{2})?(?:@([A-Z]{2}))?:(?:(-?\d{1,2}\.\d),(-?\d{1,3}\.\d)~(\d{1,5}))?")


def cell_of(
    country: str,
    latitude: float | None,
    longitude: float | None,
    uncertainty_km: float,
    continent: str = "",
) -> str:
    """The cell of a location: country, position to 0.1 degree (11 km), uncertainty in km; the
    continent, where the country does not say it.

    >>> cell_of("IE", 53.34, -6.26, 20.0)
    'IE:53.3,-6.3~20'
    >>> cell_of("", None, None, 0.0, "EU")
    '@EU:'

    No zero has a sign, or the cell at the equator would be two:

    >>> cell_of("KE", -0.01, 36.0, 0.0)
    'KE:0.0,36.0~0'
    """
    area = f"{country}@{continent}" if continent and continent != continent_of(country) else country
    if latitude is None or longitude is None:
        return f"{area}:"
    return f"{area}:{latitude:z.1f},{longitude:z.1f}~{uncertainty_km:.0f}"


def reach_km(latitude: float, km_per_radian: float) -> float:
    """How far a position may be from the middle of its cell, whose latitude in degrees this
    is: 7.9 km at most, on a sphere of this radius. Rounding is to the nearest, so that the
    cell is a rectangle of degrees around its middle, widest on the side of the equator."""
    widest = cos(radians(max(0.0, abs(latitude) - HALF_DEGREES)))
    return km_per_radian * radians(HALF_DEGREES) * hypot(1.0, widest) * 1.0001


@lru_cache(maxsize=50_000)
def location_of(
    cell: str, source: LocationSource = LocationSource.UNKNOWN, subdivision: str = ""
) -> Location:
    """A location of this very cell, its middle; NOWHERE for what is no cell. subdivision: what is
    known of that besides.

    >>> location_of("IE:53.3,-6.3~20").uncertainty_km
    20.0
    """
    match = _CELL.fullmatch(cell)
    if match is None:
        return NOWHERE
    country, continent, latitude, longitude, uncertainty = match.groups(default="")
    return Location(
        source=source,
        country=country,
        subdivision=subdivision,
        continent=continent or continent_of(country),
        latitude=float(latitude) if latitude else None,
        longitude=float(longitude) if longitude else None,
        uncertainty_km=float(uncertainty) if uncertainty else 0.0,
        cell=cell,
    )
