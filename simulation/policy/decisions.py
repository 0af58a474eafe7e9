"""Decisions: what each class of clients comes to as things stand, by the code that places.

A class is what placement cannot tell apart but by the hash of a client: one location under one
policy. `shortlist` decides it over a candidate list that grows where it does not reach; what it
came to holds until a unit that it looked at fills, or one that it is between enters another step
of load (clients only come). tests/simulation/policy holds all of it to `Chooser`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from provisioner.geo.location import Location
from provisioner.placement.candidates import CandidateList, place_of, rank
from provisioner.placement.choice import HOOK, SPILLOVER, Shortlist, shortlist
from provisioner.placement.eligibility import Eligibility, EligibleUnits
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.hooks import HookAnswer
from provisioner.placement.rendezvous import SLOTS
from simulation.policy.simulated_fleet import SimulatedFleet
from simulation.policy.slot_scores import SlotScores
from simulation.policy.winner_tables import Table, WinnerTables

FULL = "full"  # the rule of clients that found no room
REFUSED = "refused"  # of those that no unit may take
FIRST_KEPT = 16
GROWTH = 8
MOST_FULL = 8  # units that a list is looked at past


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
    """own: its policy; policy: that is tried now, which `own` may have spilled over to."""

    __slots__ = (
        "any_may", "candidates", "decision", "kept", "location", "own", "policy", "spilled",
        "whole",
    )  # fmt: skip

    def __init__(self, location: Location, policy: PlacementPolicy) -> None:
        self.location = location
        self.own = self.policy = policy
        self.spilled = False
        self.any_may = False  # whether any unit of those tried before may take its clients
        self.candidates: CandidateList | None = None
        self.whole = False  # whether every unit with room is among the candidates
        self.kept = FIRST_KEPT
        self.decision: Decision | None = None


class Decisions:
    """Of clients of one tenant over one fleet. Classes are numbered from 0 as they are added."""

    def __init__(self, simulated: SimulatedFleet, tenant: str) -> None:
        self.simulated = simulated
        self._tenant = tenant
        self._classes: list[_Class] = []
        self._eligibility: dict[PlacementPolicy, Eligibility] = {}
        units = len(simulated.fleet.units)
        self._on_fill: list[set[int]] = [set() for _ in range(units)]
        self._on_step: list[set[int]] = [set() for _ in range(units)]
        self._tables: dict[bytes, WinnerTables] = {}  # by the weights of units
        self._scores: dict[bytes, SlotScores] = {}
        self._scores_by_id: dict[int, SlotScores] = {}
        self._made: dict[tuple[tuple[int, ...], str, bytes], Decision] = {}

    def __len__(self) -> int:
        return len(self._classes)

    def add(self, location: Location, policy: PlacementPolicy) -> int:
        """The number of a new class."""
        self._classes.append(_Class(location, policy))
        return len(self._classes) - 1

    def classes(self, first: int) -> list[tuple[Location, PlacementPolicy]]:
        """What classes from `first` on were added with."""
        return [(one.location, one.own) for one in self._classes[first:]]

    def decide(self, number: int) -> Decision:
        """What a class comes to now."""
        one = self._classes[number]
        while True:
            candidates = self._candidates(one)
            best = shortlist(candidates, self.simulated.room, self.simulated.load)
            if best is not None and (one.whole or best.looked_at < len(candidates.indices)):
                made = self._among(number, one, candidates, best)
                break
            if not self._look_farther(one):
                rule = FULL if one.any_may else REFUSED
                made = self._decision((), rule, candidates.eligible)
                break
        one.decision = made
        return made

    # -- for who decides by itself -----------------------------------------------------

    def candidates(self, number: int) -> CandidateList:
        """What a class may get, nearest first, as far as it was looked at by now: of the pool that
        is tried."""
        return self._candidates(self._classes[number])

    def look_farther(self, number: int) -> bool:
        """Whether there are more candidates now than there were: farther ones, or, where that were
        all and none of them has room, those of the pool that it spills over to. Without is what
        becomes of the class for good."""
        return self._look_farther(self._classes[number])

    def unplaced(self, number: int) -> str:
        """The rule of a class that cannot look farther."""
        return FULL if self._classes[number].any_may else REFUSED

    def spilled(self, number: int) -> bool:
        """Whether a pool is tried that is not the first."""
        return self._classes[number].spilled

    def hooked(self, number: int) -> HookAnswer | None:
        """What the hook said of what is tried."""
        return self._classes[number].policy.answer

    def tables(self, eligible: EligibleUnits) -> tuple[WinnerTables, bytes]:
        """Who wins slots by the weights of a policy, and what tells these from others."""
        weights = eligible.weights.tobytes() if eligible.scale else b""
        found = self._tables.get(weights)
        if found is None:
            fleet = self.simulated.fleet
            made_of = eligible.weights if weights else fleet.weights
            found = self._tables[weights] = WinnerTables(fleet.seeds, made_of)
        return found, weights

    def scores(self, eligible: EligibleUnits) -> SlotScores:
        """What attracts slots to units by the weights of a policy; the same object for the same."""
        weights = eligible.weights  # of a policy, which is kept, so that identities stay theirs
        found = self._scores_by_id.get(id(weights))
        if found is None:
            seeds = self.simulated.fleet.seeds
            found = self._scores.setdefault(weights.tobytes(), SlotScores(seeds, weights))
            self._scores_by_id[id(weights)] = found
        return found

    def _look_farther(self, one: _Class) -> bool:
        if not one.whole:
            one.kept *= GROWTH
            one.candidates = None
            return True
        one.any_may = one.any_may or len(self._candidates(one).indices) > 0
        if one.policy.spillover is None:
            return False
        # For good: no unit gets room again.
        one.policy, one.spilled = one.policy.spillover, True
        one.candidates, one.kept = None, FIRST_KEPT
        return True

    def _among(
        self, number: int, one: _Class, candidates: CandidateList, best: Shortlist
    ) -> Decision:
        """Between the units of a shortlist the hash decides, until one that was near changes."""
        room = self.simulated.room
        near = [at for at in candidates.indices[: best.looked_at] if room[at] > 0]
        units = tuple(choice.unit_index for choice in best.choices)
        for at in near:
            self._on_fill[at].add(number)
        if len(near) > 1 and candidates.eligible.by_load:
            for at in units:
                self._on_step[at].add(number)
        if best.looked_at - len(near) > MOST_FULL:
            one.candidates = _without_full(candidates, room)
        before = one.decision.units if one.decision is not None else ()
        rule = SPILLOVER if one.spilled else self._rule(one.policy, best)
        return self._decision(units, rule, candidates.eligible, before)

    def _rule(self, policy: PlacementPolicy, best: Shortlist) -> str:
        """As `PolicyChooser` has it: a unit that a hook orders stands alone in its class."""
        first = best.choices[0]
        answer = policy.answer
        if answer is None:
            return first.rule
        unit = str(self.simulated.fleet.units[first.unit_index].id)
        return HOOK if unit in answer.order else first.rule

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
            eligible = self._eligible(one.policy).of(one.location, self._tenant)
            one.candidates = rank(eligible, place_of(one.location, one.policy), kept=one.kept)
            one.whole = one.candidates.whole
        return one.candidates

    def _eligible(self, policy: PlacementPolicy) -> Eligibility:
        found = self._eligibility.get(policy)
        if found is None:
            before = policy.before_hook
            parent = None if before is None else self._eligible(before)
            found = self._eligibility[policy] = Eligibility(self.simulated.fleet, policy, parent)
        return found

    def _decision(
        self,
        units: tuple[int, ...],
        rule: str,
        eligible: EligibleUnits,
        before: tuple[int, ...] = (),
    ) -> Decision:
        tables, weights = self.tables(eligible) if len(units) > 1 else (None, b"")
        made = self._made.get((units, rule, weights))
        if made is None:
            table, shares = None, (1.0,) * len(units)
            if tables is not None:
                table = tables.of(units, before)
                won = np.bincount(table, minlength=max(units) + 1)
                shares = tuple((won[list(units)] / SLOTS).tolist())
            made = self._made[units, rule, weights] = Decision(units, rule, table, shares)
        return made


def _without_full(candidates: CandidateList, room: Sequence[int]) -> CandidateList:
    """The same list for whatever is still to come: units that are full stay so. The first one is
    kept, for it says whether a nearer one is full."""
    kept = [0, *(at for at, unit in enumerate(candidates.indices) if at and room[unit] > 0)]
    return replace(
        candidates,
        indices=array("q", [candidates.indices[at] for at in kept]),
        tiers=array("d", [candidates.tiers[at] for at in kept]),
    )
