"""ExactDecisions: what each class of clients gets, right at every moment, for who asks by client.

Decides as `Decisions` does, and costs what changes: a unit that enters another step of load leaves
the equal units that it was one of, and all classes that these were the decision of share what is
left. A class is looked at again where none is left, or where the nearest unit with room filled,
and only when one of its clients comes.
"""

from __future__ import annotations

from array import array
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from provisioner.placement.candidates import CandidateList
from provisioner.placement.choice import HOOK, LOAD_STEPS, SPILLOVER, load_step, rule_of
from simulation.policy.decisions import Decisions
from simulation.policy.equal_units import RULE_MASK, EqualUnits, Kind, constant, without
from simulation.policy.winner_tables import WinnerTables

Slots: TypeAlias = "array[int]"  # by slot of clients: a code of unit and rule


class _Near:
    """Of a class, the units that are equally near as the nearest with room. units: ascending;
    first: the nearest; equals: how many have room; behind: whether nearer ones are full."""

    __slots__ = ("behind", "candidates", "equals", "first", "tables", "units")

    def __init__(
        self,
        candidates: CandidateList,
        units: NDArray[np.int64],
        first: int,
        tables: WinnerTables,
        *,
        behind: bool,
    ) -> None:
        self.candidates = candidates
        self.units = units
        self.first = first
        self.equals = len(units)
        self.behind = behind
        self.tables = tables


class ExactDecisions:
    """Of the classes of `decisions`, whose fleet is empty. slots: of each class, or `undecided`
    where it has to be decided first; rules: their names, by the numbers in codes."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        fleet = decisions.simulated
        count = len(fleet.capacities)
        self._capacities = fleet.capacities
        self._steps = np.array([load_step(load) for load in fleet.load], dtype=np.int8)
        self.nobody = count  # in codes, in place of a unit
        self.not_decided = count + 1
        self.undecided = constant(self.not_decided, 0)
        self.slots: list[Slots] = []
        self.rules: list[str] = []
        self._rule_numbers: dict[str, int] = {}
        self._near: list[_Near | None] = []
        self._seen: list[int] = []  # of a class's candidates, those that it hears of when they fill
        self._equal: list[EqualUnits | None] = []
        self._live: dict[Kind, EqualUnits] = {}
        self._equal_with: list[list[EqualUnits]] = [[] for _ in range(count)]
        self._near_to: list[list[int]] = [[] for _ in range(count)]

    def hear_of_classes(self) -> None:
        """Makes room for those that were added."""
        more = len(self._decisions) - len(self.slots)
        self.slots += [self.undecided] * more
        self._near += [None] * more
        self._equal += [None] * more
        self._seen += [0] * more

    def decide(self, number: int) -> Slots:
        """What a class gets now."""
        near = self._near[number]
        if near is None:
            near = self._near[number] = self._look(number)
        if near is None:
            rule = self._rule(self._decisions.unplaced(number))
            found = self.slots[number] = constant(self.nobody, rule)
            return found
        kind = self._kind(number, near)
        equal = self._live.get(kind)
        if equal is None:
            equal = self._live[kind] = EqualUnits(kind)
            for unit in kind.units:
                self._equal_with[unit].append(equal)
        self._give(number, equal)
        return equal.slots

    def reach(self, unit: int, clients: int) -> None:
        """A unit has so many clients, and enters a step of load or is full."""
        full = clients >= self._capacities[unit]
        self._steps[unit] = LOAD_STEPS if full else load_step(clients / self._capacities[unit])
        found, self._equal_with[unit] = self._equal_with[unit], []
        for equal in found:
            if equal.gone:
                continue
            if full or equal.kind.by_load:
                self._leave(equal, unit)
            else:
                self._equal_with[unit].append(equal)
        if full:
            near_to, self._near_to[unit] = self._near_to[unit], []
            for number in near_to:
                self._fill(number, unit)

    # -- what a moment does ------------------------------------------------------------

    def _leave(self, equal: EqualUnits, unit: int) -> None:
        """A unit is no longer equal with the others."""
        del self._live[equal.kind]
        left = without(equal.kind, unit)
        if left is None:
            equal.gone = True
            for number in equal.classes:
                self._equal[number] = None
                self.slots[number] = self.undecided
            return
        same = self._live.get(left)
        if same is None:
            equal.drop(unit, left)
            self._live[left] = equal
            return
        equal.gone = True
        for number in equal.classes:
            self._give(number, same)

    def _fill(self, number: int, unit: int) -> None:
        """A unit that is, or will be, among the equally near ones of a class is full."""
        near = self._near[number]
        if near is None:
            return
        near.equals -= 1
        if near.first == unit:
            self._near[number] = None
        elif near.equals > 1:
            return
        equal = self._equal[number]
        if equal is not None:
            equal.classes.discard(number)
            self._equal[number] = None
            self.slots[number] = self.undecided

    def _give(self, number: int, equal: EqualUnits) -> None:
        equal.classes.add(number)
        self._equal[number] = equal
        self.slots[number] = equal.slots

    # -- deciding one class ------------------------------------------------------------

    def _look(self, number: int) -> _Near | None:
        """The nearest units with room; None: there are none, for good."""
        decisions = self._decisions
        while True:
            candidates = decisions.candidates(number)
            indices = np.frombuffer(candidates.indices, dtype=np.int64)
            room = self._steps[indices] < LOAD_STEPS
            at = int(room.argmax()) if len(room) else 0
            if not len(room) or not room[at]:
                spills = candidates.whole
                if not decisions.look_farther(number):
                    return None
                if spills:
                    self._seen[number] = 0
                continue
            tiers = candidates.tiers
            limit = tiers[at] + candidates.place.equals_within
            end = int(np.frombuffer(tiers).searchsorted(limit, side="right"))
            if end == len(indices) and not candidates.whole:
                decisions.look_farther(number)
                continue
            for one in indices[self._seen[number] : end].tolist():
                self._near_to[one].append(number)
            self._seen[number] = max(self._seen[number], end)
            units = np.sort(indices[at:end][room[at:end]])
            tables, _ = decisions.tables(candidates.eligible)
            behind = tiers[0] < tiers[at]
            return _Near(candidates, units, int(indices[at]), tables, behind=behind)

    def _kind(self, number: int, near: _Near) -> Kind:
        """The units between which the hash decides about a class now."""
        eligible, units = near.candidates.eligible, near.units
        steps = self._steps[units]
        by_load = eligible.by_load and near.equals > 1
        units = units[steps == steps.min()] if by_load else units[steps < LOAD_STEPS]
        found = tuple(units.tolist())
        many, one = (
            rule_of(near.candidates.place, nearer_full=near.behind, equals=near.equals, best=best)
            for best in (2, 1)
        )
        answer = self._decisions.hooked(number)
        if self._decisions.spilled(number):
            many = one = SPILLOVER
        elif answer is not None:
            among = set(found)
            first = next(unit for unit in near.candidates.indices if unit in among)
            if self._decisions.simulated.fleet.units[first].id in answer.order:
                many = one = HOOK
        return Kind(
            units=found,
            tables=near.tables,
            many=self._rule(many),
            one=self._rule(one),
            by_load=by_load,
        )

    def _rule(self, name: str) -> int:
        number = self._rule_numbers.get(name)
        if number is None:
            number = self._rule_numbers[name] = len(self.rules)
            self.rules.append(name)
            assert number <= RULE_MASK
        return number
