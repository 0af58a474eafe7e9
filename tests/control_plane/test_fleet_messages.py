"""A unit's record on the wire says all that it says as a value."""

from __future__ import annotations

from control_plane.fleet.file import SAMPLE, read_fleet
from control_plane.fleet.unit import Position, ServedAreas, UnitId, UnitSpec
from control_plane.fleet_messages import spec_to_proto
from provisioner.api.mapping import spec_from_proto

SPEC = UnitSpec(
    id=UnitId("eu-west"),
    endpoint="eu-west.example.net:443",
    position=Position(latitude=53.3, longitude=-6.3),
    country="IE",
    capacity=2**53,
    weight=2.5,
    labels={"tier": "gold", "zone": ""},
    serves=ServedAreas(countries=("IE", "GB"), continents=("EU",)),
    tenants=("acme", "default"),
)


def test_every_field_is_in_the_message():
    message = spec_to_proto(SPEC)
    assert (message.unit_id, message.endpoint) == ("eu-west", "eu-west.example.net:443")
    assert (message.position.latitude, message.position.longitude) == (53.3, -6.3)
    assert (message.country, message.capacity, message.weight) == ("IE", 2**53, 2.5)
    assert dict(message.labels) == {"tier": "gold", "zone": ""}
    assert list(message.serves.countries) == ["IE", "GB"]
    assert list(message.serves.continents) == ["EU"]
    assert list(message.tenants) == ["acme", "default"]


def test_the_server_reads_it_back_as_it_was():
    for spec in (SPEC, *read_fleet(SAMPLE)):
        assert spec_from_proto(spec_to_proto(spec)) == spec
