"""ExactRun: every client by itself, in the order in which they come.

Who a client is says its class and its slot, and its class the set of equal units that it is at.
Where one of these takes all, that is one look-up; where several are as little loaded, their scores
in its slot decide: they are compared for a block of clients at once, and again for those before
whom something changed. Clients of a unit are counted down to the moment at which it fills or enters
another step of load; what that concerns is decided again. So the result is that of one client after
another.
"""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulation.policy.decisions import Decisions
from simulation.policy.equal_units import RULE_BITS, RULE_MASK, UNDECIDED
from simulation.policy.exact_decisions import ExactDecisions

UNPLACED: Final = -1
BLOCK = 4_096  # clients of whom is guessed at once what they get
_NO_MOMENT: Final = 1 << 62  # clients


class ExactRun:
    """Over the classes that `decisions` has, also those that are added later; clients come with
    `place`, in chunks.

    A stretch is the time in which a unit's load stays in one step. Codes name stretches and not
    units, so that one of a stretch that is over, of which nobody is missing, is known by that."""

    def __init__(self, decisions: Decisions, *, block: int = BLOCK) -> None:
        self._fleet = decisions.simulated
        self._exact = ExactDecisions(decisions)
        self.rules = self._exact.rules  # by the numbers in what `place` returns
        # Of each stretch, how many clients are missing until it is over, and whose it is.
        self._missing = [0, _NO_MOMENT]  # of none, and of nobody
        self._unit_of = [UNPLACED, UNPLACED]
        self._block = block
        # Of each unit, with how many clients it matters next.
        self._next = [0] * len(self._fleet.capacities)
        # Others may have clients at units from the beginning.
        capacities, room = self._fleet.capacities, self._fleet.room
        for unit, (capacity, free) in enumerate(zip(capacities, room, strict=True)):
            self._begin_stretch(unit, capacity - free)

    @property
    def clients(self) -> list[int]:
        """Of each unit by now, with those that others have there."""
        stretches = self._exact.stretches
        return [
            then - self._missing[code >> RULE_BITS]
            for then, code in zip(self._next, stretches, strict=True)
        ]

    def place(
        self, classes: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
        """The unit of each client, or UNPLACED, and the number of the rule; arrays in step with
        the clients' classes and slots, in the order in which they come."""
        self._exact.hear_of_classes()
        found = array("i")
        begin = 0
        while begin < len(classes):
            part = slice(begin, begin + self._block)
            self._place_block(classes[part], slots[part], found)
            begin += self._block
        told = np.frombuffer(found, dtype=np.int32)
        units_of = np.array(self._unit_of, dtype=np.int32)
        return units_of[told >> RULE_BITS], (told & RULE_MASK).astype(np.int16)

    def _place_block(
        self, classes: NDArray[np.int64], slots: NDArray[np.int64], found: array[int]
    ) -> None:
        """Clients in their order; found: gets their codes."""
        exact, missing = self._exact, self._missing
        set_of, sets, stretches = exact.set_of, exact.sets, exact.stretches
        codes, compared, many, by_slot = sets.codes, sets.compared, sets.many, sets.by_slot
        numbers = classes.tolist()
        guessed_of = [set_of[number] for number in numbers]
        guesses = sets.guess(np.array(guessed_of, dtype=np.int64), slots).tolist()
        append, at_moment = found.append, self._at_moment
        for number, slot, then, guess in zip(
            numbers, slots.tolist(), guessed_of, guesses, strict=True
        ):
            at = set_of[number]
            code = codes[at]
            if not code:
                if at == then and missing[guess >> RULE_BITS]:
                    code = guess
                elif units := compared[at]:
                    code = stretches[max(units, key=by_slot[at][slot])] | many[at]
            if (left := missing[code >> RULE_BITS] - 1) > 0:
                missing[code >> RULE_BITS] = left
            else:
                code = at_moment(number, slot, code)
            append(code)

    def _at_moment(self, number: int, slot: int, code: int) -> int:
        """What a client gets of whom it is not known yet, or who makes its unit matter."""
        exact, missing = self._exact, self._missing
        if not missing[code >> RULE_BITS]:
            sets, at = exact.sets, exact.set_of[number]
            if at == UNDECIDED:
                at = exact.decide(number)
            code = sets.codes[at]
            if not missing[code >> RULE_BITS]:
                code = sets.code(at, slot)
        stretch = code >> RULE_BITS
        missing[stretch] -= 1
        if not missing[stretch]:
            unit = self._unit_of[stretch]
            clients = self._next[unit]
            self._begin_stretch(unit, clients)
            exact.reach(unit, clients)
        return code

    def _begin_stretch(self, unit: int, clients: int) -> None:
        then = self._fleet.next_change(unit, clients)
        self._next[unit] = _NO_MOMENT if then is None else then
        self._exact.stretches[unit] = len(self._missing) << RULE_BITS
        self._missing.append(self._next[unit] - clients)
        self._unit_of.append(unit)
