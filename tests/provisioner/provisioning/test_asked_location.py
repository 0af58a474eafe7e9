"""Where a client is of whom nobody says where it is: as its record has it, if it has a home."""

from __future__ import annotations

import pytest

from control_plane.fleet.unit import Position
from provisioner.geo.location import LocationSource
from provisioner.geo.locator import Locator
from provisioner.geo.reloading import GeoReloader
from provisioner.ledger.assignment import AssignmentRecord
from provisioner.ledger.provenance import Provenance
from provisioner.provisioning.asked_location import unsaid_location

IN_BRITAIN = "81.2.69.142"
BERLIN = Position(latitude=52.5, longitude=13.4)


@pytest.fixture(scope="module")
def locator() -> Locator:
    return Locator(GeoReloader.open(None), None)


def record(cell: str = "IE:53.3,-6.3~20", source: str | None = "database") -> AssignmentRecord:
    why = Provenance("nearest", source, 1.0, 1) if source is not None else None
    return AssignmentRecord(unit="dublin", epoch=1, at_ms=1, cell=cell, why=why)


def nobody_asks() -> str:
    raise AssertionError("where the call comes from says nothing of this client")


@pytest.mark.parametrize(
    ("known", "default", "source", "country", "said"),
    [
        (record(), None, LocationSource.DATABASE, "IE", "by the geo database of then"),
        (record(source="declared"), BERLIN, LocationSource.DECLARED, "IE", "declared"),
        (record(source=None), None, LocationSource.UNKNOWN, "IE", "its record says where it was"),
        (record("IE:"), BERLIN, LocationSource.DATABASE, "IE", "its record says where it was"),
        (record("nowhere", "nowhere"), None, LocationSource.NOWHERE, "", "nobody knew"),
        (record("", None), None, LocationSource.NOWHERE, "", "nobody knew"),
        (record("nowhere"), BERLIN, LocationSource.TENANT_DEFAULT, "", "default position counts"),
    ],
)
def test_a_client_with_a_home_is_where_its_record_says(
    locator, known, default, source, country, said
):
    location, how = unsaid_location(locator, known, default, caller=nobody_asks, store_away=False)
    assert (location.source, location.country) == (source, country)
    assert how.startswith("nobody said where the client is")
    assert said in how


def test_a_client_without_a_home_is_where_the_call_comes_from(locator):
    location, how = unsaid_location(
        locator, None, None, caller=lambda: IN_BRITAIN, store_away=False
    )
    assert location.country == "GB"
    assert "it has no home" in how
    assert "where this call comes from counts" in how
    assert IN_BRITAIN in how


def test_while_the_store_is_away_nothing_is_guessed(locator):
    location, how = unsaid_location(locator, None, None, caller=nobody_asks, store_away=True)
    assert location.source is LocationSource.NOWHERE
    assert "the store that has its record is away" in how
    location, _ = unsaid_location(locator, None, BERLIN, caller=nobody_asks, store_away=True)
    assert location.source is LocationSource.TENANT_DEFAULT
