"""Addresses located together are where each of them is alone."""

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.errors import InvalidInput
from provisioner.geo.batch_lookup import find_many
from provisioner.geo.database import GeoDatabase
from provisioner.geo.locator import Locator
from provisioner.geo.overrides import Overrides
from provisioner.geo.sampling import sample_public_addresses
from tests.support.mmdb import flat_record, write_mmdb

CITY = Path(__file__).parents[2] / "data" / "geo" / "GeoLite2-City-Test.mmdb"

plain_ipv6 = st.integers(0x2003 << 112, (0x4000 << 112) - 1).map(
    lambda number: str(ipaddress.IPv6Address(number))
)
texts = (
    st.ip_addresses(v=4).map(str)
    | st.ip_addresses(v=6).map(str)
    | plain_ipv6
    | st.sampled_from(
        [
            "", "8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "fe80::1%eth0",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2a00:1450::200:5efe:808:808", "224.0.0.1",
            "8.8.8.8\0", "\udc80", "::", "10.0.0.1", "81.2.69.142", "2a00:1450::1",
        ]
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def databases():
    return [GeoDatabase.open(), GeoDatabase.open(CITY)]


@given(addresses=st.lists(texts, max_size=40))
def test_what_is_found_is_what_each_finds_alone(databases, addresses):
    for database in databases:
        locator = Locator(lambda database=database: database)
        for address, found in zip(addresses, find_many(database, addresses), strict=True):
            if found is not None:
                assert locator.locate(address, None, None) is found


def test_nearly_every_client_is_found(databases):
    addresses = sample_public_addresses(databases[0], 2_000, seed=3)
    assert sum(found is None for found in find_many(databases[0], addresses)) < 40


def test_networks_longer_than_64_bits_are_left_to_the_locator(tmp_path):
    path = tmp_path / "divided.mmdb"
    path.write_bytes(write_mmdb({"2a00:1:2:3::/96": flat_record("IE", 53.0, -6.0)}))
    database = GeoDatabase.open(path)
    assert find_many(database, ["2a00:1:2:3::1", "2a00:1:2:3:ffff::1"]) == [None, None]
    assert Locator(lambda: database).locate("2a00:1:2:3::1", None, None).country == "IE"


def test_with_overrides_each_address_is_asked_for(databases, tmp_path):
    file = tmp_path / "overrides.yaml"
    file.write_text("overrides:\n  - {cidr: 8.8.8.0/24, country: IE}\n")
    locator = Locator(lambda: databases[0], Overrides.read(file))
    assert locator.locate_plain(["8.8.8.8", "1.1.1.1"]) == [None, None]


def test_an_address_that_is_none_is_complained_of_alone(databases):
    locator = Locator(lambda: databases[0])
    found = locator.locate_plain(["81.2.69.142", "nonsense"])
    assert found[0] is not None
    assert found[1] is None
    with pytest.raises(InvalidInput, match="not an IPv4 or IPv6 address"):
        locator.locate("nonsense", None, None)
