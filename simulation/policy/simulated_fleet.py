"""SimulatedFleet: the units of a simulation, how many clients each has, and when that matters.

A unit matters to decisions at two kinds of moments alone: when the share of its capacity that is
taken enters another step, and when it is full. Clients only come in a simulation, so both happen
once each, and a decision holds until one of them happens to a unit that it looked at.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil

from control_plane.errors import InvalidInput
from control_plane.fleet.unit import UnitSpec
from provisioner.geo.countries import continent_of
from provisioner.placement.choice import LOAD_STEPS, load_step
from provisioner.placement.fleet import PlacementFleet, PlacementUnit
from provisioner.placement.latency import NOTHING_MEASURED, Latencies


class SimulatedFleet:
    """Over one placement fleet; `capacities` by unit index, in clients. room and load are what
    placement is asked with: load is good to its step."""

    def __init__(self, fleet: PlacementFleet, capacities: Sequence[int]) -> None:
        self.fleet = fleet
        self.capacities = list(capacities)
        self.room = list(capacities)
        self.load = [0.0 if capacity > 0 else 1.0 for capacity in capacities]

    def next_change(self, unit: int, clients: int) -> int | None:
        """With how many clients the unit, which has so many, matters next; None: it is full."""
        capacity = self.capacities[unit]
        if clients >= capacity:
            return None
        step = load_step(clients / capacity)
        at = max(clients + 1, ceil((step + 1) * capacity / LOAD_STEPS) - 1)
        while load_step(at / capacity) <= step:
            at += 1
        return min(at, capacity)

    def update(self, unit: int, clients: int) -> None:
        """The unit has so many clients."""
        capacity = self.capacities[unit]
        self.room[unit] = capacity - clients
        self.load[unit] = min(1.0, clients / capacity) if capacity > 0 else 1.0

    def enter_step(self, unit: int, step: int) -> None:
        """The unit's load is in this step from now on; LOAD_STEPS: it is full."""
        self.load[unit] = (step + 0.5) / LOAD_STEPS if step < LOAD_STEPS else 1.0
        if step >= LOAD_STEPS:
            self.room[unit] = 0


def simulated_fleet(
    units: Sequence[UnitSpec],
    without: Collection[str] = (),
    latencies: Latencies = NOTHING_MEASURED,
) -> SimulatedFleet:
    """All units, those in `without` taking nobody. latencies: what was measured. Raises
    InvalidInput where it names others.

    Units keep their places in the fleet whatever is left out, so that two simulations of one
    fleet can be compared by them."""
    known = {str(unit.id) for unit in units}
    unknown = sorted(set(without) - known)
    if unknown:
        raise InvalidInput(
            "without",
            f"the fleet has no unit {', '.join(unknown)}; it has {', '.join(sorted(known)[:20])}",
        )
    ordered = sorted(units, key=lambda unit: str(unit.id))
    return SimulatedFleet(
        PlacementFleet(
            units=tuple(
                PlacementUnit(
                    id=unit.id,
                    index=index,
                    latitude=unit.position.latitude,
                    longitude=unit.position.longitude,
                    country=unit.country,
                    continent=continent_of(unit.country),
                    weight=unit.weight,
                    serves=unit.serves,
                    tenants=unit.tenants,
                    labels=unit.labels,
                    accepting=unit.id not in without,
                    not_accepting_reason="it is left out" if unit.id in without else "",
                )
                for index, unit in enumerate(ordered)
            ),
            revision=1,
            latencies=latencies,
        ),
        [unit.capacity for unit in ordered],
    )
