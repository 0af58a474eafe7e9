"""Chooser: `choose` for a server that decides ten thousand times a second. Pure state.

It keeps, for each cell clients come from, the candidate list and what it comes to as things
stand: one unit, or a table of which unit takes which slot of clients. Where the positions of
a cell do not share that (`cell_shortlist`), it keeps the same for each position. A kept
decision is forgotten when a unit it looked at fills, empties or changes its load step, and
only then. Where a list does not reach, the whole fleet is looked at, and what comes of it
holds until any unit changes. tests/provisioner/placement holds all of it to `choose`.
"""

from __future__ import annotations

from typing import TypeAlias
from zlib import crc32

from provisioner.geo.location import Location, LocationSource
from provisioner.placement.candidates import CandidateList, narrowed, place_of, rank
from provisioner.placement.cell_shortlist import CellPlaces, cell_places, cell_shortlist
from provisioner.placement.choice import (
    Choice,
    NoChoice,
    Shortlist,
    by_hash,
    nobody,
    shortlist,
)
from provisioner.placement.eligibility import Eligibility
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.fleet import PlacementFleet
from provisioner.placement.fleet_shortlist import FleetShortlist, shortlist_fleet
from provisioner.placement.occupancy import Occupancy
from provisioner.placement.rendezvous import MOST_IN_TABLE, SLOT_MASK, SLOTS, slot_of, winners

ALWAYS_THE_FIRST = bytes(SLOTS)

CellKey: TypeAlias = str | tuple[str, str]
PositionKey: TypeAlias = tuple[CellKey, float | None, float | None, float]


class _Kept:
    """What is kept for one cell or position. choices and winners: which choice each slot of
    clients gets, no winners while that is not decided. of_fleet: what the whole fleet came to
    when there had been `as_of` changes, None: nobody has room. places: of a cell, None where it
    is one place; by_position: its positions do not share a decision as things stand; only: then
    the one location that choices and winners are of; looked_at: how far down the list units
    mattered to them."""

    __slots__ = (
        "as_of",
        "by_position",
        "candidates",
        "choices",
        "looked_at",
        "of_fleet",
        "only",
        "places",
        "winners",
    )

    def __init__(self, candidates: CandidateList, places: CellPlaces | None = None) -> None:
        self.candidates = candidates
        self.places = places
        self.by_position = False
        self.choices: list[Choice] = []
        self.looked_at = 0
        self.winners: bytes | None = None
        self.of_fleet: FleetShortlist | None = None
        self.as_of = -1
        self.only: Location | None = None

    def forget(self) -> None:
        self.winners = None
        self.by_position = False
        self.only = None


