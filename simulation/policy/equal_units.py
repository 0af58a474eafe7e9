"""EqualUnits: units with room that are equally near, and which of them take clients now.

Those whose load is in the lowest step take them, and of several the one that attracts the client's
slot most. Units only leave: the lowest step as their load enters the next, and altogether as they
fill. Classes of clients with the same units share one object.

Of clients that come one after another, `EqualSets` guesses what all of a block get as things stand,
and says of each when the guess does not hold any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from provisioner.placement.choice import LOAD_STEPS
from simulation.policy.slot_scores import Attraction, SlotScores
from simulation.policy.winner_tables import Table

RULE_BITS: Final = 4  # of a code; the rest is a stretch
RULE_MASK: Final = (1 << RULE_BITS) - 1
UNDECIDED: Final = 0  # the number of no set, for classes that have to be decided first
NO_STRETCH: Final = 0  # of codes that say nothing; nobody is ever missing
OVER: Final = 1  # a code of it all the same: no guess counts in its place
MOST_COMPARED = 32  # units: of more, there is a table of who wins each slot


class Kind(NamedTuple):
    """What two sets of the same units have to have in common to be the same. units: ascending;
    many, one, alone: numbers of the rules while several have the lowest load, while one of several
    has it, and while there is one unit at all; by_load: whether load counts."""

    units: tuple[int, ...]
    scores: SlotScores
    many: int
    one: int
    alone: int
    by_load: bool


class EqualUnits:
    """number: among the sets of `EqualSets`; units: those with room, ascending; among: those of the
    lowest step, where they are several; table: who of many wins each slot; classes: how many are
    told by it; gone: it is nobody's any more."""

    __slots__ = ("among", "by_load", "classes", "gone", "kind", "number", "table", "units")

    def __init__(self, kind: Kind, number: int) -> None:
        self.kind = kind
        self.number = number
        self.units = list(kind.units)
        self.by_load = kind.by_load and len(kind.units) > 1
        self.among: list[int] = []
        self.table: Table | None = None
        self.classes = 0
        self.gone = False


