"""What the records of the various databases mean. Cold path: once per distinct record.

MaxMind's own schemas (GeoIP2 and GeoLite2 City and Country, DB-IP's too) are read through
geoip2's models; the flat one of ip-location-db (country_code, state1, latitude …) here.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from typing import Any

import geoip2.models

from control_plane.printable import quoted
from provisioner.geo.cells import cell_of
from provisioner.geo.countries import continent_of, countries
from provisioner.geo.location import Location, LocationSource

DEFAULT_CITY_RADIUS_KM = 50.0  # for databases that give a position and no radius
CONTINENTS = frozenset({"AF", "AN", "AS", "EU", "NA", "OC", "SA"})
_WITH_A_PLACE = frozenset({
    "country", "registered_country", "continent", "location", "city", "country_code", "latitude",
})  # fmt: skip
_COUNTRY = re.compile(r"[A-Z]{2}\Z")


class BadRecord(ValueError):
    """The record says something that cannot be."""


def is_location(record: object) -> bool:
    """Whether a record says where something is at all."""
    return isinstance(record, Mapping) and not _WITH_A_PLACE.isdisjoint(record)


def location_from(record: Mapping[str, Any]) -> Location | None:
    """The Location a record stands for; None when it says nothing. Raises BadRecord."""
    if "country_code" in record or "latitude" in record:
        return _flat(record)
    try:
        city = geoip2.models.City(["en"], **record)
        region = city.subdivisions.most_specific
        return _location(
            city.country.iso_code or city.registered_country.iso_code,
            region.iso_code or region.name,
            city.continent.code,
            city.location.latitude,
            city.location.longitude,
            city.location.accuracy_radius,
        )
    except (TypeError, AttributeError) as error:
        raise BadRecord(f"a record does not follow the City schema: {error}") from error


def _flat(record: Mapping[str, Any]) -> Location | None:
    return _location(
        record.get("country_code"),
        record.get("state1") or record.get("city"),
        record.get("continent_code"),
        _number(record.get("latitude")),
        _number(record.get("longitude")),
        None,
    )


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise BadRecord(f"{quoted(value)} is not a coordinate") from error


def _location(
    country: Any,
    subdivision: Any,
    continent: Any,
    latitude: Any,
    longitude: Any,
    radius_km: Any,
) -> Location | None:
    code = _text(country, "country code")
    if code and not _COUNTRY.match(code):
        raise BadRecord(f"{quoted(code)} is not a country code")
    area = _text(continent, "continent") or continent_of(code)
    if area and area not in CONTINENTS:
        raise BadRecord(f"{quoted(area)} is not a continent")
    if (latitude is None) != (longitude is None):
        raise BadRecord("a position has a latitude or a longitude alone")
    known = countries().get(code)
    if latitude is not None:
        latitude, longitude = _degrees(latitude, 90), _degrees(longitude, 180)
        radius = DEFAULT_CITY_RADIUS_KM if radius_km is None else _distance(radius_km)
    elif known is not None:
        latitude, longitude, radius = known.latitude, known.longitude, known.radius_km
    elif code or area:
        radius = 0.0
    else:
        return None
    return Location(
        source=LocationSource.DATABASE,
        country=code,
        subdivision=_text(subdivision, "subdivision"),
        continent=area,
        latitude=latitude,
        longitude=longitude,
        uncertainty_km=radius,
        cell=cell_of(code, latitude, longitude, radius, area),
    )


def _text(value: Any, what: str) -> str:
    """One object for equal texts: a file has a million records and a few thousand texts."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRecord(f"the {what} {quoted(value)} is not a text")
    return sys.intern(value)


def _degrees(value: Any, limit: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= limit:
        raise BadRecord(f"the coordinate {quoted(value)} is not on Earth")
    return float(value)


def _distance(value: Any) -> float:
    if not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise BadRecord(f"the accuracy radius {quoted(value)} is not a distance")
    return float(value)
