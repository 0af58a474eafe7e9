"""The database: the flattened tree answers as MaxMind's own reader, and damage is refused."""

import hashlib
import ipaddress
import random
from pathlib import Path

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.geo.address import Address, Scope, parse, scope_of
from provisioner.geo.database import GeoDatabase, GeoDatabaseError, bundled_path
from provisioner.geo.database import parse as parse_database
from provisioner.geo.schema import is_location, location_from
from tests.support.mmdb import flat_record, write_mmdb

DATA = Path(__file__).parents[2] / "data" / "geo"
CITY = DATA / "GeoLite2-City-Test.mmdb"
COUNTRY = DATA / "GeoLite2-Country-Test.mmdb"
BROKEN = DATA / "GeoIP2-City-Test-Broken-Double-Format.mmdb"


@pytest.fixture(scope="module")
def opened():
    """Each file as we read it and as MaxMind's reader does."""
    paths = {"bundled": bundled_path(), "city": CITY, "country": COUNTRY}
    readers = {name: maxminddb.open_database(path) for name, path in paths.items()}
    yield {name: (GeoDatabase.open(path), readers[name]) for name, path in paths.items()}
    for reader in readers.values():
        reader.close()


def agree(database, reader, address):
    """For public addresses; others are nowhere, whatever a file says."""
    if parse(str(address)) != Address(address.version, int(address)):
        return  # an IPv6 address that stands for an IPv4 one
    record = reader.get(address) if scope_of(parse(str(address))) is Scope.PUBLIC else None
    expected = location_from(record) if is_location(record) else None
    assert database.find(Address(address.version, int(address))) == expected, address


@pytest.mark.parametrize("name", ["bundled", "city", "country"])
@given(addresses=st.lists(st.ip_addresses(v=4), min_size=20, max_size=60))
def test_finds_for_any_ipv4_address_what_maxminds_reader_finds(opened, name, addresses):
    for address in addresses:
        agree(*opened[name], address)


@pytest.mark.parametrize("name", ["bundled", "city", "country"])
@given(prefixes=st.lists(st.integers(0x20000000, 0x2FFFFFFF), min_size=20, max_size=60))
def test_finds_for_any_global_ipv6_network_what_maxminds_reader_finds(opened, name, prefixes):
    for prefix in prefixes:
        agree(*opened[name], ipaddress.IPv6Address(prefix << 96))


@pytest.mark.parametrize("name", ["bundled", "city", "country"])
def test_agrees_at_the_edges_of_networks_too(opened, name):
    """First and last address of some networks that the file has, and their neighbours."""
    database, reader = opened[name]
    networks = [network for network, _ in zip((n for n, _ in reader), range(400), strict=False)]
    for network in networks:
        if network.version == 6 and (
            network.prefixlen > 64 or int(network.network_address) >> 125 != 1
        ):
            continue
        for number in (int(network.network_address), int(network.broadcast_address)):
            for near in (number - 1, number, number + 1):
                if network.version == 4 and 0 <= near < 1 << 32:
                    agree(database, reader, ipaddress.IPv4Address(near))
                if network.version == 6 and near >> 64 == number >> 64:
                    agree(database, reader, ipaddress.IPv6Address(near))


@pytest.mark.parametrize(
    ("text", "country", "subdivision"),
    [
        ("81.2.69.142", "GB", "ENG"),
        ("::ffff:81.2.69.142", "GB", "ENG"),
        ("89.160.20.112", "SE", "E"),
        ("2001:480:10::1", "US", "CA"),
    ],
)
def test_reads_known_records_of_the_city_database(opened, text, country, subdivision):
    location = opened["city"][0].find(parse(text))
    assert (location.country, location.subdivision) == (country, subdivision)
    assert location.latitude is not None


def test_a_country_database_gives_a_position_with_an_honest_radius(opened):
    location = opened["country"][0].find(parse("89.160.20.112"))
    assert location.country == "SE"
    assert location.latitude == pytest.approx(60, abs=6)
    assert location.uncertainty_km > 50


def test_says_what_the_bundled_file_is(opened):
    info = opened["bundled"][0].info
    assert info.sha256 == hashlib.sha256(bundled_path().read_bytes()).hexdigest()
    assert info.size_bytes == bundled_path().stat().st_size
    assert "DB-IP" in info.attribution
    assert info.ip_version == 6
    assert info.locations > 1000


