"""Who knows best where a client is; overrides; samples that look like users."""

import ipaddress
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from control_plane.fleet.unit import Position
from control_plane.yaml_files import MOST_BYTES
from provisioner.geo.address import Address, Scope, parse, scope_of
from provisioner.geo.countries import countries
from provisioner.geo.database import GeoDatabase
from provisioner.geo.location import Location, LocationSource
from provisioner.geo.locator import Locator
from provisioner.geo.overrides import BadOverrides, Override, Overrides
from provisioner.geo.sampling import population_weights, sample_public_addresses
from tests.support.mmdb import flat_record, write_mmdb

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
        ("overrides: [{cidr: 10.0.0.0/8, city: Cork}]", 'unknown key "city"'),
        (
            "overrides: [{cidr: 10.0.0.0/8, position: {latitude: 99, longitude: 0}}]",
            "position.latitude",
        ),
        (
            "overrides: [{cidr: 10.0.0.0/8, country: IE}, {cidr: 10.0.0.0/8, country: IE}]",
            "overrides[1]",
        ),
        ("overrides: [{cidr: '::ffff:192.0.2.0/120', country: IE}]", "holds IPv4 clients"),
        ("overrides: [{cidr: '2002:c000:200::/40', country: IE}]", "holds IPv4 clients"),
        ("overrides: [{cidr: 10.0.0.0/8, country: IE, uncertainty_km: -1}]", "0 to 20,100"),
        ("overrides: [{cidr: 10.0.0.0/8, country: IE, uncertainty_km: .nan}]", "0 to 20,100"),
        ("overrides: [{cidr: 10.0.0.0/8, country: IE, uncertainty_km: wide}]", "0 to 20,100"),
        ("overrides: [{cidr: 10.0.0.0/8, position: {latitude: 9}}]", "latitude and longitude"),
        (
            "overrides: [{cidr: 10.0.0.0/8, position: {latitude: x, longitude: 0}}]",
            "is not a number",
        ),
        ("overrides: [10.0.0.0/8]", "is a mapping with a cidr"),
        ("overrides: [{cidr: 2024-02-31, country: IE}]", "is not YAML"),
        ("overrides: [{cidr: 10.0.0.0/8, country: IE, subdivision: [L]}]", 'subdivision ["L"]'),
        (f"overrides: [{{cidr: 10.0.0.0/8, country: IE, subdivision: {'L' * 65}}}]", "64"),
        ("overrides: [{cidr: 10.0.0.0/8, country: IE, country: DE}]", "stands there twice"),
        ("a: &a [x, x]\noverrides: [*a, *a]", "anchors and aliases"),
        ("overrides: " + "[" * 17 + "]" * 17, "deeper than 16 levels"),
        ("overrides: [{uncertainty_km: " + "9" * 5_000 + "}]", "5,000 digits"),
        ("#" * (MOST_BYTES + 1), "larger than 8,388,608 bytes"),
        ("nothing", "needs a list"),
        ("{", "is not YAML"),
    ],
    ids=lambda value: value[:60],
)
def test_a_bad_override_is_named(tmp_path, text, said):
    with pytest.raises(BadOverrides) as caught:
        overrides(tmp_path, text)
    assert said in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert isinstance(caught.value, InvalidInput)  # so that the program ends with 2


def test_of_many_faults_a_hundred_are_told(tmp_path):
    with pytest.raises(BadOverrides, match="900 more"):
        overrides(tmp_path, "overrides: [" + "x, " * 1_000 + "]")


networks = st.integers(0, 8).flatmap(
    lambda bits: st.integers(0, 255).map(
        lambda top: ipaddress.ip_network((top << 24, bits), strict=False)
    )
)


def test_all_bad_overrides_are_told_together(tmp_path):
    with pytest.raises(BadOverrides) as caught:
        overrides(tmp_path, "overrides: [{cidr: x}, {cidr: 10.0.0.0/8, country: IE}, 7]")
    lines = caught.value.message.splitlines()
    assert ["overrides[0]" in lines[0], "overrides[2]" in lines[1], len(lines)] == [True, True, 2]


def test_an_override_by_country_is_as_uncertain_as_the_country_is_wide(tmp_path):
    known = overrides(
        tmp_path,
        "overrides:\n"
        "  - {cidr: '2001:db8::/32', country: DE}\n"
        "  - {cidr: '2001:db8:1::/48', country: DE, uncertainty_km: 20, subdivision: }\n",
    )
    wide, narrow = known.find(parse("2001:db8::1")), known.find(parse("2001:db8:1::1"))
    assert wide.uncertainty_km == countries()["DE"].radius_km
    assert (narrow.uncertainty_km, narrow.subdivision, narrow.continent) == (20.0, "", "EU")
    assert known.find(parse("2001:db9::1")) is None


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


six_blocks = st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(
    lambda pair: ipaddress.IPv6Network(pair, strict=False)
)


@given(st.lists(six_blocks, min_size=1, max_size=8, unique=True), st.data())
def test_the_longest_block_wins_in_ipv6_up_to_every_edge(blocks, data):
    nested = [
        ipaddress.IPv6Network(
            (int(block.network_address), data.draw(st.integers(block.prefixlen, 128)))
        )
        for block in blocks
    ]
    every = list(dict.fromkeys(blocks + nested))
    entries = [
        Override(
            network=block,
            location=Location(source=LocationSource.OVERRIDE, subdivision=str(block)),
        )
        for block in every
    ]
    table = Overrides(entries)
    edges = {int(b.network_address) + step for b in every for step in (-1, 0, 1)}
    edges |= {int(b.broadcast_address) + step for b in every for step in (-1, 0, 1)}
    for number in edges:
        if not 0 <= number < 1 << 128:
            continue
        around = [b for b in every if ipaddress.IPv6Address(number) in b]
        expected = str(max(around, key=lambda b: b.prefixlen)) if around else None
        found = table.find(Address(6, number))
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


def test_more_addresses_than_there_are_is_refused_instead_of_looked_for_for_ever(tmp_path):
    path = tmp_path / "tiny.mmdb"
    path.write_bytes(write_mmdb({"81.2.69.0/28": flat_record("GB", 51.5, -0.1)}, ip_version=4))
    tiny = GeoDatabase.open(path)
    assert len(sample_public_addresses(tiny, 16, 1, {"GB": 1.0})) == 16
    with pytest.raises(ValueError, match="hardly more than 16 addresses"):
        sample_public_addresses(tiny, 17, 1, {"GB": 1.0})


def test_a_sample_follows_the_weights_it_is_given(database):
    sample = sample_public_addresses(database, 3_000, 2, {"IE": 3.0, "JP": 1.0, "XX": 5.0})
    places = Counter(database.find(parse(text)).country for text in sample)
    assert set(places) == {"IE", "JP"}
    assert places["IE"] / 3_000 == pytest.approx(0.75, abs=0.05)
    assert sample != sample_public_addresses(database, 3_000, 3, {"IE": 3.0, "JP": 1.0})
