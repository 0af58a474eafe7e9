"""The flattened database answers as MaxMind's own reader does, and damage is refused."""

import asyncio
import hashlib
import ipaddress
import random
import threading
from pathlib import Path

import maxminddb
import pytest

from provisioner.geo.address import parse
from provisioner.geo.database import GeoDatabase, GeoDatabaseError, bundled_path
from provisioner.geo.reloading import GeoReloader
from provisioner.geo.schema import BadRecord, location_from

DATA = Path(__file__).parents[2] / "data" / "geo"
CITY = DATA / "GeoLite2-City-Test.mmdb"
COUNTRY = DATA / "GeoLite2-Country-Test.mmdb"


@pytest.fixture(scope="module")
def bundled():
    return GeoDatabase.open()


def addresses(path: Path, count: int) -> list[str]:
    """Random ones, and the first and last of networks in the file."""
    rng = random.Random(5)
    found = [str(ipaddress.IPv4Address(rng.getrandbits(32))) for _ in range(count)]
    found += [str(ipaddress.IPv6Address((0x2 << 124) | rng.getrandbits(124))) for _ in range(count)]
    with maxminddb.open_database(str(path)) as reader:
        for number, (network, _) in enumerate(reader):
            if number > count:
                break
            found += [str(network[0]), str(network[-1])]
    return found


@pytest.mark.parametrize("path", [bundled_path(), CITY, COUNTRY], ids=lambda p: p.name)
def test_every_lookup_equals_the_raw_record(path):
    ours = GeoDatabase.open(path)
    with maxminddb.open_database(str(path)) as reader:
        for text in addresses(path, 3_000):
            parsed = parse(text)
            if parsed.version == 4 and ":" in text:
                continue  # an IPv4 address inside; looked up as such
            record = reader.get(text)
            location = ours.find(parsed)
            if location is None:
                assert not record or location_from(record) is None
                continue
            country = record.get("country") or record.get("registered_country") or {}
            assert location.country == country.get("iso_code", "")
            if "location" in record and "latitude" in record["location"]:
                assert location.latitude == record["location"]["latitude"]
                assert location.longitude == record["location"]["longitude"]


def test_a_country_database_still_gives_a_position_with_an_honest_radius():
    location = GeoDatabase.open(COUNTRY).find(parse("81.2.69.142"))
    assert location.country == "GB"
    assert 50 < location.latitude < 60
    assert location.uncertainty_km > 50


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


def damaged(tmp_path, content: bytes) -> Path:
    path = tmp_path / "broken.mmdb"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    content = CITY.read_bytes()
    path = damaged(tmp_path, content[: int(len(content) * share)])
    with pytest.raises(GeoDatabaseError, match=r"broken\.mmdb"):
        GeoDatabase.open(path)


def test_a_truncated_front_is_refused(tmp_path):
    content = CITY.read_bytes()
    with pytest.raises(GeoDatabaseError):
        GeoDatabase.open(damaged(tmp_path, content[len(content) // 2 :]))


def test_pointers_out_of_the_file_are_refused(tmp_path):
    content = bytearray(CITY.read_bytes())
    content[0:7] = b"\xff" * 7
    with pytest.raises(GeoDatabaseError, match="damaged"):
        GeoDatabase.open(damaged(tmp_path, bytes(content)))


def test_flipped_bits_never_do_worse_than_a_wrong_answer(tmp_path):
    """A flip is refused, or changes an answer and nothing else: no crash, no exception."""
    content = CITY.read_bytes()
    rng = random.Random(3)
    refused = 0
    for _ in range(60):
        flipped = bytearray(content)
        for _ in range(20):
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        try:
            database = GeoDatabase.open(damaged(tmp_path, bytes(flipped)))
            database.find(parse("81.2.69.142"))
        except GeoDatabaseError:
            refused += 1
    assert refused > 20


def test_a_checksum_beside_the_file_catches_any_flip(tmp_path):
    content = CITY.read_bytes()
    path = damaged(tmp_path, content)
    sidecar = tmp_path / "broken.mmdb.sha256"
    sidecar.write_text(f"{hashlib.sha256(content).hexdigest()}  broken.mmdb\n")
    assert GeoDatabase.open(path).info.sha256 in sidecar.read_text()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(GeoDatabaseError, match="checksum"):
        GeoDatabase.open(path)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda p: p / "missing.mmdb", id="missing"),
        pytest.param(lambda p: p, id="a-folder"),
        pytest.param(lambda p: damaged(p, b""), id="empty"),
        pytest.param(lambda p: damaged(p, b"PK\x03\x04" * 999), id="another-format"),
        pytest.param(
            lambda p: DATA / "GeoIP2-City-Test-Broken-Double-Format.mmdb", id="maxminds-broken-one"
        ),
    ],
)
def test_what_is_no_database_is_refused_with_its_name(tmp_path, make):
    path = make(tmp_path)
    with pytest.raises(GeoDatabaseError) as caught:
        GeoDatabase.open(path)
    assert path.name in caught.value.message


async def test_a_new_file_counts_under_load_and_a_broken_one_does_not(tmp_path):
    path = tmp_path / "live.mmdb"
    path.write_bytes(COUNTRY.read_bytes())
    reloader = GeoReloader.open(path)
    stop, failures, looked = threading.Event(), [], [0]

    def hammer() -> None:
        address = parse("81.2.69.142")
        while not stop.is_set():
            try:
                assert reloader().find(address).country == "GB"
                looked[0] += 1
            except Exception as error:  # noqa: BLE001 - any failed call fails the test
                failures.append(error)

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        fresh = tmp_path / "fresh.mmdb"
        fresh.write_bytes(CITY.read_bytes())
        fresh.replace(path)
        assert await reloader.look()
        assert reloader().info.database_type == "GeoLite2-City"
        for content in (b"junk", CITY.read_bytes()[:9000], b""):
            path.write_bytes(content)  # in place, under the readers
            assert not await reloader.look()
            assert reloader().info.database_type == "GeoLite2-City"
            await asyncio.sleep(0)
        path.write_bytes(COUNTRY.read_bytes())
        assert await reloader.look()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert reloader().info.database_type == "GeoLite2-Country"
    assert reloader.refusals == 3
    assert "live.mmdb" in reloader.last_refusal
    assert failures == []
    assert looked[0] > 0