@pytest.mark.parametrize("bits", [24, 28, 32])
@pytest.mark.parametrize("version", [4, 6])
def test_reads_every_record_size_in_both_ip_versions(tmp_path, bits, version):
    path = tmp_path / "own.mmdb"
    networks = {
        "1.0.0.0/24": flat_record("AU", -33.9, 151.2),
        "1.0.1.0/25": flat_record("JP", 35.7, 139.7),
        "9.0.0.0/8": flat_record("US", 38.9, -77.4),
    }
    if version == 6:
        networks["2a00::/16"] = flat_record("IE", 53.3, -6.3)
    path.write_bytes(write_mmdb(networks, record_bits=bits, ip_version=version))
    database = GeoDatabase.open(path)

    def country(text):
        found = database.find(parse(text))
        return found.country if found else None

    assert [country(a) for a in ("1.0.0.255", "1.0.1.0", "1.0.1.128", "9.255.0.1")] == [
        "AU", "JP", None, "US",
    ]  # fmt: skip
    assert country("2a00:ffff::1") == ("IE" if version == 6 else None)
    assert country("2a01::") is None


def test_a_database_with_one_record_for_everything(tmp_path):
    path = tmp_path / "own.mmdb"
    path.write_bytes(write_mmdb({"0.0.0.0/0": flat_record("IE", 53.3, -6.3)}, ip_version=4))
    database = GeoDatabase.open(path)
    assert {database.find(Address(4, n)).country for n in (1 << 24, 1 << 31, 223 << 24)} == {"IE"}


def refused(path, content=None):
    """What the refusal says; the file's name stands in it."""
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GeoDatabaseError) as caught:
        GeoDatabase.open(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_refuses_an_empty_file(tmp_path):
    assert "is empty" in refused(tmp_path / "x.mmdb", b"")


def test_refuses_a_file_that_is_no_database(tmp_path):
    assert "is not a MaxMind database" in refused(tmp_path / "x.mmdb", b"PK\3\4" + bytes(5000))


def test_refuses_a_directory(tmp_path):
    assert "cannot be read" in refused(tmp_path)


def test_refuses_a_file_that_is_not_there(tmp_path):
    assert "cannot be read" in refused(tmp_path / "none.mmdb")


def test_refuses_the_damaged_file_of_maxminds_own_tests():
    assert "is damaged" in refused(BROKEN)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9])
def test_refuses_a_file_that_lost_its_end(tmp_path, share):
    content = CITY.read_bytes()
    said = refused(tmp_path / "x.mmdb", content[: int(len(content) * share)])
    assert "its end is missing" in said


def test_refuses_a_file_that_lost_its_middle(tmp_path):
    """As after a copy that was resumed at the wrong place: the metadata is whole."""
    content = CITY.read_bytes()
    marker = content.rfind(b"\xab\xcd\xefMaxMind.com")
    assert "past the end of the file" in refused(
        tmp_path / "x.mmdb", content[:1000] + content[marker:]
    )


@pytest.mark.parametrize("lost", [1, 5, 40, 100, 200])
def test_refuses_a_file_that_lost_the_end_of_its_metadata(tmp_path, lost):
    assert "damaged metadata" in refused(tmp_path / "x.mmdb", CITY.read_bytes()[:-lost])


def test_refuses_a_database_that_says_nothing_of_locations(tmp_path):
    content = write_mmdb({"1.0.0.0/8": {"autonomous_system_number": 64500}}, kind="Own-ASN")
    said = refused(tmp_path / "x.mmdb", content)
    assert '"Own-ASN"' in said
    assert "nothing of locations" in said


@pytest.mark.parametrize(
    ("record", "what"),
    [
        pytest.param({"country_code": "Ireland"}, "is not a country code", id="a-name"),
        pytest.param({"latitude": 91.0, "longitude": 0.0}, "is not on Earth", id="too-far-north"),
        pytest.param({"latitude": "here", "longitude": 0.0}, "not a coordinate", id="a-word"),
    ],
)
def test_refuses_a_database_with_one_impossible_record(tmp_path, record, what):
    networks = {"1.0.0.0/8": flat_record("IE", 53.3, -6.3), "2.0.0.0/8": record}
    assert what in refused(tmp_path / "x.mmdb", write_mmdb(networks))


