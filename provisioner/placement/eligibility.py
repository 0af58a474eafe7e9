"""Eligibility: the units that may take clients of one tenant from one area, found once.

Asking every unit of a large fleet takes milliseconds, and the answer is the same for all
places of a country. Most fleets restrict nobody, and then it is the same for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from provisioner.geo.location import Location
from provisioner.placement.filters import PlacementPolicy, why_never, why_not_here
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.geodesy import Floats
from provisioner.placement.latency import LatencyCaps
from provisioner.placement.narrowing import narrowing_of
from provisioner.placement.ranking import Scale, put_first, scale_of

MOST_KEPT = 1024  # pairs of tenant and area

NO_UNIT = "none of its units may take a client from there"
NOBODY_KNOWS_WHERE = "nobody knows where the client is, and the policy refuses such clients"


@dataclass(frozen=True, slots=True, eq=False)
class EligibleUnits:
    """Arrays in step, by ascending index. `refusal`: why there are none, when there are none, and
    `emptied_by` the rules of a policy that did it; scale: None: by distance alone."""

    fleet: PlacementFleet
    indices: NDArray[np.intp]
    vectors: Floats  # unit vectors of their positions, shape (n, 3)
    ids: tuple[str, ...]
    refusal: str
    emptied_by: tuple[str, ...] = ()
    scale: Scale | None = None

    @property
    def weights(self) -> Floats:
        """The relative share of each unit of the fleet among equals, by its index."""
        return self.fleet.weights if self.scale is None else self.scale.weights

    @property
    def by_load(self) -> bool:
        """Whether the less loaded of equals go first."""
        return self.scale is None or self.scale.by_load

    @property
    def caps(self) -> LatencyCaps | None:
        """Caps in latency that leave out units, by the place; None: there are none."""
        if self.scale is None or self.scale.latency is None:
            return None
        return self.scale.latency if self.scale.latency.steps else None


class Eligibility:
    """Over one fleet snapshot and policy. before_hook: of the policy without what its hook said,
    where that is known: then nothing is asked of units that are out already."""

    def __init__(
        self,
        fleet: PlacementFleet,
        policy: PlacementPolicy,
        before_hook: Eligibility | None = None,
    ) -> None:
        self._fleet = fleet
        self._policy = policy
        self._scale: Scale | None
        if before_hook is None or policy.answer is None:
            self._ever = [unit for unit in fleet.units if not why_never(unit, policy, fleet)]
            self._scale = scale_of(policy.ranking, fleet)
        else:
            said = policy.constraints[len(before_hook._policy.constraints) :]
            self._ever = before_hook._ever
            for one in said:
                units, forbids = one.selector.units, one.forbids
                self._ever = [unit for unit in self._ever if (unit.id in units) is not forbids]
            first = [at for unit in policy.answer.order if (at := fleet.index_of(unit)) >= 0]
            self._scale = put_first(before_hook._scale, fleet, first)
        self._kept: dict[tuple[str, str, str], EligibleUnits] = {}
        self._alike: dict[bytes, EligibleUnits] = {}
        self._denied = self._eligible([], policy.denied, (policy.denied_by,))
        self._refused = self._eligible([], NOBODY_KNOWS_WHERE)

    @property
    def kept(self) -> int:
        """Pairs of tenant and area that are known by now; at most MOST_KEPT."""
        return len(self._kept)

    def of(self, location: Location, tenant: str) -> EligibleUnits:
        """The units that may take a client of `tenant` at `location`."""
        if self._policy.denied:
            return self._denied
        if self._policy.nowhere == "refuse" and is_nowhere(location):
            return self._refused
        fleet = self._fleet
        key = (
            tenant if fleet.by_tenant else "",
            location.country if fleet.by_area else "",
            location.continent if fleet.by_area else "",
        )
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
                self._alike.clear()
            found = [u.index for u in self._ever if not why_not_here(u, location, tenant)]
            if found:
                kept = self._kept[key] = self._eligible(found, "")
            else:
                refusal, rules = narrowing_of(fleet, self._policy, location, tenant)
                kept = self._kept[key] = self._eligible([], refusal or NO_UNIT, rules)
        return kept

    def _eligible(
        self, found: list[int], refusal: str, emptied_by: tuple[str, ...] = ()
    ) -> EligibleUnits:
        """Areas with the same units share one object: there are 250 countries."""
        fleet = self._fleet
        indices = np.array(found, dtype=np.intp)
        name = refusal.encode() if not found else indices.tobytes()
        alike = self._alike.get(name)
        if alike is None:
            everyone = len(found) == len(fleet.units)
            alike = self._alike[name] = EligibleUnits(
                fleet=fleet,
                indices=indices,
                vectors=fleet.vectors if everyone else fleet.vectors[indices],
                ids=tuple(fleet.units[index].id for index in found),
                refusal=refusal,
                emptied_by=emptied_by,
                scale=self._scale,
            )
        return alike


def is_nowhere(location: Location) -> bool:
    """Whether nothing is known that units could be ranked by."""
    return location.latitude is None and not location.country and not location.continent
