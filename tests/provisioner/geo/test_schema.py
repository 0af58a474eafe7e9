"""What records of the various databases mean, and which mean nothing that can be."""

import pytest

from provisioner.geo.location import Location
from provisioner.geo.schema import DEFAULT_CITY_RADIUS_KM, BadRecord, is_location, location_from


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param({"country_code": "IE"}, ("IE", "EU", True), id="flat-country"),
        pytest.param(
            {"country_code": "FR", "state1": "Bretagne", "latitude": "48.1", "longitude": "-1.7"},
            ("FR", "EU", True), id="flat-city-with-texts",
        ),
        pytest.param({"continent": {"code": "EU"}}, ("", "EU", False), id="continent-alone"),
        pytest.param({"registered_country": {"iso_code": "US"}}, ("US", "NA", True),
                     id="registered-country-alone"),
    ],
)  # fmt: skip
def test_schemas(record, expected):
    location = location_from(record)
    assert (location.country, location.continent, location.latitude is not None) == expected


@pytest.mark.parametrize(
    "record",
    [
        {"location": {"latitude": 91.0, "longitude": 0.0}},
        {"location": {"latitude": 1.0, "longitude": float("nan")}},
        {"country": {"iso_code": "Ireland"}},
        {"country_code": "IE", "latitude": "north", "longitude": "1"},
        {"country": 7},
    ],
)
def test_a_record_that_cannot_be_is_damage(record):
    with pytest.raises(BadRecord):
        location_from(record)


def test_the_flat_schema_gives_a_whole_location():
    """As ip-location-db writes it: numbers as texts or as numbers, empty texts for unknown."""
    record = {
        "city": "Rennes", "country_code": "FR", "latitude": 48.11, "longitude": "-1.68",
        "postcode": "", "state1": "Bretagne", "state2": "", "timezone": "",
    }  # fmt: skip
    location = location_from(record)
    assert isinstance(location, Location)
    assert (location.country, location.subdivision) == ("FR", "Bretagne")
    assert (location.latitude, location.longitude) == (48.11, -1.68)
    assert location.uncertainty_km == DEFAULT_CITY_RADIUS_KM
    assert location.cell == "FR:48.1,-1.7~50"


def test_an_empty_flat_record_says_nothing():
    assert location_from({"country_code": "", "latitude": "", "longitude": ""}) is None


@pytest.mark.parametrize("radius", [-1, float("inf"), "wide"])
def test_a_radius_that_is_no_distance_is_damage(radius):
    place = {"latitude": 1.0, "longitude": 2.0, "accuracy_radius": radius}
    with pytest.raises(ValueError, match=r"radius|wide"):
        location_from({"location": place})


@pytest.mark.parametrize("record", [None, "IE", {"autonomous_system_number": 1}, [], {}])
def test_records_without_any_place_are_no_locations(record):
    assert not is_location(record)
