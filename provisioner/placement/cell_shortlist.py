"""The shortlist that all positions of one cell share, where they share one. Pure.

A position is at most some 8 km from the middle of its cell, and so a difference between two
distances from it at most twice that from the difference at the middle. Where no unit's gap
to the nearest one is that close to the uncertainty within which units are equally near, all
positions have the same equals, and by the same rule; elsewhere each is decided by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from provisioner.geo.cells import HALF_KM, reach_km
from provisioner.geo.location import Location
from provisioner.placement.candidates import CandidateList, Place, place_of
from provisioner.placement.choice import Choice, Shortlist, load_step, rule_of
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.geodesy import EARTH_RADIUS_KM, unit_vector

ROUNDING_KM = 1e-3  # more than arithmetic can do to a distance


@dataclass(frozen=True, slots=True, eq=False)
class CellPlaces:
    """The places of all locations in one cell.

    middle: the cell's own, with everything as near that is as near to any of them. apart_km:
    how far the others may be from it. least_within, most_within: their `equals_within`.
    """

    middle: Place
    apart_km: float
    least_within: float
    most_within: float


def cell_places(location: Location, policy: PlacementPolicy) -> CellPlaces | None:
    """The places of the cell of a location; None where it has no position, and all locations
    of its cell are one place."""
    if location.latitude is None or location.longitude is None:
        return None
    latitude, longitude = round(location.latitude, 1), round(location.longitude, 1)
    reach = reach_km(latitude, EARTH_RADIUS_KM) * policy.ranking.most_stretch
    # With classes, tiers are so large that doubles are a centimetre apart.
    apart_km = reach + ROUNDING_KM
    uncertainty_km = round(location.uncertainty_km)
    most = policy.bounded(uncertainty_km + HALF_KM)
    return CellPlaces(
        middle=replace(
            place_of(location, policy),
            here=unit_vector(latitude, longitude),
            equals_within=most + 2 * apart_km,
        ),
        apart_km=apart_km,
        least_within=policy.bounded(max(0.0, uncertainty_km - HALF_KM)),
        most_within=most,
    )


def cell_shortlist(
    candidates: CandidateList, cell: CellPlaces, room: Sequence[int], load: Sequence[float]
) -> tuple[Shortlist | None, int]:
    """What `shortlist` says of every place of the cell, whose middle `candidates` are of, and
    how far down the list anything mattered. None: it is not the same for all, or the list
    does not reach far enough to tell. Distances are left out: they are each place's own.
    """
    give_or_take = 2 * cell.apart_km
    reach = cell.most_within + give_or_take
    first_full: float | None = None
    nearest: float | None = None
    near: list[int] = []
    farthest_near = 0.0
    looked_at = 0
    beyond = candidates.whole
    for index, tier in zip(candidates.indices, candidates.tiers, strict=True):
        if nearest is not None and tier > nearest + reach:
            beyond = True
            break
        looked_at += 1
        if room[index] <= 0:
            first_full = tier if first_full is None else first_full
            continue
        nearest = tier if nearest is None else nearest
        farthest_near = tier
        near.append(index)
    if nearest is None or not beyond:
        return None, looked_at
    if len(near) > 1 and farthest_near - nearest > cell.least_within - give_or_take:
        return None, looked_at
    if first_full is not None and abs(first_full - nearest) <= give_or_take:
        return None, looked_at  # a full unit that is nearer for some alone
    best = near
    if candidates.eligible.by_load:
        least = min(load_step(load[index]) for index in near)
        best = [index for index in near if load_step(load[index]) == least]
    rule = rule_of(
        cell.middle,
        nearer_full=first_full is not None and first_full < nearest,
        equals=len(near),
        best=len(best),
    )
    return Shortlist([Choice(index, rule) for index in best], looked_at), looked_at
