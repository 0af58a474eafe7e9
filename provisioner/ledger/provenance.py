"""Provenance: what decided a client's home, kept in the value of its assignment.

Written in the transaction that writes the home, never after it, and replaced with it: a
move's provenance is that of the move. So `get` and `explain` can tell how a client came to
where it is, whatever would be decided now. Assignments from before this was kept have none.
"""

from __future__ import annotations

import msgspec

from provisioner.geo.location import Location
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.geodesy import distance_km

UNKNOWN_KM = -1.0


class Provenance(msgspec.Struct, frozen=True, array_like=True):
    """What decided, as an array in this order, for it is written with every client."""

    rule: str  # placement's, by which the unit won; empty: the move named the unit
    source: str  # of the location, as LocationSource has it; the cell says where that was
    distance_km: float  # great-circle, from the client to the unit; UNKNOWN_KM: not known
    fleet: int  # the store's revision as of which the units were known
    cause: str = ""  # of a move
    job: str = ""  # that moved it; empty: it moved when it asked
    left: str = ""  # the unit it left


_encode = msgspec.json.Encoder().encode


def provenance_of(
    fleet: PlacementFleet,
    unit_index: int,
    rule: str,
    location: Location,
    *,
    cause: str = "",
    job: str = "",
    left: str = "",
) -> Provenance:
    """Of a decision over this snapshot for a client at this location."""
    away_km = UNKNOWN_KM
    if location.latitude is not None and location.longitude is not None:
        unit = fleet.units[unit_index]
        away_km = round(
            distance_km(location.latitude, location.longitude, unit.latitude, unit.longitude), 1
        )
    return Provenance(rule, location.source.value, away_km, fleet.revision, cause, job, left)


def encode_provenance(provenance: Provenance) -> str:
    """As JSON, for encode_assignment; of a first decision without the fields of moves."""
    if not provenance.cause:
        rule, source, away_km, fleet = (
            provenance.rule, provenance.source, provenance.distance_km, provenance.fleet,
        )  # fmt: skip
        return f'["{rule}","{source}",{away_km},{fleet}]'
    return _encode(provenance).decode()
