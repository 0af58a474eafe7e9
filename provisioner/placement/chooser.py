"""Chooser: `choose` for a server that decides ten thousand times a second. Pure state.

It keeps, for each place clients come from, the candidate list and what it comes to as
things stand: one unit, or a table of which unit takes which slot of clients. A kept decision
is forgotten when a unit it looked at fills, empties or changes its load step, and only then.
Where the list does not reach, the whole fleet is looked at, and what comes of it holds until
any unit changes. tests/provisioner/placement holds all of it to `choose`.
"""

from __future__ import annotations

from typing import TypeAlias
from zlib import crc32

from provisioner.geo.location import Location
from provisioner.placement.candidates import CandidateList, place_of, rank
from provisioner.placement.choice import Choice, NoChoice, nobody, shortlist
from provisioner.placement.eligibility import Eligibility
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.fleet_shortlist import FleetShortlist, shortlist_fleet
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.rendezvous import MOST_IN_TABLE, SLOT_MASK, SLOTS, slot_of, winners

ALWAYS_THE_FIRST = bytes(SLOTS)

PlaceKey: TypeAlias = str | tuple[str, str]


class _PlaceDecision:
    """What is kept for one place. choices and winners: which choice each slot of clients
    gets, no winners while that is not decided. of_fleet: what the whole fleet came to when
    there had been `as_of` changes, None: nobody has room."""

    __slots__ = ("as_of", "candidates", "choices", "of_fleet", "winners")

    def __init__(self, candidates: CandidateList) -> None:
        self.candidates = candidates
        self.choices: list[Choice] = []
        self.winners: bytes | None = None
        self.of_fleet: FleetShortlist | None = None
        self.as_of = -1

    def forget(self) -> None:
        self.winners = None


class Chooser:
    """Over one fleet snapshot and policy; `occupancy` belongs to the same snapshot. Of the
    places, the `max_places / 2` used last are kept, and at most `max_places`."""

    def __init__(
        self,
        fleet: PlacementFleet,
        policy: PlacementPolicy,
        occupancy: Occupancy,
        *,
        max_places: int = 50_000,
    ) -> None:
        self._fleet = fleet
        self._policy = policy
        self._occupancy = occupancy
        self._eligibility = Eligibility(fleet, policy)
        self._generation = max(1, max_places // 2)
        self._by_tenant = fleet.by_tenant
        self._places: dict[PlaceKey, _PlaceDecision] = {}
        self._older: dict[PlaceKey, _PlaceDecision] = {}

    def __len__(self) -> int:
        return len(self._places) + len(self._older)

    def choose(self, location: Location, tenant: str, client_key: bytes) -> Choice | NoChoice:
        """The unit for a client of `tenant` at `location`; as `choose` has it."""
        key = (tenant, location.cell) if self._by_tenant else location.cell
        decision = self._places.get(key)
        if decision is None:
            decision = self._recent(key, location, tenant)
        table = decision.winners
        if table is not None:
            # slot_of, without the call: a third of what is left to do here.
            return decision.choices[table[crc32(client_key) & SLOT_MASK]]
        return self._decide(decision, client_key)

    def _recent(self, key: PlaceKey, location: Location, tenant: str) -> _PlaceDecision:
        """Makes the place one of those used last. Two generations are enough for that: the
        older is dropped when the newer has filled, and a hit costs one look-up."""
        decision = self._older.pop(key, None)
        if decision is None:
            eligible = self._eligibility.of(location, tenant)
            place = place_of(location, self._policy)
            decision = _PlaceDecision(rank(eligible, place, kept=self._policy.kept))
        if len(self._places) >= self._generation:
            self._older, self._places = self._places, {}
            # Units must not hold on to the places that were dropped.
            self._occupancy.forget_all()
        self._places[key] = decision
        return decision

    def _decide(self, decision: _PlaceDecision, client_key: bytes) -> Choice | NoChoice:
        occupancy, candidates = self._occupancy, decision.candidates
        if decision.as_of != occupancy.changes:
            if self._decide_by_list(decision):
                assert decision.winners is not None
                return decision.choices[decision.winners[slot_of(client_key)]]
            decision.of_fleet = shortlist_fleet(
                candidates.eligible, candidates.place, occupancy.is_open, occupancy.steps
            )
            decision.as_of = occupancy.changes
        if decision.of_fleet is None:
            return nobody(candidates.eligible)
        return decision.of_fleet.choice(slot_of(client_key))

    def _decide_by_list(self, decision: _PlaceDecision) -> bool:
        """Decides for all clients of a place by its list, if that reaches far enough."""
        occupancy, candidates = self._occupancy, decision.candidates
        best = shortlist(candidates, occupancy.room, occupancy.load)
        if best is None or len(best.choices) > MOST_IN_TABLE:
            return False
        if best.looked_at == len(candidates.indices) and not candidates.whole:
            return False  # beyond the end of the list others may be just as near
        for index in candidates.indices[: best.looked_at]:
            occupancy.subscribe(index, decision)
        decision.choices = best.choices
        if len(best.choices) == 1:
            decision.winners = ALWAYS_THE_FIRST
        else:
            units = [choice.unit_index for choice in best.choices]
            decision.winners = winners(
                self._fleet.seeds[units].tolist(), self._fleet.weights[units].tolist()
            )
        return True
