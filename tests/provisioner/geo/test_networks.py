"""The widest network around an address of which the same is said."""

from __future__ import annotations

import ipaddress
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.geo.address import Address
from provisioner.geo.database import GeoDatabase
from provisioner.geo.location import Location, LocationSource
from provisioner.geo.locator import Locator
from provisioner.geo.networks import widest_network
from provisioner.geo.overrides import Override, Overrides
from tests.support.provisioning_harness import bundled_database

CITY = Path(__file__).parents[2] / "data" / "geo" / "GeoLite2-City-Test.mmdb"
SAID = Location(source=LocationSource.OVERRIDE, country="IE", cell="IE:")


@given(
    version=st.sampled_from([4, 6]),
    numbers=st.tuples(*[st.integers(0, (1 << 128) - 1)] * 3),
)
def test_it_holds_the_address_and_none_outside_and_no_wider_one_does(version, numbers):
    bits = 32 if version == 4 else 128
    first, number, last = sorted(one % (1 << bits) for one in numbers)
    found = ipaddress.ip_network(widest_network(Address(version, number), first, last))
    assert (found.version, found.max_prefixlen) == (version, bits)
    assert first <= int(found.network_address) <= number <= int(found.broadcast_address) <= last
    if found.prefixlen:
        wider = found.supernet()
        assert int(wider.network_address) < first or int(wider.broadcast_address) > last


def said_of(database: GeoDatabase, number: int, version: int) -> Location | None:
    return database.find(Address(version, number))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("which", ["bundled", "city"])
def test_every_address_in_it_is_where_the_first_one_is(which, version):
    """Of the ends of ranges and of any address, for the whole of both files' public space."""
    rng = random.Random(version)
    database = bundled_database() if which == "bundled" else GeoDatabase.open(CITY)
    locator = Locator(lambda: database)
    starts = database.v4.starts if version == 4 else database.v6.starts
    held = 0
    for _ in range(600):
        edge = rng.choice(starts) + rng.choice([-1, 0, 1, 255])
        number = edge if version == 4 else (edge << 64) + rng.getrandbits(64)
        if not 0 <= number < 1 << (32 if version == 4 else 128):
            continue
        text = str(ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number))
        location = database.find(Address(version, number))
        if location is None or locator.locate(text, None, None) is not location:
            continue  # an IPv6 address that stands for an IPv4 one is looked up as that
        network = ipaddress.ip_network(locator.network(text, location))
        low, high = int(network.network_address), int(network.broadcast_address)
        for other in (low, high, rng.randint(low, high)):
            assert database.find(Address(version, other)) is location, (text, network)
        wider = network.supernet()
        ends = int(wider.network_address), int(wider.broadcast_address)
        first, last = database.around(Address(version, number))
        assert ends[0] < first or ends[1] > last, "it could be wider"
        held += 1
    assert held > 100


def test_an_override_beside_it_bounds_it_and_one_around_it_leaves_none():
    database = bundled_database()
    plain, address = Locator(lambda: database), "81.2.69.142"
    location = plain.locate(address, None, None)
    wide = ipaddress.ip_network(plain.network(address, location))
    assert wide.prefixlen < 31
    other = next(one for one in wide.hosts() if str(one) != address)
    beside = Overrides([Override(network=ipaddress.ip_network(f"{other}/32"), location=SAID)])
    bounded = ipaddress.ip_network(Locator(lambda: database, beside).network(address, location))
    assert other not in bounded
    assert ipaddress.ip_address(address) in bounded
    around = Overrides([Override(network=wide, location=SAID)])
    assert Locator(lambda: database, around).network(address, location) == ""


def test_what_another_database_said_has_none():
    database = bundled_database()
    assert Locator(lambda: database).network("81.2.69.142", SAID) == ""
