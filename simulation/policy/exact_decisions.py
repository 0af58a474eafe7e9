"""ExactDecisions: which equal units each class of clients is at, right at every moment.

A class is at the units that are as near as the nearest with room. It is looked at again when that
nearest one has filled, and one of its clients comes; whatever else changes, concerns the sets of
equal units, which classes share. So a moment costs what the sets that it concerns cost.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from provisioner.placement.candidates import CandidateList, Place
from provisioner.placement.choice import HOOK, LOAD_STEPS, SPILLOVER, load_step, rule_of
from simulation.policy.decisions import Decisions
from simulation.policy.equal_units import (
    NO_STRETCH,
    RULE_BITS,
    RULE_MASK,
    UNDECIDED,
    EqualSets,
    Kind,
)

NOBODY: Final = 1  # the stretch of those whom no unit takes


class ExactDecisions:
    """Of the classes of `decisions`, whose fleet may be taken in part. steps: of each unit's load;
    stretches: of each unit, the code without a rule of its clients now; set_of: the set that each
    class is at, by number, or UNDECIDED where it has to be decided first; rules: their names, by
    the numbers in codes."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        fleet = decisions.simulated
        self._capacities = fleet.capacities
        self._steps = [load_step(load) for load in fleet.load]
        self.stretches = [NO_STRETCH] * len(self._steps)
        self.sets = EqualSets(self._steps, self.stretches)
        self.set_of: list[int] = []
        self.rules: list[str] = []
        self._rule_numbers: dict[str, int] = {}
        self._found_rules: dict[tuple[bool, bool], tuple[int, int, int]] = {}
        self._begin: list[int] = []  # of a class's candidates, the first that may have room
        self._nearest_of: list[list[int]] = [[] for _ in self._steps]  # classes by unit
        self._nobody: dict[str, int] = {}  # sets by rule

    def hear_of_classes(self) -> None:
        """Makes room for those that were added."""
        more = len(self._decisions) - len(self.set_of)
        self.set_of += [UNDECIDED] * more
        self._begin += [0] * more

    def decide(self, number: int) -> int:
        """The set that a class is at, which was undecided."""
        kind = self._look(number)
        if kind is not None:
            found = self.sets.join(kind)
        else:
            rule = self._decisions.unplaced(number)
            if rule not in self._nobody:
                code = NOBODY << RULE_BITS | self._rule(rule)
                self._nobody[rule] = self.sets.constant(code)
            found = self._nobody[rule]
        self.set_of[number] = found
        return found

    def reach(self, unit: int, clients: int) -> None:
        """A unit has so many clients, and enters a step of load or is full; its stretch is the next
        one already."""
        full = clients >= self._capacities[unit]
        self._steps[unit] = LOAD_STEPS if full else load_step(clients / self._capacities[unit])
        self.sets.enter_step(unit)
        if full:
            for number in self._nearest_of[unit]:
                self.sets.leave(self.set_of[number])
                self.set_of[number] = UNDECIDED
            self._nearest_of[unit] = []

    def _look(self, number: int) -> Kind | None:
        """The nearest units with room; None: there are none, for good."""
        decisions, steps = self._decisions, self._steps
        at = self._begin[number]
        while True:
            candidates = decisions.candidates(number)
            indices, tiers = candidates.indices, candidates.tiers
            count = len(indices)
            while at < count and steps[indices[at]] >= LOAD_STEPS:
                at += 1
            if at == count:
                if candidates.whole:
                    at = 0  # of the pool that it spills over to
                if not decisions.look_farther(number):
                    return None
                continue
            end = bisect_right(tiers, tiers[at] + candidates.place.equals_within, at)
            if end == count and not candidates.whole:
                decisions.look_farther(number)
                continue
            break
        self._begin[number] = at
        self._nearest_of[indices[at]].append(number)
        units = [unit for unit in indices[at:end] if steps[unit] < LOAD_STEPS]
        return self._kind(number, candidates, units, behind=tiers[0] < tiers[at])

    def _kind(
        self, number: int, candidates: CandidateList, units: list[int], *, behind: bool
    ) -> Kind:
        """Of units as near as the nearest with room, which is the first; behind: whether nearer
        ones are full."""
        decisions, eligible = self._decisions, candidates.eligible
        answer = decisions.hooked(number)
        if decisions.spilled(number):
            rules = self._always(SPILLOVER)
        elif answer is not None and decisions.simulated.fleet.units[units[0]].id in answer.order:
            rules = self._always(HOOK)  # a unit that a hook orders is as near as no other one
        else:
            rules = self._by_equals(candidates.place, behind=behind)
        return Kind(
            tuple(sorted(units)), decisions.scores(eligible), *rules, by_load=eligible.by_load
        )

    def _always(self, name: str) -> tuple[int, int, int]:
        rule = self._rule(name)
        return rule, rule, rule

    def _by_equals(self, place: Place, *, behind: bool) -> tuple[int, int, int]:
        """The rules by which several, one of several, and the only one of equals get clients."""
        key = place.nowhere, behind
        found = self._found_rules.get(key)
        if found is None:
            many, one, alone = (
                self._rule(rule_of(place, nearer_full=behind, equals=equals, best=best))
                for equals, best in ((2, 2), (2, 1), (1, 1))
            )
            found = self._found_rules[key] = many, one, alone
        return found

    def _rule(self, name: str) -> int:
        number = self._rule_numbers.get(name)
        if number is None:
            number = self._rule_numbers[name] = len(self.rules)
            self.rules.append(name)
            assert number <= RULE_MASK
        return number