def test_refuses_a_search_tree_with_loops(tmp_path):
    """Every node's children are the root: a walk never reaches a record."""
    content = bytearray(write_mmdb({"1.0.0.0/8": flat_record("IE", 53.3, -6.3)}, ip_version=4))
    nodes = 8  # a /8 in an IPv4 tree has eight, of six bytes each
    content[: nodes * 6] = bytes(nodes * 6)
    assert "loops" in refused(tmp_path / "x.mmdb", bytes(content))


def test_refuses_a_search_tree_that_points_past_the_data(tmp_path):
    content = bytearray(write_mmdb({"1.0.0.0/8": flat_record("IE", 53.3, -6.3)}, ip_version=4))
    content[3:6] = b"\xff\xff\xff"
    assert "points past the data" in refused(tmp_path / "x.mmdb", bytes(content))


def test_any_flipped_bit_of_the_metadata_is_refused_or_harmless():
    """Whatever the damage, it is a refusal with a sentence or a database that answers."""
    content = write_mmdb({"1.0.0.0/8": flat_record("IE", 53.3, -6.3)})
    marker = content.rfind(b"\xab\xcd\xefMaxMind.com")
    refusals = 0
    for place in range(marker, len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            try:
                parse_database(bytes(damaged), Path("x.mmdb")).find(parse("1.2.3.4"))
            except GeoDatabaseError:
                refusals += 1
    assert refusals > 200


def test_any_flipped_bit_of_tree_and_data_is_refused_or_harmless():
    content = write_mmdb(
        {"1.0.0.0/8": flat_record("IE", 53.3, -6.3), "9.0.0.0/8": {"city": {"names": {"en": "x"}}}}
    )
    marker = content.rfind(b"\xab\xcd\xefMaxMind.com")
    rng = random.Random(7)
    refusals = 0
    for _ in range(1500):
        damaged = bytearray(content)
        damaged[rng.randrange(marker)] ^= 1 << rng.randrange(8)
        try:
            parse_database(bytes(damaged), Path("x.mmdb")).find(parse("1.2.3.4"))
        except GeoDatabaseError:
            refusals += 1
    assert refusals > 100


def test_a_checksum_beside_the_file_must_hold(tmp_path):
    path = tmp_path / "city.mmdb"
    path.write_bytes(CITY.read_bytes())
    digest = hashlib.sha256(CITY.read_bytes()).hexdigest()
    sidecar = tmp_path / "city.mmdb.sha256"
    sidecar.write_text(f"{digest.upper()}  city.mmdb\n")
    assert GeoDatabase.open(path).info.sha256 == digest
    sidecar.write_text(f"{digest[:-1]}{'0' if digest[-1] != '0' else '1'}  city.mmdb\n")
    assert "does not match its checksum in city.mmdb.sha256" in refused(path)
    sidecar.write_text("")
    assert "does not match" in refused(path)


@pytest.mark.parametrize(
    ("epoch", "fault"),
    [
        pytest.param(1_780_000_000, "", id="seconds"),
        pytest.param(1_780_000_000_000, "looks like milliseconds", id="milliseconds"),
        pytest.param(1_780_000_000_000_000, "not a time in seconds", id="microseconds"),
        pytest.param(2**64 - 1, "not a time in seconds", id="the-largest-there-is"),
        pytest.param(0, "not a time in seconds", id="none"),
    ],
)
def test_a_time_of_build_that_is_none_in_seconds_is_said_and_harms_nothing(tmp_path, epoch, fault):
    path = tmp_path / "own.mmdb"
    networks = {"1.0.0.0/24": flat_record("AU", -33.9, 151.2)}
    path.write_bytes(write_mmdb(networks, ip_version=4, built_at=epoch))
    database = GeoDatabase.open(path)
    assert fault in database.info.build_epoch_fault
    assert bool(fault) == bool(database.info.build_epoch_fault)
    assert database.info.build_time_s == (None if fault else epoch)
    assert database.info.age_days(epoch + 86_400.0) == (0.0 if fault else 1.0)
    assert database.find(parse("1.0.0.1")).country == "AU"
