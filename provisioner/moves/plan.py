"""MovePlan: which clients would move where, with the fleet as it is now. Pure.

A plan moves nobody without need, never more clients than its bound, and gives no unit more
than the room it was shown; the same input makes the same plan. A job does not follow a plan
client by client, because the fleet changes meanwhile: it asks the same `Targets` for each
client when it moves it. A plan is what an operator sees beforehand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

from control_plane.fleet.unit import ServedAreas
from provisioner.geo.cells import location_of
from provisioner.geo.countries import continent_of
from provisioner.geo.location import LocationSource
from provisioner.moves.targets import Targets
from provisioner.placement.choice import Choice, NoChoice
from provisioner.placement.filters import PolicySource
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.occupancy import Occupancy

CONTINENTS = ("AF", "AN", "AS", "EU", "NA", "OC", "SA")
NO_ROOM = "no unit that may take them has room"


class MoveStrategy(Enum):
    """How a new unit is found."""

    PLACE = "place"  # as placement would
    SPREAD = "spread"  # over the next-best ones
    BETTER = "better"  # only where one is clearly better
    ANEW = "anew"  # as placement would, if the client came again


class Resident(NamedTuple):
    """A client where it is now."""

    key: bytes  # of its assignment, with its attributes
    tenant: str
    unit: str
    cell: str  # where it was when it was assigned
    source: LocationSource = LocationSource.UNKNOWN  # by whose word
    subdivision: str = ""  # in which it was then; empty: not recorded


class PlannedMove(NamedTuple):
    """One move of a plan."""

    resident: Resident
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePlan:
    """What a plan comes to. targets: clients by unit id."""

    targets: dict[str, int]
    stay: int  # have to move, and cannot
    stay_reason: str  # of most of them
    beyond_bound: int  # would move, were there no bound
    ways: dict[tuple[str, str], int]  # clients by the unit that they leave and where they go

    @property
    def moves(self) -> int:
        """Clients that would move."""
        return sum(self.targets.values())


class Planner:
    """Plans page by page; `made` is the plan so far.

    room, load, capacity: by unit index, as the fleet stands now; what is planned is taken
    off. bound: moves at most; None: no bound.
    """

    def __init__(
        self,
        fleet: PlacementFleet,
        policies: PolicySource,
        *,
        room: Sequence[int],
        load: Sequence[float],
        capacity: Sequence[int],
        strategy: MoveStrategy,
        bound: int | None = None,
    ) -> None:
        self._occupancy = Occupancy(len(fleet.units))
        for index, (slots, share) in enumerate(zip(room, load, strict=True)):
            self._occupancy.update(index, slots, share)
        self._targets = Targets(fleet, policies, self._occupancy)
        self._capacity = capacity
        self._strategy = strategy
        self._bound = bound
        self._moves: Counter[str] = Counter()
        self._ways: Counter[tuple[str, str]] = Counter()
        self._stays: Counter[str] = Counter()
        self._beyond = 0

    def add(self, residents: Iterable[Resident]) -> list[PlannedMove]:
        """Plans these as well; where they would go, in their order."""
        moves = []
        for resident in residents:
            found = self._target(resident)
            if found is None:
                continue
            if isinstance(found, NoChoice):
                self._stays[NO_ROOM if found.allowed else found.reason] += 1
                continue
            if self._bound is not None and self._moves.total() >= self._bound:
                self._beyond += 1
                continue
            unit = self._targets.fleet.units[found.unit_index].id
            self._moves[unit] += 1
            self._ways[resident.unit, unit] += 1
            self._shift(resident.unit, found.unit_index)
            moves.append(PlannedMove(resident, unit))
        return moves

    def plan(self) -> MovePlan:
        """The plan of all that were added."""
        reasons = sorted(self._stays.items(), key=lambda r: (-r[1], r[0]))
        return MovePlan(
            targets=dict(sorted(self._moves.items(), key=lambda t: (-t[1], t[0]))),
            stay=self._stays.total(),
            stay_reason=reasons[0][0] if reasons else "",
            beyond_bound=self._beyond,
            ways=dict(sorted(self._ways.items(), key=lambda way: (-way[1], way[0]))),
        )

    def _target(self, resident: Resident) -> Choice | NoChoice | None:
        location = location_of(resident.cell, resident.source, resident.subdivision)
        if self._strategy is MoveStrategy.PLACE:
            return self._targets.place(location, resident.tenant, resident.key)
        if self._strategy is MoveStrategy.SPREAD:
            return self._targets.spread(location, resident.tenant, resident.key)
        if self._strategy is MoveStrategy.ANEW:
            found = self._targets.anew(location, resident.tenant, resident.key, resident.unit)
            stays = self._targets.indices.get(resident.unit)
            return None if isinstance(found, Choice) and found.unit_index == stays else found
        return self._targets.better(location, resident.tenant, resident.key, resident.unit)

    def _shift(self, source: str, target: int) -> None:
        occupancy, capacity = self._occupancy, self._capacity
        room, load = occupancy.room[target] - 1, occupancy.load[target] + 1 / capacity[target]
        occupancy.update(target, room, load)
        here = self._targets.indices.get(source)
        if here is not None:
            # Its room does not grow: nobody may count on a slot before it is given back.
            less = max(0.0, occupancy.load[here] - 1 / capacity[here])
            occupancy.update(here, occupancy.room[here], less)


def without(fleet: PlacementFleet, unit_id: str, reason: str) -> PlacementFleet:
    """The fleet as it is when this unit takes no clients."""
    units = tuple(
        replace(unit, accepting=False, not_accepting_reason=reason) if unit.id == unit_id else unit
        for unit in fleet.units
    )
    return PlacementFleet(units=units, revision=fleet.revision, latencies=fleet.latencies)


def left_without(
    fleet: PlacementFleet, unit_id: str, tenants: Iterable[str]
) -> tuple[str, tuple[str, ...]]:
    """Whom the fleet cannot serve without this unit: (first such tenant, ()), or ("", the
    other units that this answer stands on, one or few for each tenant).

    A unit's clients may be anywhere it serves; others must serve all of that between them.
    """
    leaving = next((unit for unit in fleet.units if unit.id == unit_id), None)
    if leaving is None:
        return "", ()
    others = [unit for unit in fleet.units if unit.id != unit_id and unit.accepting]
    witnesses: dict[str, None] = {}
    for tenant in sorted(tenants):
        if leaving.tenants and tenant not in leaving.tenants:
            continue
        able = [unit for unit in others if not unit.tenants or tenant in unit.tenants]
        for area in _areas(leaving.serves):
            serving = [unit.id for unit in able if _serves(unit.serves, area)]
            # Rather one that counts already: the fewer others this stands on, the better.
            served = next((one for one in serving if one in witnesses), None) or next(
                iter(serving), None
            )
            if served is None:
                return tenant, ()
            witnesses[served] = None
    return "", tuple(witnesses)


def _areas(serves: ServedAreas) -> list[str]:
    """Continents and countries that a unit serves; everywhere is all continents."""
    if not serves.countries and not serves.continents:
        return list(CONTINENTS)
    return [*serves.continents, *serves.countries]


def _serves(serves: ServedAreas, area: str) -> bool:
    if not serves.countries and not serves.continents:
        return True
    if area in CONTINENTS:
        return area in serves.continents
    return area in serves.countries or continent_of(area) in serves.continents
