"""Cells: the short names of places, made from a location and read back into one.

Equal cells decide alike, so caches go by them, and an assignment keeps no more of where its
client was: when the client is moved while it is away, the middle of the cell is as good as
the location that the cell was made from.
"""

from __future__ import annotations

import re
from functools import lru_cache

from provisioner.geo.countries import continent_of
from provisioner.geo.location import NOWHERE, Location, LocationSource

_CELL = re.compile(r"([A-Z]{2})?:(?:(-?\d{1,2}\.\d),(-?\d{1,3}\.\d)~(\d{1,5}))?")


def cell_of(
    country: str, latitude: float | None, longitude: float | None, uncertainty_km: float
) -> str:
    """The cell of a location: country, position to 0.1 degree (11 km), uncertainty in km.

    >>> cell_of("IE", 53.34, -6.26, 20.0)
    'IE:53.3,-6.3~20'
    """
    if latitude is None or longitude is None:
        return f"{country}:"
    return f"{country}:{latitude:.1f},{longitude:.1f}~{uncertainty_km:.0f}"


@lru_cache(maxsize=50_000)
def location_of(cell: str) -> Location:
    """A location of this very cell; NOWHERE for what is no cell.

    >>> location_of("IE:53.3,-6.3~20").uncertainty_km
    20.0
    """
    match = _CELL.fullmatch(cell)
    if match is None:
        return NOWHERE
    country, latitude, longitude, uncertainty = match.groups(default="")
    return Location(
        source=LocationSource.DATABASE,
        country=country,
        continent=continent_of(country),
        latitude=float(latitude) if latitude else None,
        longitude=float(longitude) if longitude else None,
        uncertainty_km=float(uncertainty) if uncertainty else 0.0,
        cell=cell,
    )
