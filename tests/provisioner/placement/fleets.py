"""Small fleets for tests of placement."""

from deployment_units.fleet.unit import UnitId
from provisioner.geo.location import Location, LocationSource, cell_of
from provisioner.placement.fleet import PlacementFleet, PlacementUnit

CITIES = {
    "fiji": (-17.7, 177.4, "FJ", "OC"),
    "hawaii": (21.3, -157.9, "US", "OC"),
    "svalbard": (78.2, 15.6, "NO", "EU"),
    "dublin": (53.3, -6.3, "IE", "EU"),
    "frankfurt": (50.1, 8.7, "DE", "EU"),
    "nairobi": (-1.3, 36.8, "KE", "AF"),
    "oregon": (45.8, -119.7, "US", "NA"),
    "virginia": (38.9, -77.4, "US", "NA"),
}


def unit(name, index=0, **changes):
    latitude, longitude, country, continent = CITIES.get(name, (0.0, 0.0, "XX", ""))
    given = {
        "id": UnitId(name),
        "index": index,
        "latitude": latitude,
        "longitude": longitude,
        "country": country,
        "continent": continent,
    }
    return PlacementUnit(**{**given, **changes})


def fleet(*names, **changes):
    """Units by name; `changes` maps a name to what is different about it."""
    units = tuple(unit(name, index, **changes.get(name, {})) for index, name in enumerate(names))
    return PlacementFleet(units=units, revision=1)


def at(latitude, longitude, *, country="", continent="", uncertainty_km=0.0):
    return Location(
        source=LocationSource.DECLARED,
        country=country,
        continent=continent,
        latitude=latitude,
        longitude=longitude,
        uncertainty_km=uncertainty_km,
        cell=cell_of(country, latitude, longitude, uncertainty_km),
    )


def country_only(country, continent=""):
    return Location(
        source=LocationSource.DATABASE,
        country=country,
        continent=continent,
        cell=cell_of(country, None, None, 0.0),
    )
