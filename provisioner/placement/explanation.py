"""explain: every unit with its verdict and a reason in plain words. Pure.

It asks the same functions that decide, so it cannot say anything else than what happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from provisioner.geo.location import Location
from provisioner.placement.candidates import CandidateList, build
from provisioner.placement.choice import Choice, choose, load_step
from provisioner.placement.filters import PlacementPolicy, why_not
from provisioner.placement.fleet import PlacementFleet

RANKED_EXACTLY = 64  # past that, by distance alone: nobody asks why 70th is not 71st


class Verdict(StrEnum):
    CHOSEN = "chosen"
    RANKED = "ranked"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Considered:
    """One unit. rank counts from 1, 0 for excluded ones; distance_km None: unknown."""

    id: str
    verdict: Verdict
    reason: str
    distance_km: float | None
    load: float
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Best first, excluded last. rule is empty when nothing was chosen."""

    units: tuple[Considered, ...]
    rule: str


def explain(
    fleet: PlacementFleet,
    policy: PlacementPolicy,
    location: Location,
    tenant: str,
    client_key: bytes,
    room: Sequence[int],
    load: Sequence[float],
) -> Explanation:
    """What `choose` would do for this client now, and why; arguments as there."""
    everyone = build(fleet, policy, location, tenant, keep_all=True)
    ranked = _ranking(everyone, client_key, room, load)
    first = ranked[0] if ranked else None
    units: list[Considered] = []
    for rank, choice in enumerate(ranked, start=1):
        reason = (
            _why_chosen(choice, everyone, location)
            if rank == 1
            else _why_later(choice, ranked[0], location, load)
        )
        units.append(
            Considered(
                id=fleet.units[choice.unit_index].id,
                verdict=Verdict.CHOSEN if rank == 1 else Verdict.RANKED,
                reason=reason,
                distance_km=_known(choice.distance_km),
                load=load[choice.unit_index],
                rank=rank,
            )
        )
    distances = dict(zip(everyone.indices, everyone.distances_km, strict=True))
    taken = {choice.unit_index for choice in ranked}
    for unit in fleet.units:
        if unit.index in taken:
            continue
        reason = why_not(unit, policy, location, tenant)
        if not reason and unit.index in distances:
            reason = "full: no slot can be had there now"
        units.append(
            Considered(
                id=unit.id,
                verdict=Verdict.EXCLUDED,
                reason=reason or everyone.refusal,
                distance_km=_known(distances.get(unit.index, -1.0)),
                load=load[unit.index],
                rank=0,
            )
        )
    return Explanation(units=tuple(units), rule=first.rule if first else "")


def _ranking(
    everyone: CandidateList, client_key: bytes, room: Sequence[int], load: Sequence[float]
) -> list[Choice]:
    """Whom the client would get, whom if that one were full, and so on."""
    left = list(room)
    ranked: list[Choice] = []
    while len(ranked) < RANKED_EXACTLY:
        choice = choose(everyone, client_key, left, load)
        if not isinstance(choice, Choice):
            return ranked
        ranked.append(choice)
        left[choice.unit_index] = 0
    for index, away_km in zip(everyone.indices, everyone.distances_km, strict=True):
        if left[index] > 0:
            ranked.append(Choice(index, away_km, "nearest"))
    return ranked


def _known(distance_km: float) -> float | None:
    return None if distance_km < 0 else distance_km


def _why_chosen(choice: Choice, everyone: CandidateList, location: Location) -> str:
    where = "" if choice.distance_km < 0 else f"{choice.distance_km:,.0f} km away, "
    uncertain = f"the location's uncertainty of {location.uncertainty_km:,.0f} km"
    return {
        "nearest": f"{where}nearer than any other beyond {uncertain}"
        if choice.distance_km >= 0
        else "best match for the client's country",
        "least-loaded-near": f"{where}the least loaded of those within {uncertain}",
        "spread-near": f"{where}one of several alike within {uncertain}; the hash decides",
        "next-best": f"{where}nearer ones are full",
        "spread": "the client's location is unknown; load and hash decide",
    }[choice.rule]


def _why_later(choice: Choice, first: Choice, location: Location, load: Sequence[float]) -> str:
    farther = choice.distance_km - first.distance_km
    if choice.distance_km >= 0 and farther > location.uncertainty_km:
        return f"{choice.distance_km:,.0f} km away, {farther:,.0f} km farther"
    if load_step(load[choice.unit_index]) > load_step(load[first.unit_index]):
        return (
            f"as near, but {load[choice.unit_index]:.0%} full against {load[first.unit_index]:.0%}"
        )
    if choice.distance_km < 0:
        return "no better match for what is known of the location"
    return "as near and as free; the hash decides"
