"""Decisions: what each class of clients comes to as things stand, by the code that places.

A class is what placement cannot tell apart but by the hash of a client: one location under one
policy. `shortlist` decides it over a candidate list that grows where it does not reach; what it
came to holds until a unit that it looked at fills, or one that it is between enters another step
of load (clients only come). tests/simulation/policy holds all of it to `Chooser`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from provisioner.geo.location import Location
from provisioner.placement.candidates import CandidateList, Place, place_of, rank
from provisioner.placement.choice import shortlist
from provisioner.placement.eligibility import Eligibility, EligibleUnits
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.rendezvous import SLOTS
from simulation.policy.simulated_fleet import SimulatedFleet
from simulation.policy.winner_tables import Table, WinnerTables

FULL = "full"  # the rule of clients that found no room
REFUSED = "refused"  # of those that no unit may take
FIRST_KEPT = 16
GROWTH = 8


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What clients of a class get. units: those between which the hash decides, none: `rule` says
    why; table: who wins each slot, None where there is one unit or none; shares: of the slots,
    in step with units."""

    units: tuple[int, ...]
    rule: str
    table: Table | None
    shares: tuple[float, ...]


class _Class:
    __slots__ = ("candidates", "decision", "eligible", "kept", "location", "place", "policy")

    def __init__(self, location: Location, policy: PlacementPolicy) -> None:
        self.location = location
        self.policy = policy
        self.eligible: EligibleUnits | None = None
        self.place: Place | None = None
        self.candidates: CandidateList | None = None
        self.kept = FIRST_KEPT
        self.decision: Decision | None = None


class Decisions:
    """Of clients of one tenant over one fleet. Classes are numbered from 0 as they are added."""

    def __init__(self, simulated: SimulatedFleet, tenant: str) -> None:
        self.simulated = simulated
        self._tenant = tenant
        self._classes: list[_Class] = []
        self._eligibility: dict[int, Eligibility] = {}
        self._policies: list[PlacementPolicy] = []
        units = len(simulated.fleet.units)
        self._on_fill: list[set[int]] = [set() for _ in range(units)]
        self._on_step: list[set[int]] = [set() for _ in range(units)]
        self._tables = WinnerTables(simulated.fleet.seeds, simulated.fleet.weights)
        self._made: dict[tuple[tuple[int, ...], str], Decision] = {}

    def __len__(self) -> int:
        return len(self._classes)

    def add(self, location: Location, policy: PlacementPolicy) -> int:
        """The number of a new class."""
        self._classes.append(_Class(location, policy))
        return len(self._classes) - 1

    def decide(self, number: int) -> Decision:
        """What a class comes to now."""
        one = self._classes[number]
        room, load = self.simulated.room, self.simulated.load
        while True:
            candidates = self._candidates(one)
            best = shortlist(candidates, room, load)
            whole = candidates.whole
            if best is None and whole:
                made = self._nobody(one, candidates)
                break
            if best is not None and (whole or best.looked_at < len(candidates.indices)):
                near = [at for at in candidates.indices[: best.looked_at] if room[at] > 0]
                units = tuple(choice.unit_index for choice in best.choices)
                for at in near:
                    self._on_fill[at].add(number)
                if len(near) > 1:
                    for at in units:
                        self._on_step[at].add(number)
                before = one.decision.units if one.decision is not None else ()
                made = self._decision(units, best.choices[0].rule, before)
                break
            one.kept *= GROWTH
            one.candidates = None
        one.decision = made
        return made

    def entered_step(self, unit: int) -> Iterable[int]:
        """Classes that may come to something else now that a unit is in another step of load;
        they are not told again before they were decided again."""
        found, self._on_step[unit] = self._on_step[unit], set()
        return found

    def filled(self, unit: int) -> Iterable[int]:
        """The same for a unit that is full."""
        found, self._on_fill[unit] = self._on_fill[unit], set()
        return found | set(self.entered_step(unit))

    def _candidates(self, one: _Class) -> CandidateList:
        if one.candidates is None:
            if one.eligible is None or one.place is None:
                one.eligible = self._eligible(one.policy).of(one.location, self._tenant)
                one.place = place_of(one.location, one.policy)
            one.candidates = rank(one.eligible, one.place, kept=one.kept)
        return one.candidates

    def _eligible(self, policy: PlacementPolicy) -> Eligibility:
        found = self._eligibility.get(id(policy))
        if found is None:
            self._policies.append(policy)  # so that no other gets its identity
            found = Eligibility(self.simulated.fleet, policy)
            self._eligibility[id(policy)] = found
        return found

    def _nobody(self, one: _Class, candidates: CandidateList) -> Decision:
        rule = FULL if len(candidates.eligible.indices) else REFUSED
        return self._decision((), rule, ())

    def _decision(self, units: tuple[int, ...], rule: str, before: tuple[int, ...]) -> Decision:
        made = self._made.get((units, rule))
        if made is None:
            table, shares = None, (1.0,) * len(units)
            if len(units) > 1:
                table = self._tables.of(units, before)
                won = np.bincount(table, minlength=max(units) + 1)
                shares = tuple((won[list(units)] / SLOTS).tolist())
            made = self._made[units, rule] = Decision(units, rule, table, shares)
        return made
