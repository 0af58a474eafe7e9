"""explain: every unit with placement's verdict on it and a reason in plain words. Pure.

It asks the same functions that decide, so it cannot say anything else than what happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from types import MappingProxyType

from provisioner.geo.cells import MOST_REACH_KM
from provisioner.geo.location import Location
from provisioner.placement import choice as rules
from provisioner.placement.candidates import CandidateList, Place, build
from provisioner.placement.capped_policies import CappedPolicies
from provisioner.placement.choice import Choice, choose, load_step, nobody
from provisioner.placement.filters import PlacementPolicy, why_not
from provisioner.placement.fleet import PlacementFleet, PlacementUnit
from provisioner.placement.geodesy import distance_km
from provisioner.placement.latency import CapInForce, LatencyCaps, cap_in_force, cap_words
from provisioner.placement.ranking import CLASS_KM, Ranking, stretch

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
    bias: float = 0.0  # of the policy's ranking, per cent


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Best first, excluded last. rule is empty when nothing was chosen. cap: in latency, that held;
    None: the policy has none that relaxes."""

    units: tuple[ConsideredUnit, ...]
    rule: str
    refusal: str = ""  # why no unit was chosen, when none was
    cap: CapInForce | None = None


def explain(
    fleet: PlacementFleet,
    policy: PlacementPolicy,
    location: Location,
    tenant: str,
    client_key: bytes,
    room: Sequence[int],
    load: Sequence[float],
    recorded_km: Mapping[str, float] = _NOTHING,
    waited_s: float = inf,
) -> Explanation:
    """What `choose` would do for this client now, and why; arguments as there. recorded_km: how
    far units are by a record that was made where the client was, where `location` is the middle
    of its cell; they are told in place of what the middle says. waited_s: as PolicyChooser."""
    units: list[ConsideredUnit] = []
    policy, cap = _capped(fleet, policy, location, tenant, waited_s)
    rule, in_ranking, last = "", set[int](), policy
    for stage in _stages(policy):
        last = stage
        everyone = build(fleet, stage, location, tenant, keep_all=True)
        tiers = dict(zip(everyone.indices, everyone.tiers, strict=True))
        ranked = [
            choice
            for choice in _ranking(everyone, client_key, room, load)
            if choice.unit_index not in in_ranking
        ]
        within = everyone.place.equals_within
        reasons = _ReasonWriter(
            fleet, location, within, tiers, load, recorded_km, stage, everyone.place
        )
        spills = stage is not policy
        for choice in ranked:
            why = (
                reasons.why_chosen(choice) if choice is ranked[0]
                else reasons.why_later(choice, ranked[0])
            )  # fmt: skip
            if spills:
                why = f"{why}; tried only where the pools before it have no room"
            unit = fleet.units[choice.unit_index]
            units.append(reasons.considered(unit, why, rank=len(units) + 1))
        if ranked and not rule:
            rule = rules.SPILLOVER if spills else _rule(fleet, stage, ranked[0])
        in_ranking.update(choice.unit_index for choice in ranked)
    for unit in fleet.units:
        if unit.index not in in_ranking:
            reason = why_not(unit, last, location, tenant, fleet) or everyone.eligible.refusal
            reason = reason or reasons.beyond(unit) or "full: no slot can be had there now"
            units.append(reasons.considered(unit, reason, rank=0))
    refusal = ""
    if not rule:
        none = nobody(everyone)
        refusal = "the fleet has no units"
        if fleet.units:
            refusal = none.reason or _full(cap)
    return Explanation(units=tuple(units), rule=rule, refusal=refusal, cap=cap)


def _full(cap: CapInForce | None) -> str:
    """Of a client for whom no unit has room."""
    if cap is None:
        return "all units that may take it are full"
    full = f"all units that may take it {cap_words(cap.limit_ms)} are full"
    if cap.next_after_s == inf:
        return full
    return f"{full}; after {cap.next_after_s:g} s of waiting it may live {cap_words(cap.next_ms)}"


def _capped(
    fleet: PlacementFleet,
    policy: PlacementPolicy,
    location: Location,
    tenant: str,
    waited_s: float,
) -> tuple[PlacementPolicy, CapInForce | None]:
    """The policy at the step that holds for who has waited so long, as PolicyChooser has it."""
    caps = policy.ranking.latency
    if caps is None or not caps.steps:
        return policy, None
    step, last = caps.step_at(waited_s), len(caps.steps)
    steps = CappedPolicies(most=(last + 1) * 1_000)
    while True:
        stage = steps.of(policy, step)
        may = any(build(fleet, one, location, tenant).indices for one in _stages(stage))
        if may or step == last:
            return stage, cap_in_force(caps, step, waited_s)
        step += 1


def _stages(policy: PlacementPolicy) -> Iterator[PlacementPolicy]:
    """The policy and what it spills over to, in turn."""
    stage: PlacementPolicy | None = policy
    while stage is not None:
        yield stage
        stage = stage.spillover


