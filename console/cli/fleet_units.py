"""The units that a command works with: of a fleet file, or those that a server has."""

from __future__ import annotations

from pathlib import Path

from console.cli.calls.fleet import FleetCalls
from console.cli.output import busy
from console.cli.profile import Target
from console.cli.views.units import TAKING, status_word
from control_plane.fleet.file import read_fleet
from control_plane.fleet.unit import Position, ServedAreas, UnitId, UnitSpec
from homeport.api.fleet.v1 import fleet_pb2 as fleet


def units_of(file: Path | None, target: Target) -> tuple[UnitSpec, ...]:
    """Those of the file; without one, those of the server that take new clients. Raises
    BadFleetFile, and what calls raise."""
    if file is not None:
        return read_fleet(file)
    with FleetCalls(target) as service, busy("reading the fleet"):
        listed = service.list_units()
    return tuple(_spec(unit.spec) for unit in listed if status_word(unit) in TAKING)


def _spec(message: fleet.UnitSpec) -> UnitSpec:
    return UnitSpec(
        id=UnitId(message.unit_id),
        endpoint=message.endpoint,
        position=Position(latitude=message.position.latitude, longitude=message.position.longitude),
        country=message.country,
        capacity=message.capacity,
        weight=message.weight,
        labels=dict(message.labels),
        serves=ServedAreas(
            countries=tuple(message.serves.countries), continents=tuple(message.serves.continents)
        ),
        tenants=tuple(message.tenants),
    )
