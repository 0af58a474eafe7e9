"""What needs no server: placing and locating, in this process."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable, Sequence

import maxminddb
import maxminddb_rust

from bench.suite.measurement import WARM_UP, Measurement, Ratio, Samples, divisor
from bench.workloads import addresses
from control_plane.fleet.unit import UnitId
from provisioner.geo.database import GeoDatabase, bundled_path
from provisioner.geo.location import Location
from provisioner.geo.locator import Locator
from provisioner.placement.chooser import Chooser
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet, PlacementUnit
from provisioner.placement.occupancy import Occupancy

CLIENTS = 200_000  # asked for in one pass
PASSES = 10
CHANGE_EVERY = 1_000  # decisions: one step is 5 % of a unit, here one of 20,000 clients
ROOM = 1_000_000  # slots: no unit fills
LOOKUPS = 300_000


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


class Decisions:
    """Decisions over one fleet for clients at the places of real addresses, with the
    candidate lists of all places warm."""

    def __init__(self, units: int, places: Sequence[Location]) -> None:
        self._units = units
        self._occupancy = Occupancy(units)
        for unit in range(units):
            self._occupancy.update(unit, ROOM, 0.1)
        self._chooser = Chooser(fleet(units), PlacementPolicy(), self._occupancy)
        self._asked = [
            (places[number % len(places)], b"t/client-%d" % number) for number in range(CLIENTS)
        ]
        self._pass()

    def _pass(self) -> None:
        choose = self._chooser.choose
        for place, client in self._asked:
            choose(place, "t", client)

    def per_s(self, passes: int) -> float:
        """Nothing changes meanwhile."""
        began = time.perf_counter()
        for _ in range(passes):
            self._pass()
        return passes * CLIENTS / (time.perf_counter() - began)

    def changing_us(self) -> float:
        """Microseconds of the processor a decision of one pass, as `changing_per_s` has it."""
        began = time.process_time()
        self.changing_per_s(1)
        return (time.process_time() - began) / CLIENTS * 1e6

    def changing_per_s(self, passes: int) -> float:
        """Meanwhile, every CHANGE_EVERY decisions, one unit moves to another load step, and
        what was kept about it is decided anew."""
        choose, update = self._chooser.choose, self._occupancy.update
        rng = random.Random(self._units)
        parts = [
            self._asked[start : start + CHANGE_EVERY] for start in range(0, CLIENTS, CHANGE_EVERY)
        ]
        began = time.perf_counter()
        for _ in range(passes):
            for part in parts:
                update(rng.randrange(self._units), ROOM, rng.choice((0.12, 0.17, 0.22)))
                for place, client in part:
                    choose(place, "t", client)
        return passes * CLIENTS / (time.perf_counter() - began)


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
    """Alternates small and large fleets, and our lookups with the raw ones. No address is
    looked up twice in a round."""
    texts = random_public_addresses(LOOKUPS // divisor(0, quick=quick))
    database = GeoDatabase.open()
    locator = Locator(lambda: database)
    c_reader = maxminddb.open_database(str(bundled_path()), maxminddb.MODE_MMAP_EXT)
    rust_reader = maxminddb_rust.open_database(str(bundled_path()))
    path = ("country", "iso_code")
    places = [locator.locate(address, None, None) for address in addresses()]
    few, many = Decisions(10, places), Decisions(10_000, places)
    for number in range(WARM_UP, rounds):
        kept = samples if number != WARM_UP else Samples()
        passes = PASSES // divisor(number, quick=quick)
        changing = max(1, passes // 2)
        kept.add("decide_10_units_per_s", few.per_s(passes))
        kept.add("decide_10000_units_per_s", many.per_s(passes))
        kept.add("decide_10_units_changing_per_s", few.changing_per_s(changing))
        kept.add("decide_10000_units_changing_per_s", many.changing_per_s(changing))
        kept.add("maxminddb_c_get_per_s", _rate(c_reader.get, texts))
        kept.add("locate_per_s", _rate(lambda text: locator.locate(text, None, None), texts))
        rust = _rate(lambda text: rust_reader.get_path(text, path), texts)
        kept.add("maxminddb_rust_get_path_per_s", rust)
        tick()


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
        "decide_10_units_changing_per_s": "decisions/s, loads changing",
        "decide_10000_units_changing_per_s": "decisions/s, loads changing",
        "maxminddb_c_get_per_s": "records/s", "maxminddb_rust_get_path_per_s": "countries/s",
        "locate_per_s": "locations/s",
    },
    run=measure,
    steps=lambda rounds: rounds + 1,
)  # fmt: skip
