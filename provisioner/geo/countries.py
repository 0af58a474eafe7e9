"""Countries: continent, where their users are on average, how far spread, how many people.

Facts from data/countries.csv; data/ATTRIBUTION.md says where they come from. A Country
database says only the country, and this is what turns that into a position with an honest
uncertainty.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """One ISO 3166-1 country."""

    code: str  # alpha-2
    continent: str  # AF AN AS EU NA OC SA
    latitude: float  # of the middle of its users, degrees
    longitude: float
    radius_km: float  # RMS distance of its users from there
    population: int


@cache
def countries() -> Mapping[str, Country]:
    """All of them by code."""
    table = files("provisioner.geo").joinpath("data/countries.csv").read_text(encoding="utf-8")
    return {
        row["country"]: Country(
            code=row["country"],
            continent=row["continent"],
            latitude=float(row["latitude"]),
            longitude=float(row["longitude"]),
            radius_km=float(row["radius_km"]),
            population=int(row["population_thousands"]) * 1000,
        )
        for row in csv.DictReader(table.splitlines())
    }


def continent_of(code: str) -> str:
    """The continent of a country; empty for a code nobody knows."""
    country = countries().get(code)
    return country.continent if country is not None else ""
