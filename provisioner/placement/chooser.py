"""Chooser: `choose` for a server that decides ten thousand times a second. Pure state.

It keeps, for each place clients come from, the candidate list and what it comes to as
things stand: one unit, or a table of which unit takes which slot of clients. A kept decision
is forgotten when a unit it looked at fills, empties or changes its load step, and only then.
tests/provisioner/placement holds it to `choose`.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

from provisioner.geo.location import Location
from provisioner.placement.candidates import CandidateList, build
from provisioner.placement.choice import Choice, NoChoice, shortlist
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.rendezvous import SLOT_MASK, SLOTS, slot_of, winners

ALWAYS_THE_FIRST = bytes(SLOTS)


class _Place:
    """What is kept for one place: the choices, and which of them each slot of clients gets;
    no winners while nothing is decided."""

    __slots__ = ("candidates", "choices", "winners")

    def __init__(self, candidates: CandidateList) -> None:
        self.candidates = candidates
        self.choices: list[Choice] = []
        self.winners: Sequence[int] | None = None

    def forget(self) -> None:
        self.winners = None


class Chooser:
    """Over one fleet snapshot and policy; `occupancy` belongs to the same snapshot. When
    `max_places` are kept it starts anew: places that matter are back at once."""

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
        self._max_places = max_places
        self._by_tenant = fleet.by_tenant
        self._places: dict[str | tuple[str, str], _Place] = {}
        self._refusals: dict[str | tuple[str, str], tuple[int, NoChoice]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def choose(self, location: Location, tenant: str, client_key: bytes) -> Choice | NoChoice:
        """The unit for a client of `tenant` at `location`; as `choose` has it."""
        key = (tenant, location.cell) if self._by_tenant else location.cell
        place = self._places.get(key)
        if place is None:
            place = self._enter(key, location, tenant)
        table = place.winners
        if table is not None:
            # slot_of, without the call: a third of what is left to do here.
            return place.choices[table[crc32(client_key) & SLOT_MASK]]
        return self._decide(key, place, location, tenant, client_key)

    def _enter(self, key: str | tuple[str, str], location: Location, tenant: str) -> _Place:
        if len(self._places) >= self._max_places:
            self._places.clear()
            self._refusals.clear()
            self._occupancy.ignore_all()
        place = self._places[key] = _Place(build(self._fleet, self._policy, location, tenant))
        return place

    def _decide(
        self,
        key: str | tuple[str, str],
        place: _Place,
        location: Location,
        tenant: str,
        client_key: bytes,
    ) -> Choice | NoChoice:
        occupancy = self._occupancy
        refusal = self._refusals.get(key)
        if refusal is not None and refusal[0] == occupancy.reopened:
            return refusal[1]
        candidates = place.candidates
        best = shortlist(candidates, occupancy.room, occupancy.load)
        seen_all = isinstance(best, NoChoice) or best.looked_at == len(candidates.indices)
        if seen_all and not candidates.whole:
            # The kept ones are full, or the nearest with room is so far down that others
            # just as near may be beyond the end of the list.
            candidates = build(self._fleet, self._policy, location, tenant, keep_all=True)
            place.candidates = candidates
            best = shortlist(candidates, occupancy.room, occupancy.load)
        if isinstance(best, NoChoice):
            self._refusals[key] = (occupancy.reopened, best)
            return best
        for index in candidates.indices[: best.looked_at]:
            occupancy.listen(index, place)
        place.choices = [best.choice(candidates, which) for which in range(len(best.places))]
        if len(place.choices) == 1:
            place.winners = ALWAYS_THE_FIRST
        else:
            seeds, weights = self._fleet.seeds, self._fleet.weights
            indices = [choice.unit_index for choice in place.choices]
            place.winners = winners([seeds[i] for i in indices], [weights[i] for i in indices])
        return place.choices[place.winners[slot_of(client_key)]]
