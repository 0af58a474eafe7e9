"""What needs no server: placing and locating, in this process."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable

import maxminddb
import maxminddb_rust

from bench.suite.measurement import Measurement, Ratio, Samples
from bench.workloads import addresses
from deployment_units.fleet.unit import UnitId
from provisioner.geo.database import GeoDatabase, bundled_path
from provisioner.geo.locator import Locator
from provisioner.placement.chooser import Chooser
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet, PlacementUnit
from provisioner.placement.occupancy import Occupancy

DECISIONS = 200_000
LOOKUPS = 200_000


def fleet(count: int) -> PlacementFleet:
    """Units at random places, the same each time."""
    rng = random.Random(count)
    units = tuple(
        PlacementUnit(
            id=UnitId(f"unit-{number}"),
            index=number,
            latitude=rng.uniform(-60, 70),
            longitude=rng.uniform(-180, 180),
            country="XX",
            continent="EU",
        )
        for number in range(count)
    )
    return PlacementFleet(units=units, revision=1)


def decisions_per_s(units: int, count: int) -> float:
    """Placement decisions over the places of real addresses, candidate lists warm."""
    locator = Locator(GeoDatabase.open)
    database = GeoDatabase.open()
    locator = Locator(lambda: database)
    places = [locator.locate(address, None, None) for address in addresses()]
    snapshot = fleet(units)
    occupancy = Occupancy(units)
    for unit in range(units):
        occupancy.update(unit, 1_000_000, 0.1)
    chooser = Chooser(snapshot, PlacementPolicy(), occupancy)
    for place in places:
        chooser.choose(place, "t", b"t/warm")
    asked = [(places[number % len(places)], b"t/client-%d" % number) for number in range(count)]
    choose = chooser.choose
    began = time.perf_counter()
    for place, client in asked:
        choose(place, "t", client)
    return count / (time.perf_counter() - began)


def random_public_addresses(count: int) -> list[str]:
    """IPv4 addresses drawn evenly from the public space, as text."""
    rng = random.Random(11)
    found: list[str] = []
    while len(found) < count:
        address = ipaddress.IPv4Address(rng.getrandbits(32))
        if address.is_global and not address.is_multicast:
            found.append(str(address))
    return found


def _rate(work: Callable[[str], object], texts: list[str]) -> float:
    began = time.perf_counter()
    for text in texts:
        work(text)
    return len(texts) / (time.perf_counter() - began)


def measure(samples: Samples, rounds: int, quick: bool, tick: Callable[[], None]) -> None:
    """Alternates small and large fleets, and our lookups with the raw ones."""
    scale = 5 if quick else 1
    texts = random_public_addresses(LOOKUPS // scale)
    database = GeoDatabase.open()
    locator = Locator(lambda: database)
    c_reader = maxminddb.open_database(str(bundled_path()), maxminddb.MODE_MMAP_EXT)
    rust_reader = maxminddb_rust.open_database(str(bundled_path()))
    path = ("country", "iso_code")
    for number in range(-1, rounds):
        ten = decisions_per_s(10, DECISIONS // scale)
        many = decisions_per_s(10_000, DECISIONS // scale)
        raw = _rate(c_reader.get, texts)
        ours = _rate(lambda text: locator.locate(text, None, None), texts)
        rust = _rate(lambda text: rust_reader.get_path(text, path), texts)
        tick()
        if number < 0:
            continue
        samples.add("decide_10_units_per_s", ten)
        samples.add("decide_10000_units_per_s", many)
        samples.add("maxminddb_c_get_per_s", raw)
        samples.add("maxminddb_rust_get_path_per_s", rust)
        samples.add("locate_per_s", ours)


PURE = Measurement(
    name="placing and locating",
    ratios=(
        Ratio(key="decide_10000_vs_10_units", ours="decide_10000_units_per_s",
              ceiling="decide_10_units_per_s", target=0.70),
        Ratio(key="locate_vs_raw_get", ours="locate_per_s",
              ceiling="maxminddb_c_get_per_s", target=1.00),
    ),
    units={
        "decide_10_units_per_s": "decisions/s", "decide_10000_units_per_s": "decisions/s",
        "maxminddb_c_get_per_s": "records/s", "maxminddb_rust_get_path_per_s": "countries/s",
        "locate_per_s": "locations/s",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
