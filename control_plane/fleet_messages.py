"""Maps a UnitSpec to the protobuf message that FleetService takes."""

from __future__ import annotations

from control_plane.fleet.unit import UnitSpec
from homeport.api.fleet.v1 import fleet_pb2
from homeport.api.geo.v1 import geo_pb2


def spec_to_proto(spec: UnitSpec) -> fleet_pb2.UnitSpec:
    """A UnitSpec for the wire."""
    return fleet_pb2.UnitSpec(
        unit_id=spec.id,
        endpoint=spec.endpoint,
        position=geo_pb2.Position(
            latitude=spec.position.latitude, longitude=spec.position.longitude
        ),
        country=spec.country,
        capacity=spec.capacity,
        weight=spec.weight,
        labels=dict(spec.labels),
        serves=fleet_pb2.ServedAreas(
            countries=spec.serves.countries, continents=spec.serves.continents
        ),
        tenants=spec.tenants,
    )
