"""Targets: where a client that has to leave, or could live better, should go. Pure.

Who drains goes where placement would put them today. Who lost their unit is spread over the
next-best ones, in proportion to the room they have and less with distance, so that one death
does not fill the nearest unit to the brim and push its own new clients away. Who could live
better moves only where that is clearly better: hysteresis, or clients would wander for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import TypeAlias

import numpy as np

from provisioner.geo.location import Location
from provisioner.placement.candidates import CandidateList, place_of, rank
from provisioner.placement.choice import SPREAD, Choice, NoChoice
from provisioner.placement.eligibility import Eligibility
from provisioner.placement.filters import PlacementPolicy, PolicySource, allows
from provisioner.placement.fleet import PlacementFleet, PlacementUnit
from provisioner.placement.geodesy import Floats, distance_km
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.policy_chooser import PolicyChooser
from provisioner.placement.rendezvous import scores_in_slot, slot_of

SPREAD_KM = 1000.0  # a unit so much farther than the nearest gets 1/e of the share for its room
SPREAD_TIER = 10.0  # where no position is known: a step from country to continent costs so much
BETTER_KM = 100.0  # a move must bring the client at least so much nearer,
BETTER_SHARE = 0.2  # and at least this share of the way it has now
CROWDED = 0.9  # load from which a unit's clients may move to one as near
LESS_CROWDED_BY = 0.2  # if that one's load is so much lower
MAX_PLACES = 50_000
MOST_POLICIES = 256  # of which it keeps who may live where

Decay: TypeAlias = tuple[Sequence[int], Floats]
PlaceKey: TypeAlias = tuple[PlacementPolicy, str, str, float | None, float | None, float]


class Targets:
    """Over one fleet snapshot; `occupancy` belongs to the same snapshot and may change under it,
    and so may what the policies say."""

    def __init__(self, fleet: PlacementFleet, policies: PolicySource, occupancy: Occupancy) -> None:
        self.fleet = fleet
        self._policies = policies
        self.occupancy = occupancy
        self._chooser = PolicyChooser(fleet, policies, occupancy)
        self._eligibilities: dict[PlacementPolicy, Eligibility] = {}
        self._decays: dict[PlaceKey, Decay] = {}
        self.indices: dict[str, int] = {unit.id: unit.index for unit in fleet.units}

    def place(self, location: Location, tenant: str, key: bytes) -> Choice | NoChoice:
        """As if the client came today."""
        return self._chooser.choose(location, tenant, key)

    def anew(self, location: Location, tenant: str, key: bytes, now: str) -> Choice | NoChoice:
        """As if the client, who lives in `now`, left it and came again: its own slot is free."""
        here = self.indices.get(now)
        occupancy = self.occupancy
        if here is None or occupancy.room[here] > 0:
            return self.place(location, tenant, key)
        room, load = occupancy.room[here], occupancy.load[here]
        occupancy.update(here, 1, load)
        try:
            return self.place(location, tenant, key)
        finally:
            occupancy.update(here, room, load)

    def spread(self, location: Location, tenant: str, key: bytes) -> Choice | NoChoice:
        """One of the next-best units, by room and distance; the hash of the client decides."""
        policy: PlacementPolicy | None = self._policies.of(tenant, location, key)
        while policy is not None:
            indices, decay = self._decay(policy, location, tenant)
            weights = self.rooms(indices) * decay
            open_ones = np.flatnonzero(weights > 0.0)
            if len(open_ones):
                chosen = np.asarray(indices)[open_ones]
                scores = scores_in_slot(slot_of(key), self.fleet.seeds[chosen], weights[open_ones])
                return Choice(int(chosen[int(np.argmax(scores))]), SPREAD)
            policy = policy.spillover
        return self.place(location, tenant, key)  # all of these are full: any other

    def better(self, location: Location, tenant: str, key: bytes, now: str) -> Choice | None:
        """Another unit that suits the client clearly better than `now`; None: it stays.

        Placement's own choice, if the client's unit may not serve it any more; if the way is
        shorter by a margin; or if the unit is crowded and another, as near, is not.
        """
        policy = self._policies.of(tenant, location, key)
        choice = self.place(location, tenant, key)
        here = self.indices.get(now)
        if isinstance(choice, NoChoice) or choice.unit_index == here:
            return None
        if here is None:
            return choice
        unit, there = self.fleet.units[here], self.fleet.units[choice.unit_index]
        if not allows(unit, policy, location, tenant, self.fleet):
            return choice
        now_km, then_km = self._away_km(location, unit), self._away_km(location, there)
        if now_km < 0.0:
            return None  # nobody knows where the client is: no place is better
        equals_within = place_of(location, policy).equals_within
        within = max(BETTER_KM, now_km * BETTER_SHARE, equals_within)
        if now_km - then_km > within:
            return choice
        load = self.occupancy.load
        crowded = load[here] >= CROWDED and load[choice.unit_index] <= load[here] - LESS_CROWDED_BY
        return choice if crowded and then_km - now_km <= equals_within else None

    def allows(self, index: int, location: Location, tenant: str, key: bytes) -> bool:
        """Whether policy lets the client live in this unit, whatever that takes at present."""
        policy = self._policies.of(tenant, location, key)
        return allows(self.fleet.units[index], policy, location, tenant, self.fleet)

    def rooms(self, indices: Sequence[int]) -> Floats:
        """Slots that can be had at each of these units."""
        room = self.occupancy.room
        return np.array([max(0, room[index]) for index in indices], dtype=np.float64)

    def _decay(self, policy: PlacementPolicy, location: Location, tenant: str) -> Decay:
        """The nearest units, and how much less each counts for being farther."""
        key = (
            policy,
            tenant if self.fleet.by_tenant else "",
            location.cell,
            location.latitude,
            location.longitude,
            location.uncertainty_km,
        )
        found = self._decays.get(key)
        if found is None:
            if len(self._decays) >= MAX_PLACES:
                self._decays.clear()
            place = place_of(location, policy)
            eligible = self._eligibility(policy).of(location, tenant)
            listed = rank(eligible, place, kept=policy.kept)
            found = self._decays[key] = (tuple(listed.indices), _decay_of(listed))
        return found

    def _eligibility(self, policy: PlacementPolicy) -> Eligibility:
        found = self._eligibilities.get(policy)
        if found is None:
            if len(self._eligibilities) >= MOST_POLICIES:
                self._eligibilities.clear()
            before = policy.before_hook
            parent = None if before is None else self._eligibility(before)
            found = self._eligibilities[policy] = Eligibility(self.fleet, policy, parent)
        return found

    def _away_km(self, location: Location, unit: PlacementUnit) -> float:
        if location.latitude is None or location.longitude is None:
            return -1.0
        return distance_km(location.latitude, location.longitude, unit.latitude, unit.longitude)


def _decay_of(listed: CandidateList) -> Floats:
    nearest = min(listed.tiers, default=0.0)
    if listed.place.here is None:
        return np.array([SPREAD_TIER ** (nearest - tier) for tier in listed.tiers])
    # Units within the location's uncertainty are equally near, here as in placement.
    free_km = nearest + listed.place.equals_within
    return np.array([exp(-max(0.0, tier - free_km) / SPREAD_KM) for tier in listed.tiers])
