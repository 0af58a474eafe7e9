"""Location: the answer to "where is this client?", with how well that is known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LocationSource(StrEnum):
    """Who said so, best first."""

    OVERRIDE = "override"  # an operator's CIDR override
    DECLARED = "declared"  # the caller, who may
    DATABASE = "database"  # the geo database
    TENANT_DEFAULT = "tenant-default"
    NOWHERE = "nowhere"
    UNKNOWN = "unknown"  # it was recorded without


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a client is. Latitude and longitude are both known or both None; a country may
    be known without them (Country databases), or nothing at all (NOWHERE).

    `cell` names the place, roughly, for caches and records. It is derived by `cell_of`, once
    per location, never on the hot path.
    """

    source: LocationSource
    country: str = ""  # ISO 3166-1 alpha-2; empty: unknown
    subdivision: str = ""  # ISO 3166-2 code or name; empty: unknown
    continent: str = ""  # AF AN AS EU NA OC SA; empty: unknown
    latitude: float | None = None  # degrees
    longitude: float | None = None
    uncertainty_km: float = 0.0  # radius around the position; 0.0: exact, or unknown
    cell: str = ""


NOWHERE = Location(source=LocationSource.NOWHERE, cell="nowhere")