class EqualSets:
    """Of one fleet. steps: of each unit's load, LOAD_STEPS: it is full; stretches: of each unit,
    a code without a rule of the time until its load enters the next step; the caller keeps both.

    By number of a set: codes: what all of its clients get; of NO_STRETCH, or of a stretch that is
    over, where scores tell or `code` does. compared: the few units whose scores tell, none where
    these do not or are not kept; many: the rule of these; by_slot: their scores."""

    def __init__(self, steps: Sequence[int], stretches: Sequence[int]) -> None:
        self._steps = steps
        self._stretches = stretches
        self.codes: list[int] = [NO_STRETCH]
        self.compared: list[list[int]] = [[]]
        self.many: list[int] = [0]
        self.by_slot: list[Sequence[Attraction]] = [()]
        self._sets: list[EqualUnits | None] = [None]
        self._free: list[int] = []
        self._freed: list[int] = []  # since `guess`
        self._by_kind: dict[Kind, EqualUnits] = {}
        # Of each unit, the sets that it is of, and those of which it takes clients now.
        self._of: list[dict[EqualUnits, None]] = [{} for _ in steps]
        self._taking: list[dict[EqualUnits, None]] = [{} for _ in steps]

    def __len__(self) -> int:
        return len(self.codes)

    def join(self, kind: Kind) -> int:
        """The number of the set of this kind, for one more class."""
        found = self._by_kind.get(kind)
        if found is None:
            found = self._by_kind[kind] = EqualUnits(kind, self._number())
            self._sets[found.number] = found
            self.many[found.number] = kind.many
            for unit in kind.units:
                self._of[unit][found] = None
        found.classes += 1
        return found.number

    def leave(self, number: int) -> None:
        """One class less."""
        found = self._sets[number]
        assert found is not None
        found.classes -= 1
        if not found.classes:
            self._end(found)

    def constant(self, code: int) -> int:
        """The number of a set without units, whose clients all get this for good."""
        number = self._number()
        self.codes[number] = code
        return number

    def code(self, number: int, slot: int) -> int:
        """What a client gets, of a set whose code is of no stretch or of one that is over."""
        found = self._sets[number]
        assert found is not None
        if not found.among:
            self._refresh(found)
        if not found.among:
            return self.codes[number]
        if found.table is not None:
            unit = int(found.table[slot])
        else:
            unit = found.kind.scores.best(slot, found.among)
        return self._stretches[unit] | found.kind.many

    def guess(self, numbers: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """What clients get of whom scores tell, by the numbers of their sets and by their slots, as
        things stand; of NO_STRETCH the others. Shape as given. It stays right as long as the
        client's class is at the set, the set has no code, and the stretch is not over."""
        self._free += self._freed
        self._freed.clear()
        codes = np.zeros(len(numbers), dtype=np.int64)
        by_scores: dict[SlotScores, list[tuple[int, EqualUnits]]] = {}
        stretches = np.array(self._stretches)
        present, of_client = np.unique(numbers, return_inverse=True)
        for at, number in enumerate(present.tolist()):
            found = self._sets[number]
            if found is None or not found.among:
                continue
            if found.table is None:
                by_scores.setdefault(found.kind.scores, []).append((at, found))
                continue
            clients = np.flatnonzero(of_client == at)
            codes[clients] = stretches[found.table[slots[clients]]] | found.kind.many
        for scores, sets in by_scores.items():
            rows = np.zeros(len(present), dtype=np.int64)  # of sets, from 1 on
            rows[[at for at, _ in sets]] = np.arange(1, len(sets) + 1)
            many = np.array([one.kind.many for _, one in sets])
            lengths = np.array([len(one.among) for _, one in sets])
            members = np.fromiter(chain.from_iterable(one.among for _, one in sets), np.int64)
            row = rows[of_client]
            clients = np.flatnonzero(row)
            row = row[clients] - 1
            count = lengths[row]
            ends = np.cumsum(count)
            begins = ends - count
            firsts = (np.cumsum(lengths) - lengths)[row]
            units = members[np.arange(ends[-1]) + np.repeat(firsts - begins, count)]
            told = scores.pairs(np.repeat(slots[clients], count), units)
            best = np.repeat(np.maximum.reduceat(told, begins), count)
            won = np.flatnonzero(told == best)
            # Of those that attract as strongly the first.
            won = won[np.searchsorted(won, begins)]
            codes[clients] = stretches[units[won]] | many[row]
        return codes

    def enter_step(self, unit: int) -> None:
        """A unit's load is in another step, or it is full."""
        full = self._steps[unit] >= LOAD_STEPS
        taking, self._taking[unit] = self._taking[unit], {}
        for found in taking:
            if found.gone:
                continue
            if full or found.by_load:
                self._stop(found, unit)
                continue
            self._taking[unit][found] = None
            if not found.among:
                self._give_to(found, unit)
        if full:
            of, self._of[unit] = self._of[unit], {}
            for found in of:
                self._lose(found, unit)

    def _refresh(self, found: EqualUnits) -> None:
        """Who takes clients of a set as things stand."""
        units = found.units
        if found.by_load:
            steps = self._steps
            least = min([steps[unit] for unit in units])
            units = [unit for unit in units if steps[unit] == least]
        for unit in units:
            self._taking[unit][found] = None
        if len(units) == 1:
            self._give_to(found, units[0])
            return
        found.among = list(units)
        self.codes[found.number] = NO_STRETCH
        if len(units) > MOST_COMPARED:
            found.table = found.kind.scores.table(units)
        else:
            self._compare(found)

    def _stop(self, found: EqualUnits, unit: int) -> None:
        """A unit takes no more clients of a set; the last one leaves a code that is over."""
        among = found.among
        if not among:
            return
        among.remove(unit)
        if len(among) == 1:
            self._give_to(found, among[0])
        elif found.table is None:
            return
        elif len(among) <= MOST_COMPARED:
            found.table = None
            self._compare(found)
        else:
            lost = np.flatnonzero(found.table == unit)
            found.table[lost] = found.kind.scores.among(among, lost)

    def _compare(self, found: EqualUnits) -> None:
        by_slot = found.kind.scores.by_slot
        if by_slot:
            self.compared[found.number], self.by_slot[found.number] = found.among, by_slot

    def _give_to(self, found: EqualUnits, unit: int) -> None:
        """One unit gets all."""
        kind = found.kind
        rule = kind.one if len(found.units) > 1 else kind.alone
        self.codes[found.number] = self._stretches[unit] | rule
        self._empty(found)

    def _empty(self, found: EqualUnits) -> None:
        found.among, found.table = [], None
        self.compared[found.number] = []

    def _lose(self, found: EqualUnits, unit: int) -> None:
        """A unit is full."""
        kind = self._kind_of(found)
        if self._by_kind.get(kind) is found:
            del self._by_kind[kind]
        found.units.remove(unit)
        if not found.units:
            return
        self._by_kind.setdefault(self._kind_of(found), found)
        if len(found.units) == 1:
            found.by_load = False
            self.codes[found.number] = OVER  # by another rule from now on
            self._empty(found)

    def _kind_of(self, found: EqualUnits) -> Kind:
        """As it is without units that filled."""
        return found.kind._replace(units=tuple(found.units))

    def _end(self, found: EqualUnits) -> None:
        found.gone = True
        kind = self._kind_of(found)
        if self._by_kind.get(kind) is found:
            del self._by_kind[kind]
        for unit in found.units:
            self._of[unit].pop(found, None)
        self._empty(found)
        self._sets[found.number] = None
        self.codes[found.number] = NO_STRETCH
        self._freed.append(found.number)

    def _number(self) -> int:
        if self._free:
            return self._free.pop()
        self.codes.append(NO_STRETCH)
        self.compared.append([])
        self.many.append(0)
        self.by_slot.append(())
        self._sets.append(None)
        return len(self.codes) - 1