def _rule(fleet: PlacementFleet, stage: PlacementPolicy, best: Choice) -> str:
    """The rule of a choice, as `PolicyChooser` has it."""
    answer = stage.answer
    named = answer is not None and fleet.units[best.unit_index].id in answer.order
    return rules.HOOK if named else best.rule


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
    policy: PlacementPolicy
    place: Place

    @property
    def ranking(self) -> Ranking:
        return self.policy.ranking

    def ranked_by(self, unit: PlacementUnit) -> str:
        """Whose ranking puts it before others."""
        before, answer = self.policy.before_hook, self.policy.answer
        if before is None or before.hook is None or answer is None or unit.id not in answer.order:
            return "the policy"
        return f"hook {before.hook.name}"

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
            bias=self.ranking.bias_of(unit),
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
        near = self._match(unit) if away_km is None else self._away(unit, away_km)
        alike = "match as well" if away_km is None else f"are within {self._uncertainty()}"
        if choice.rule == rules.NEXT_BEST:
            return f"{near}, the best that has room; nearer ones are full"
        if caps := self.ranking.latency:
            near = f"{near}, {self._timed(caps, unit)}"
        if not self.ranking.by_distance or self.ranking.orders or caps:
            alone = choice.rule == rules.NEAREST
            rest = "" if alone else "; load and hash decide"
            return f"{near}, ranked first by {self.ranked_by(unit)}{rest}"
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
        caps = self.ranking.latency
        if caps is not None and farther >= CLASS_KM / 2:
            ms = self.place.latencies(self.fleet)[[unit.index, best.index]]
            slower = caps.classes(ms)
            if round(farther / CLASS_KM) == slower[0] - slower[1]:
                return f"{self._timed(caps, unit)}; {best.id} is {caps.words(float(ms[1]))}"
        if farther >= CLASS_KM / 2:
            return f"the ranking of {self.ranked_by(best)} puts {best.id} first"
        if not self.ranking.by_distance:
            return self._as_free("ranked alike by the policy", unit, best)
        if away_km is None or best_km is None:
            if farther > 0:
                return f"{self._match(unit)}, {best.id} {self._match(best)}"
            near = "matches as well"
        elif farther > self.within:
            more_km = max(1.0, away_km - best_km)
            away = f"{away_km:,.0f} km away, {more_km:,.0f} km farther than {best.id}"
            if self.ranking.biases:
                away = f"{self._away(unit, away_km)}, against {self._away(best, best_km)}"
            return away + (f" and outside {self._uncertainty()}" if self.within else "")
        else:
            near = f"{self._away(unit, away_km)}, as near as can be told"
        return self._as_free(near, unit, best)

    def beyond(self, unit: PlacementUnit) -> str:
        """Why the cap in latency keeps the client off a unit that may take it; empty: it does
        not."""
        caps = self.ranking.latency
        if caps is None or not caps.steps:
            return ""
        ms = float(self.place.latencies(self.fleet)[unit.index])
        if ms <= caps.limit_ms:
            return ""
        return f"{self._timed(caps, unit)}; it may live {cap_words(caps.limit_ms)} now"

    def _timed(self, caps: LatencyCaps, unit: PlacementUnit) -> str:
        """How long a round trip to it takes, and what the policy makes of that."""
        ms = float(self.place.latencies(self.fleet)[unit.index])
        took = f"some {ms:,.0f} ms, " if ms < inf else ""
        at = self.place
        known = self.fleet.latencies.of(at.cell, at.country, at.continent)
        told = "measured" if unit.id in known else "by its distance"
        return f"{took}{caps.words(ms)}" + (f" ({told})" if took else "")

    def _as_free(self, near: str, unit: PlacementUnit, best: PlacementUnit) -> str:
        load, best_load = self.load[unit.index], self.load[best.index]
        if self.ranking.by_load and load_step(load) > load_step(best_load):
            return f"{near}, but {load:.0%} full against {best_load:.0%} of {best.id}"
        return f"{near} and as free as {best.id}; the hash decides"

    def _away(self, unit: PlacementUnit, away_km: float) -> str:
        """How far a unit is, and what its bias makes of that."""
        bias = self.ranking.bias_of(unit)
        if not bias:
            return f"{away_km:,.0f} km away"
        counted = away_km * stretch(bias)
        return f"{away_km:,.0f} km away, which a bias of {bias:+g} makes {counted:,.0f}"

    def _uncertainty(self) -> str:
        return f"the location's uncertainty of {self.within:,.0f} km"

    def _match(self, unit: PlacementUnit) -> str:
        """How a unit matches a client of whom only country or continent are known."""
        tier = self.tiers[unit.index]
        tier %= CLASS_KM
        if not self.ranking.by_distance:
            return "may take the client"
        if tier >= 2.0:
            return "is on another continent"
        if tier >= 1.0:
            return "is on the client's continent"
        return "is in the client's country" if self.location.country else "is somewhere"