class Chooser:
    """Over one fleet snapshot and policy; `occupancy` belongs to the same snapshot. Of the
    cells and positions, the `max_places / 2` used last are kept, and at most `max_places`."""

    def __init__(
        self,
        fleet: PlacementFleet,
        policy: PlacementPolicy,
        occupancy: Occupancy,
        *,
        max_places: int = 50_000,
        eligibility: Eligibility | None = None,
    ) -> None:
        self._fleet = fleet
        self._policy = policy
        self._occupancy = occupancy
        self.eligibility = eligibility or Eligibility(fleet, policy)
        self._generation = max(1, max_places // 2)
        self._by_tenant = fleet.by_tenant
        # Apart from each other: a dict whose keys are all str is the fastest there is.
        self._cells: dict[CellKey, _Kept] = {}
        self._positions: dict[PositionKey, _Kept] = {}
        self._older_cells: dict[CellKey, _Kept] = {}
        self._older_positions: dict[PositionKey, _Kept] = {}

    def __len__(self) -> int:
        older = len(self._older_cells) + len(self._older_positions)
        return len(self._cells) + len(self._positions) + older

    def choose(self, location: Location, tenant: str, client_key: bytes) -> Choice | NoChoice:
        """The unit for a client of `tenant` at `location`; as `choose` has it."""
        key = (tenant, location.cell) if self._by_tenant else location.cell
        kept = self._cells.get(key)
        if kept is None:
            kept = self._cell(key, location, tenant)
        table = kept.winners
        if table is not None and (kept.only is None or kept.only is location):
            # slot_of, without the call: a third of what is left to do here.
            return kept.choices[table[crc32(client_key) & SLOT_MASK]]
        if kept.places is None:
            return self._decide(kept, client_key)
        if not kept.by_position:
            self._decide_for_cell(kept, kept.places)
            if kept.winners is not None:
                return kept.choices[kept.winners[slot_of(client_key)]]
        if location.source is LocationSource.DECLARED:
            return self._decide_once(kept, kept.places, location, client_key)
        here = self._position(key, location, tenant)
        table = here.winners
        if table is None:
            choice = self._decide(here, client_key)
            table = here.winners
            if table is None:
                return choice
        if kept.only is None:
            self._share(kept, here, location)
        return here.choices[table[slot_of(client_key)]]

    def is_alike(self, location: Location, tenant: str) -> bool:
        """Whether every client at the location gets the unit that the one chosen for last got, as
        things stand. False as well where that would have to be found out."""
        key = (tenant, location.cell) if self._by_tenant else location.cell
        kept = self._cells.get(key)
        if kept is None or kept.winners is None:
            return False
        return (kept.only is None or kept.only is location) and len(kept.choices) == 1

    # -- what is kept ------------------------------------------------------------------

    def _cell(self, key: CellKey, location: Location, tenant: str) -> _Kept:
        kept = self._older_cells.pop(key, None)
        if kept is None:
            places = cell_places(location, self._policy)
            middle = places.middle if places is not None else place_of(location, self._policy)
            eligible = self.eligibility.of(location, tenant)
            kept = _Kept(rank(eligible, middle, kept=self._policy.kept), places)
        self._make_room()
        self._cells[key] = kept
        return kept

    def _position(self, cell: CellKey, location: Location, tenant: str) -> _Kept:
        """Those of a geo database come again; a declared one hardly ever does."""
        key = (cell, location.latitude, location.longitude, location.uncertainty_km)
        kept = self._positions.get(key)
        if kept is not None:
            return kept
        kept = self._older_positions.pop(key, None)
        if kept is None:
            eligible = self.eligibility.of(location, tenant)
            place = place_of(location, self._policy)
            kept = _Kept(rank(eligible, place, kept=self._policy.kept))
        self._make_room()
        self._positions[key] = kept
        return kept

    def _make_room(self) -> None:
        """For one more of those used last. Two generations are enough for that: the older is
        dropped when the newer has filled, and a hit costs one look-up."""
        if len(self._cells) + len(self._positions) >= self._generation:
            self._older_cells, self._cells = self._cells, {}
            self._older_positions, self._positions = self._positions, {}
            # Units must not hold on to what was dropped.
            self._occupancy.forget_all()

    # -- deciding ----------------------------------------------------------------------

    def _decide(self, kept: _Kept, client_key: bytes) -> Choice | NoChoice:
        """For one place, by its list, or by the whole fleet."""
        occupancy, candidates = self._occupancy, kept.candidates
        if kept.as_of != occupancy.changes:
            best = shortlist(candidates, occupancy.room, occupancy.load)
            if best is not None and _reaches(best, candidates):
                self._tabulate(kept, best)
                assert kept.winners is not None
                return kept.choices[kept.winners[slot_of(client_key)]]
            kept.of_fleet = shortlist_fleet(
                candidates.eligible, candidates.place, occupancy.is_open, occupancy.steps
            )
            kept.as_of = occupancy.changes
        if kept.of_fleet is None:
            return nobody(candidates)
        return kept.of_fleet.choice(slot_of(client_key))

    def _decide_for_cell(self, kept: _Kept, places: CellPlaces) -> None:
        """For all positions of a cell, if they share a decision."""
        occupancy, candidates = self._occupancy, kept.candidates
        best, looked_at = cell_shortlist(candidates, places, occupancy.room, occupancy.load)
        if best is not None and len(best.choices) <= MOST_IN_TABLE:
            self._tabulate(kept, best)
            return
        kept.by_position = True
        for index in candidates.indices[:looked_at]:
            occupancy.subscribe(index, kept)

    def _decide_once(
        self, kept: _Kept, places: CellPlaces, location: Location, client_key: bytes
    ) -> Choice | NoChoice:
        """For a position that is not kept, by the list of its cell, or by the whole fleet."""
        occupancy = self._occupancy
        place = place_of(location, self._policy)
        candidates = narrowed(kept.candidates, place, apart_km=places.apart_km)
        best = shortlist(candidates, occupancy.room, occupancy.load)
        if best is not None and _reaches(best, candidates):
            return by_hash(best, candidates.eligible, client_key)
        eligible = candidates.eligible
        of_fleet = shortlist_fleet(eligible, place, occupancy.is_open, occupancy.steps)
        return nobody(kept.candidates) if of_fleet is None else of_fleet.choice(slot_of(client_key))

    def _share(self, cell: _Kept, here: _Kept, location: Location) -> None:
        """Has the cell show what was decided for one location of it: most cells have one in a
        geo database, which is then found in one look-up, like a decision for all."""
        for index in here.candidates.indices[: here.looked_at]:
            self._occupancy.subscribe(index, cell)
        cell.choices, cell.winners, cell.only = here.choices, here.winners, location

    def _tabulate(self, kept: _Kept, best: Shortlist) -> None:
        """Keeps a shortlist until a unit that mattered changes."""
        for index in kept.candidates.indices[: best.looked_at]:
            self._occupancy.subscribe(index, kept)
        kept.looked_at = best.looked_at
        kept.choices = best.choices
        if len(best.choices) == 1:
            kept.winners = ALWAYS_THE_FIRST
        else:
            units = [choice.unit_index for choice in best.choices]
            weights = kept.candidates.eligible.weights
            kept.winners = winners(self._fleet.seeds[units].tolist(), weights[units].tolist())


def _reaches(best: Shortlist, candidates: CandidateList) -> bool:
    """Whether a list tells all that matters, and so little that it can be tabulated: beyond its
    end others may be just as near."""
    return len(best.choices) <= MOST_IN_TABLE and (
        candidates.whole or best.looked_at < len(candidates.indices)
    )
