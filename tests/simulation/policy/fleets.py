"""Fleets and places for simulations, the same for the same seed."""

from __future__ import annotations

import random

from control_plane.fleet.unit import Position, ServedAreas, UnitId, UnitSpec
from provisioner.geo.cells import cell_of
from provisioner.geo.location import NOWHERE, Location, LocationSource
from simulation.policy.simulated_fleet import SimulatedFleet

COUNTRIES = (("DE", 51.0, 10.0), ("FR", 47.0, 2.0), ("US", 39.0, -95.0), ("JP", 36.0, 138.0))


def random_units(rng: random.Random, count: int, capacity: int) -> list[UnitSpec]:
    """Units near the middle of some countries, of capacities around `capacity`."""
    units = []
    for number in range(count):
        country, latitude, longitude = rng.choice(COUNTRIES)
        units.append(
            UnitSpec(
                id=UnitId(f"unit-{number:03d}"),
                endpoint="unit.example:443",
                position=Position(
                    latitude=latitude + rng.uniform(-4, 4), longitude=longitude + rng.uniform(-4, 4)
                ),
                country=country,
                capacity=max(1, round(capacity * rng.uniform(0.2, 1.8))),
                weight=rng.choice([1.0, 1.0, 3.0]),
                serves=ServedAreas(countries=(country,) if rng.random() < 0.1 else ()),
            )
        )
    return units


def random_locations(rng: random.Random, count: int) -> list[Location]:
    """Places around the same countries, some of them vague; one with a country alone, and none."""
    found = [NOWHERE, Location(source=LocationSource.DATABASE, country="FR", continent="EU")]
    while len(found) < count:
        country, latitude, longitude = rng.choice(COUNTRIES)
        at = (latitude + rng.uniform(-6, 6), longitude + rng.uniform(-6, 6))
        within_km = rng.choice([0.0, 30.0, 200.0, 900.0])
        found.append(
            Location(
                source=LocationSource.DATABASE,
                country=country,
                continent={"US": "NA", "JP": "AS"}.get(country, "EU"),
                latitude=at[0],
                longitude=at[1],
                uncertainty_km=within_km,
                cell=cell_of(country, *at, within_km),
            )
        )
    return found


def with_others(fleet: SimulatedFleet, rng: random.Random) -> SimulatedFleet:
    """Units of which some are full or nearly so from the beginning."""
    for unit, capacity in enumerate(fleet.capacities):
        fleet.update(unit, min(capacity, round(capacity * rng.uniform(0.0, 1.2))))
    return fleet
