"""CandidateList: the units that may take a client from one place, nearest first.

Building one costs a pass over the fleet, so `Chooser` keeps lists per location cell: clients
of one place share it, and deciding costs what the list holds, not what the fleet holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from provisioner.geo.location import Location
from provisioner.placement.filters import PlacementPolicy, why_not
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.geodesy import distances_km

MOST_EQUALS = 256  # units within the uncertainty that are kept at most
UNKNOWN_KM = -1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateList:
    """Everything `choose` needs about a place. The sequences run in step, nearest first.

    tiers: distances for comparing: km, or 0, 1, 2 for same country, same continent,
    elsewhere where no position is known; `distances_km` is what is reported (-1: unknown).
    equals_within: units whose tier differs by no more than this count as equally near.
    """

    fleet: PlacementFleet
    indices: tuple[int, ...]
    tiers: tuple[float, ...]
    distances_km: tuple[float, ...]
    equals_within: float
    whole: bool  # whether every unit that may take the client is in the list
    spread: bool  # whether nothing is known of the location
    refusal: str  # why there are no candidates, when there are none


def build(
    fleet: PlacementFleet,
    policy: PlacementPolicy,
    location: Location,
    tenant: str,
    *,
    keep_all: bool = False,
) -> CandidateList:
    """The candidates for a client of `tenant` at `location`."""
    units = fleet.units
    nowhere = location.latitude is None and not location.country
    refusal = ""
    if nowhere and policy.nowhere == "refuse":
        allowed: list[int] = []
        refusal = "nobody knows where the client is, and the policy refuses such clients"
    else:
        allowed = [u.index for u in units if not why_not(u, policy, location, tenant)]
        if not allowed:
            refusal = "none of its units may take a client from there"
    chosen = np.array(allowed, dtype=np.intp)
    if location.latitude is not None and location.longitude is not None:
        km = distances_km(location.latitude, location.longitude, fleet.vectors[chosen])
        tiers, within = km, max(0.0, location.uncertainty_km)
    else:
        km = np.full(len(chosen), UNKNOWN_KM)
        tiers = np.array([_tier(fleet, i, location) for i in allowed], dtype=np.float64)
        within = 0.0
    order = np.argsort(tiers, kind="stable")
    kept = len(order)
    if not keep_all and kept > policy.kept:
        sorted_tiers = tiers[order]
        near = int(np.searchsorted(sorted_tiers, sorted_tiers[0] + within, side="right"))
        kept = min(kept, max(policy.kept, min(near, MOST_EQUALS)))
    order = order[:kept]
    ordered = tiers[order].tolist()
    return CandidateList(
        fleet=fleet,
        indices=tuple(chosen[order].tolist()),
        tiers=tuple(ordered),
        distances_km=tuple(km[order].tolist()),
        equals_within=within,
        whole=kept == len(chosen),
        spread=nowhere,
        refusal=refusal,
    )


def _tier(fleet: PlacementFleet, index: int, location: Location) -> float:
    """Without a position: 0 in the client's country, 1 on its continent, 2 elsewhere; all
    the same where not even that is known."""
    unit = fleet.units[index]
    if location.country and unit.country == location.country:
        return 0.0
    if location.continent and unit.continent == location.continent:
        return 1.0
    return 2.0 if location.country or location.continent else 0.0
