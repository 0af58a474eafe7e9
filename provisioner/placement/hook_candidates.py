"""HookCandidates: the units that a hook is asked about, as a policy ranks them. Pure state.

Those with room first, pool by pool and nearest first; where they are fewer than asked for, full
ones fill up, so that the answer still holds when these have room again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from provisioner.geo.location import Location
from provisioner.placement.candidates import place_of
from provisioner.placement.eligibility import Eligibility
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.geodesy import Floats, distance_km
from provisioner.placement.occupancy import Occupancy

MOST_POLICIES = 64  # of which it keeps who may live where


@dataclass(frozen=True, slots=True, kw_only=True)
class HookCandidate:
    """distance_km None: unknown; load: share of capacity that is taken, 0.0 to 1.0."""

    unit: str
    distance_km: float | None
    load: float


class HookCandidates:
    """Over one fleet snapshot; `occupancy` belongs to it."""

    def __init__(self, fleet: PlacementFleet, occupancy: Occupancy) -> None:
        self._fleet = fleet
        self._occupancy = occupancy
        self._eligibilities: dict[PlacementPolicy, Eligibility] = {}

    def is_of(self, fleet: PlacementFleet) -> bool:
        """Whether it is over this snapshot."""
        return self._fleet is fleet

    def of(
        self, policy: PlacementPolicy, location: Location, tenant: str, *, most: int
    ) -> tuple[HookCandidate, ...]:
        """For clients of a tenant at a location, no more than `most`; () where no unit may take
        them."""
        free: list[int] = []
        full: list[int] = []
        stage: PlacementPolicy | None = policy
        while stage is not None:
            for index in self._ranked(stage, location, tenant, most):
                (free if self._occupancy.room[index] > 0 else full).append(index)
            stage = stage.spillover
        found = list(dict.fromkeys((*free, *full)))[:most]
        return tuple(self._candidate(index, location) for index in found)

    def _ranked(
        self, policy: PlacementPolicy, location: Location, tenant: str, most: int
    ) -> Iterator[int]:
        """The first `most` with room, and the first `most` without."""
        eligible = self._eligibility(policy).of(location, tenant)
        if not len(eligible.indices):
            return
        tiers = place_of(location, policy).tiers(eligible)
        is_open = self._occupancy.is_open[eligible.indices] != 0
        within = tiers < np.inf  # of the cap in latency, where there is one
        for among in (np.flatnonzero(within & is_open), np.flatnonzero(within & ~is_open)):
            yield from eligible.indices[among[_nearest(tiers[among], most)]].tolist()

    def _eligibility(self, policy: PlacementPolicy) -> Eligibility:
        found = self._eligibilities.get(policy)
        if found is None:
            if len(self._eligibilities) >= MOST_POLICIES:
                self._eligibilities.clear()
            found = self._eligibilities[policy] = Eligibility(self._fleet, policy)
        return found

    def _candidate(self, index: int, location: Location) -> HookCandidate:
        unit, away_km = self._fleet.units[index], None
        if location.latitude is not None and location.longitude is not None:
            away_km = distance_km(
                location.latitude, location.longitude, unit.latitude, unit.longitude
            )
        return HookCandidate(unit=unit.id, distance_km=away_km, load=self._occupancy.load[index])


def _nearest(tiers: Floats, most: int) -> NDArray[np.intp]:
    """Where the lowest `most` are, in order; those that are equal as they stand. A fleet is not
    sorted for them: of 10,000 units that takes as long as all the rest."""
    if len(tiers) <= most:
        return np.argsort(tiers, kind="stable")
    worth = np.flatnonzero(tiers <= np.partition(tiers, most - 1)[most - 1])
    found: NDArray[np.intp] = worth[np.argsort(tiers[worth], kind="stable")][:most]
    return found
