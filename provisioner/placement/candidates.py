"""CandidateList: the units that may take a client from one place, nearest first.

A place is what ranking knows of a location: its own position, never a rounded one. Building
a list costs a pass over the fleet, 0.2 ms for 10,000 units, so `Chooser` keeps lists, and
makes those of near places out of each other (`narrowed`): deciding costs what a list holds,
not what the fleet holds.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from math import acos, cos, pi

import numpy as np
from numpy.typing import NDArray

from provisioner.geo.location import Location
from provisioner.placement.eligibility import Eligibility, EligibleUnits, is_nowhere
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.geodesy import EARTH_RADIUS_KM, Floats, distances_km, unit_vector
from provisioner.placement.latency import latencies_ms
from provisioner.placement.ranking import CLASS_KM, Scale

MOST_EQUALS = 256  # units within the uncertainty that are kept at most

# What rounding can do: to a cosine, and to an angle computed from one (0.6 m on Earth).
_COSINE_SLACK = 1e-12
_ANGLE_SLACK = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """What ranking knows of a location.

    here: unit vector of its position; None: no position is known. equals_within: units whose
    tier (see CandidateList) differs by no more than this are equally near. cell: of the location;
    middle: the unit vector of its middle where latency counts, which is the same for a whole cell.
    """

    here: Floats | None
    equals_within: float
    country: str
    continent: str
    nowhere: bool
    cell: str = ""
    middle: Floats | None = None

    def tiers(self, eligible: EligibleUnits, at: NDArray[np.intp] | None = None) -> Floats:
        """The tiers of the units, or of those at some of their places; inf: beyond the cap in
        latency."""
        scale = eligible.scale
        if self.here is not None:
            vectors = eligible.vectors if at is None else eligible.vectors[at]
            tiers = distances_km(self.here, vectors)
            if scale is None:
                return tiers
        indices = eligible.indices if at is None else eligible.indices[at]
        if self.here is None:
            tiers = np.full(len(indices), 0.0 if self.nowhere else 2.0)
            if self.continent:
                tiers[eligible.fleet.continents[indices] == self.continent] = 1.0
            if self.country:
                tiers[eligible.fleet.countries[indices] == self.country] = 0.0
        return tiers if scale is None else _scaled(scale, self, eligible.fleet, indices, tiers)

    def latencies(self, fleet: PlacementFleet) -> Floats:
        """Of each unit of the fleet, by its index, the latency in ms: as it was measured for the
        cell, or as the distance from its middle tells; infinite where neither is known."""
        if self.middle is None:
            found: Floats = np.full(len(fleet.units), np.inf)
        else:
            found = latencies_ms(distances_km(self.middle, fleet.vectors))
        for unit, ms in fleet.latencies.of(self.cell, self.country, self.continent).items():
            index = fleet.index_of(unit)
            if index >= 0:
                found[index] = ms
        return found


def place_of(location: Location, policy: PlacementPolicy) -> Place:
    """The place of a location: its position, and its uncertainty within the policy's bounds."""
    here, middle, within = None, None, 0.0
    if location.latitude is not None and location.longitude is not None:
        here = unit_vector(location.latitude, location.longitude)
        within = policy.bounded(location.uncertainty_km)
        if policy.ranking.latency is not None:
            middle = unit_vector(round(location.latitude, 1), round(location.longitude, 1))
    return Place(
        here=here,
        equals_within=within,
        country=location.country,
        continent=location.continent,
        nowhere=is_nowhere(location),
        cell=location.cell,
        middle=middle,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CandidateList:
    """Everything `choose` needs about a place. indices and tiers run in step, nearest first.

    tiers: km where a position is known; else 0, 1, 2 for same country, same continent,
    elsewhere; 0 for all where not even that is known. A ranking of the policy stretches them and
    adds to them (see `ranking.Scale`). beyond: so many units are left out, for they are beyond the
    cap in latency there.
    """

    eligible: EligibleUnits
    place: Place
    indices: array[int]
    tiers: array[float]
    beyond: int = 0

    @property
    def whole(self) -> bool:
        """Whether every unit that may take the client is in the list."""
        return len(self.indices) + self.beyond == len(self.eligible.indices)


def build(
    fleet: PlacementFleet,
    policy: PlacementPolicy,
    location: Location,
    tenant: str,
    *,
    keep_all: bool = False,
) -> CandidateList:
    """The candidates for a client of `tenant` at `location`, where one list is needed."""
    eligible = Eligibility(fleet, policy).of(location, tenant)
    kept = len(fleet.units) if keep_all else policy.kept
    return rank(eligible, place_of(location, policy), kept=kept)


def rank(eligible: EligibleUnits, place: Place, *, kept: int) -> CandidateList:
    """The nearest `kept` of these units, and those equally near as the nearest: as many as
    there are, up to MOST_EQUALS. Units that are as near as each other go by index."""
    worth = _worth_a_look(eligible, place, kept)
    tiers = place.tiers(eligible, worth)
    among = None
    if eligible.caps is None and len(tiers) > 2 * kept:
        # Sorting what is kept takes a fifth of the time of sorting all.
        farthest = max(np.partition(tiers, kept)[kept], tiers.min() + place.equals_within)
        among = np.flatnonzero(tiers <= farthest)
    order = np.argsort(tiers if among is None else tiers[among], kind="stable")
    if among is not None:
        order = among[order]
    beyond = 0
    if eligible.caps is not None:
        beyond = int(np.count_nonzero(np.isinf(tiers)))
        order = order[: len(order) - beyond]
    if len(order) > kept:
        ordered = tiers[order]
        near = int(np.searchsorted(ordered, ordered[0] + place.equals_within, side="right"))
        order = order[: max(kept, min(near, MOST_EQUALS))]
    at = order if worth is None else worth[order]
    return CandidateList(
        eligible=eligible,
        place=place,
        indices=array("q", eligible.indices[at].astype(np.int64).tobytes()),
        tiers=array("d", tiers[order].tobytes()),
        beyond=beyond,
    )


def narrowed(candidates: CandidateList, place: Place, *, apart_km: float) -> CandidateList:
    """The list of a place no farther than `apart_km` from that of `candidates`, as far as these
    tell: its head, without those beyond which units that are not in `candidates` may come."""
    fleet = candidates.eligible.fleet
    indices = np.frombuffer(candidates.indices, dtype=np.int64)
    assert place.here is not None
    tiers = distances_km(place.here, fleet.vectors[indices])
    if candidates.eligible.scale is not None:
        tiers = _scaled(candidates.eligible.scale, place, fleet, indices, tiers)
    if not candidates.whole:
        told = tiers < candidates.tiers[-1] - apart_km
        indices, tiers = indices[told], tiers[told]
    order = np.lexsort((indices, tiers))
    return CandidateList(
        eligible=candidates.eligible,
        place=place,
        indices=array("q", indices[order].tobytes()),
        tiers=array("d", tiers[order].tobytes()),
        beyond=candidates.beyond,
    )


def _scaled(
    scale: Scale, place: Place, fleet: PlacementFleet, indices: NDArray[np.intp], tiers: Floats
) -> Floats:
    scaled: Floats = tiers * scale.stretch[indices] + scale.offsets[indices]
    if scale.latency is not None:
        scaled += scale.latency.classes(place.latencies(fleet)[indices]) * CLASS_KM
    return scaled


def _worth_a_look(eligible: EligibleUnits, place: Place, kept: int) -> NDArray[np.intp] | None:
    """Which units `rank` needs exact distances of, ascending; None: of all.

    Cosines of distances are one matrix product, ten times cheaper than the distances.
    """
    count = len(eligible.indices)
    if place.here is None or count <= 2 * kept or eligible.scale is not None:
        return None
    cosines = eligible.vectors @ place.here
    nearest = acos(min(1.0, max(-1.0, float(cosines.max()))))
    reach = nearest + place.equals_within / EARTH_RADIUS_KM + _ANGLE_SLACK
    limit = cos(reach) if reach < pi else -1.0
    among_kept = float(np.partition(cosines, count - kept)[count - kept])
    return np.flatnonzero(cosines >= min(limit, among_kept) - _COSINE_SLACK)
