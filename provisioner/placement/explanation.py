"""explain: every unit with placement's verdict on it and a reason in plain words. Pure.

It asks the same functions that decide, so it cannot say anything else than what happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from provisioner.geo.cells import MOST_REACH_KM
from provisioner.geo.location import Location
from provisioner.placement import choice as rules
from provisioner.placement.candidates import CandidateList, build
from provisioner.placement.choice import Choice, choose, load_step
from provisioner.placement.filters import PlacementPolicy, why_not
from provisioner.placement.fleet import PlacementFleet, PlacementUnit
from provisioner.placement.geodesy import distance_km

RANKED_EXACTLY = 16  # past that, by distance alone: nobody asks why 18th is not 17th
_NOTHING: Mapping[str, float] = MappingProxyType({})


class UnitVerdict(StrEnum):
    """What placement makes of one unit for one client."""

    CHOSEN = "chosen"
    RANKED = "ranked"
    EXCLUDED = "excluded"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsideredUnit:
    """One unit. rank counts from 1, 0 for excluded ones; distance_km None: unknown."""

    id: str
    verdict: UnitVerdict
    reason: str
    distance_km: float | None
    load: float
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Best first, excluded last. rule is empty when nothing was chosen."""

    units: tuple[ConsideredUnit, ...]
    rule: str


def explain(
    fleet: PlacementFleet,
    policy: PlacementPolicy,
    location: Location,
    tenant: str,
    client_key: bytes,
    room: Sequence[int],
    load: Sequence[float],
    recorded_km: Mapping[str, float] = _NOTHING,
) -> Explanation:
    """What `choose` would do for this client now, and why; arguments as there. recorded_km: how
    far units are by a record that was made where the client was, where `location` is the middle
    of its cell; they are told in place of what the middle says."""
    everyone = build(fleet, policy, location, tenant, keep_all=True)
    tiers = dict(zip(everyone.indices, everyone.tiers, strict=True))
    ranked = _ranking(everyone, client_key, room, load)
    within = everyone.place.equals_within
    reasons = _ReasonWriter(fleet, location, within, tiers, load, recorded_km)
    units = [
        reasons.considered(
            fleet.units[choice.unit_index],
            reasons.why_chosen(choice) if rank == 1 else reasons.why_later(choice, ranked[0]),
            rank=rank,
        )
        for rank, choice in enumerate(ranked, start=1)
    ]
    in_ranking = {choice.unit_index for choice in ranked}
    for unit in fleet.units:
        if unit.index not in in_ranking:
            reason = why_not(unit, policy, location, tenant) or everyone.eligible.refusal
            full = "full: no slot can be had there now"
            units.append(reasons.considered(unit, reason or full, rank=0))
    return Explanation(units=tuple(units), rule=ranked[0].rule if ranked else "")


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
    rest = (index for index in everyone.indices if left[index] > 0)
    return ranked + [Choice(index, rules.NEAREST) for index in rest]


@dataclass(frozen=True, slots=True, eq=False)
class _ReasonWriter:
    """Writes the reason of each unit. tiers: by unit index, as in CandidateList."""

    fleet: PlacementFleet
    location: Location
    within: float
    tiers: dict[int, float]
    load: Sequence[float]
    recorded_km: Mapping[str, float]

    def considered(self, unit: PlacementUnit, reason: str, *, rank: int) -> ConsideredUnit:
        verdict = UnitVerdict.EXCLUDED
        if rank:
            verdict = UnitVerdict.CHOSEN if rank == 1 else UnitVerdict.RANKED
        return ConsideredUnit(
            id=unit.id,
            verdict=verdict,
            reason=reason,
            distance_km=self.away_km(unit),
            load=self.load[unit.index],
            rank=rank,
        )

    def away_km(self, unit: PlacementUnit) -> float | None:
        at = self.location
        if at.latitude is None or at.longitude is None:
            return None
        found = distance_km(at.latitude, at.longitude, unit.latitude, unit.longitude)
        recorded = self.recorded_km.get(unit.id, found)
        # More apart than a cell is wide: the unit is not where it was.
        return recorded if abs(recorded - found) <= MOST_REACH_KM else found

    def why_chosen(self, choice: Choice) -> str:
        unit = self.fleet.units[choice.unit_index]
        if choice.rule == rules.SPREAD:
            return "nobody knows where the client is; load and hash decide"
        away_km = self.away_km(unit)
        near = self._match(unit) if away_km is None else f"{away_km:,.0f} km away"
        alike = "match as well" if away_km is None else f"are within {self._uncertainty()}"
        if choice.rule == rules.NEXT_BEST:
            return f"{near}, the best that has room; nearer ones are full"
        return {
            rules.NEAREST: f"{near}, and no other that may take the client "
            + ("matches as well" if away_km is None else f"is within {self._uncertainty()}"),
            rules.LEAST_LOADED: f"{near}, the least loaded of those that {alike}",
            rules.SPREAD_NEAR: f"{near}, one of several as free that {alike}; the hash decides",
        }[choice.rule]

    def why_later(self, choice: Choice, first: Choice) -> str:
        unit, best = self.fleet.units[choice.unit_index], self.fleet.units[first.unit_index]
        away_km, best_km = self.away_km(unit), self.away_km(best)
        farther = self.tiers[unit.index] - self.tiers[best.index]
        if away_km is None or best_km is None:
            if farther > 0:
                return f"{self._match(unit)}, {best.id} {self._match(best)}"
            near = "matches as well"
        elif farther > self.within:
            more_km = max(1.0, away_km - best_km)
            away = f"{away_km:,.0f} km away, {more_km:,.0f} km farther than {best.id}"
            return away + (f" and outside {self._uncertainty()}" if self.within else "")
        else:
            near = f"{away_km:,.0f} km away, as near as can be told"
        load, best_load = self.load[unit.index], self.load[best.index]
        if load_step(load) > load_step(best_load):
            return f"{near}, but {load:.0%} full against {best_load:.0%} of {best.id}"
        return f"{near} and as free as {best.id}; the hash decides"

    def _uncertainty(self) -> str:
        return f"the location's uncertainty of {self.within:,.0f} km"

    def _match(self, unit: PlacementUnit) -> str:
        """How a unit matches a client of whom only country or continent are known."""
        tier = self.tiers[unit.index]
        if tier >= 2.0:
            return "is on another continent"
        if tier >= 1.0:
            return "is on the client's continent"
        return "is in the client's country" if self.location.country else "is somewhere"
