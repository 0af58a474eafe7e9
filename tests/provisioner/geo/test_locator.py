"""Who knows best where a client is; overrides; samples that look like users."""

import ipaddress
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from deployment_units.fleet.unit import Position
from provisioner.geo.address import Address, Scope, parse, scope_of
from provisioner.geo.countries import countries
from provisioner.geo.database import GeoDatabase
from provisioner.geo.location import Location, LocationSource
from provisioner.geo.locator import Locator
from provisioner.geo.overrides import BadOverrides, Override, Overrides
from provisioner.geo.sampling import population_weights, sample_public_addresses

HOME = Position(latitude=10.0, longitude=20.0)


@pytest.fixture(scope="module")
def database():
    return GeoDatabase.open()


def overrides(tmp_path, text: str) -> Overrides:
    path = tmp_path / "overrides.yaml"
    path.write_text(text)
    return Overrides.read(path)


@pytest.mark.parametrize(
    ("address", "declared", "default", "source"),
    [
        ("203.0.113.9", (1.0, 2.0), HOME, LocationSource.OVERRIDE),
        ("81.2.69.142", (1.0, 2.0), HOME, LocationSource.DECLARED),
        ("81.2.69.142", None, HOME, LocationSource.DATABASE),
        ("10.0.0.1", None, HOME, LocationSource.TENANT_DEFAULT),
        (None, None, HOME, LocationSource.TENANT_DEFAULT),
        ("10.0.0.1", None, None, LocationSource.NOWHERE),
        (None, None, None, LocationSource.NOWHERE),
    ],
)
def test_whoever_knows_best_is_believed(database, tmp_path, address, declared, default, source):
    known = overrides(tmp_path, "overrides: [{cidr: 203.0.113.0/24, country: IE}]")
    locator = Locator(lambda: database, known)
    location, how = locator.explain(address, declared, default)
    assert location.source is source
    assert location == locator.locate(address, declared, default)
    assert how


def test_a_declared_position_keeps_the_country_of_the_address(database):
    location = Locator(lambda: database).locate("81.2.69.142", (48.0, 2.0), None)
    assert (location.country, location.latitude, location.uncertainty_km) == ("GB", 48.0, 0.0)


@pytest.mark.parametrize("declared", [(90.1, 0.0), (0.0, -180.5), (float("inf"), 0.0)])
def test_a_position_off_the_earth_is_refused(database, declared):
    with pytest.raises(InvalidInput, match="must be between"):
        Locator(lambda: database).locate(None, declared, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("overrides: [{cidr: 10.0.0.1/8, country: IE}]", "host bits"),
        ("overrides: [{cidr: x, country: IE}]", "cidr"),
        ("overrides: [{cidr: 10.0.0.0/8}]", "needs a country or a position"),
        ("overrides: [{cidr: 10.0.0.0/8, country: XX}]", "ISO 3166-1"),
        ("overrides: [{cidr: 10.0.0.0/8, country: NO}]", "quotes"),
        ("overrides: [{cidr: 10.0.0.0/8, city: Cork}]", "unknown key 'city'"),
        (
            "overrides: [{cidr: 10.0.0.0/8, position: {latitude: 99, longitude: 0}}]",
            "position.latitude",
        ),
        (
            "overrides: [{cidr: 10.0.0.0/8, country: IE}, {cidr: 10.0.0.0/8, country: IE}]",
            "overrides[1]",
        ),
        ("nothing", "needs a list"),
        ("{", "cannot be read"),
    ],
)
def test_a_bad_override_is_named(tmp_path, text, said):
    with pytest.raises(BadOverrides) as caught:
        overrides(tmp_path, text)
    assert said in caught.value.message


networks = st.integers(0, 8).flatmap(
    lambda bits: st.integers(0, 255).map(
        lambda top: ipaddress.ip_network((top << 24, bits), strict=False)
    )
)


@given(st.lists(networks, max_size=12, unique=True), st.integers(0, 2**32 - 1))
def test_the_longest_block_wins(blocks, number):
    entries = [
        Override(
            network=block,
            location=Location(source=LocationSource.OVERRIDE, subdivision=str(block)),
        )
        for block in blocks
    ]
    around = [b for b in blocks if ipaddress.IPv4Address(number) in b]
    expected = str(max(around, key=lambda b: b.prefixlen)) if around else None
    found = Overrides(entries).find(Address(4, number))
    assert (found.subdivision if found else None) == expected


def test_samples_are_distinct_public_repeatable_and_where_people_are(database):
    sample = sample_public_addresses(database, 5_000, 1)
    assert sample == sample_public_addresses(database, 5_000, 1)
    assert len(set(sample)) == 5_000
    parsed = [parse(text) for text in sample]
    assert {scope_of(one) for one in parsed} == {Scope.PUBLIC}
    assert 0.2 < sum(one.version == 6 for one in parsed) / 5_000 < 0.4
    places = Counter(database.find(one).country for one in parsed)
    world = sum(population_weights().values())
    for code in ("IN", "CN", "US", "BR", "NG"):
        expected = countries()[code].population / world
        assert places[code] / 5_000 == pytest.approx(expected, rel=0.25)


def test_a_sample_of_a_country_nobody_has_is_refused(database):
    with pytest.raises(ValueError, match="none of these countries"):
        sample_public_addresses(database, 1, 1, {"XX": 1.0})
