"""What the records of the various databases mean. Cold path: once per distinct record.

MaxMind's own schemas (GeoIP2 and GeoLite2 City and Country, DB-IP's too) are read through
geoip2's models; the flat one of ip-location-db (country_code, state1, latitude …) here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import geoip2.models

from provisioner.geo.countries import continent_of, countries
from provisioner.geo.location import Location, LocationSource, cell_of

DEFAULT_CITY_RADIUS_KM = 50.0  # for databases that give a position and no radius
_COUNTRY = re.compile(r"[A-Z]{2}\Z")


class BadRecord(ValueError):
    """The record says something that cannot be."""


def is_location(record: object) -> bool:
    """Whether a record says where something is at all."""
    return isinstance(record, Mapping) and not {
        "country", "registered_country", "continent", "location", "city", "country_code",
        "latitude",
    }.isdisjoint(record)  # fmt: skip


def location_from(record: Mapping[str, Any]) -> Location | None:
    """The Location a record stands for; None when it says nothing. Raises BadRecord."""
    if "country_code" in record or "latitude" in record:
        return _flat(record)
    try:
        city = geoip2.models.City(["en"], **record)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadRecord(f"a record does not follow the City schema: {error}") from error
    place = city.location
    region = city.subdivisions.most_specific
    return _location(
        city.country.iso_code or city.registered_country.iso_code,
        region.iso_code or region.name,
        city.continent.code,
        place.latitude,
        place.longitude,
        place.accuracy_radius,
    )


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
        raise BadRecord(f"{value!r} is not a coordinate") from error


def _location(
    country: Any,
    subdivision: Any,
    continent: Any,
    latitude: Any,
    longitude: Any,
    radius_km: Any,
) -> Location | None:
    code = country or ""
    if code and not (isinstance(code, str) and _COUNTRY.match(code)):
        raise BadRecord(f"{code!r} is not a country code")
    for name, value, limit in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        if value is None:
            continue
        if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > limit:
            raise BadRecord(f"{name} {value!r} is not on Earth")
    known = countries().get(code)
    if latitude is not None and longitude is not None:
        radius = DEFAULT_CITY_RADIUS_KM if radius_km is None else float(radius_km)
    elif known is not None:
        latitude, longitude, radius = known.latitude, known.longitude, known.radius_km
    else:
        latitude = longitude = None
        radius = 0.0
    if not math.isfinite(radius) or radius < 0:
        raise BadRecord(f"accuracy_radius {radius_km!r} is not a distance")
    area = continent if isinstance(continent, str) else ""
    if not code and not area and latitude is None:
        return None
    return Location(
        source=LocationSource.DATABASE,
        country=code,
        subdivision=str(subdivision or ""),
        continent=area or continent_of(code),
        latitude=latitude,
        longitude=longitude,
        uncertainty_km=radius,
        cell=cell_of(code, latitude, longitude, radius),
    )
