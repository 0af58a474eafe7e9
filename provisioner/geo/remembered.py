"""The location that a cell names, for clients who are moved while they are not there.

An assignment keeps no more of where its client was than the cell. Equal cells decide alike,
so the cell's middle is as good as what it was made from.
"""

from __future__ import annotations

import re
from functools import lru_cache

from provisioner.geo.countries import continent_of
from provisioner.geo.location import NOWHERE, Location, LocationSource

_CELL = re.compile(r"([A-Z]{2})?:(?:(-?\d{1,2}\.\d),(-?\d{1,3}\.\d)~(\d{1,5}))?")


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
