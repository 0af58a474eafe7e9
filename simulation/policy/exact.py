"""ExactRun: every client by itself, in the order in which they come.

Who a client is says its class and its slot; what that comes to is one look-up in what was decided
for the class. What is decided holds until a unit fills or enters another step of load; until then
clients are counted down, and at that moment what it changes is decided again. So the result is
that of one client after another, and costs what the moments cost, and a look-up a client.
"""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from simulation.policy.decisions import Decisions
from simulation.policy.equal_units import RULE_BITS, RULE_MASK
from simulation.policy.exact_decisions import ExactDecisions

UNPLACED = -1
_NO_MOMENT = 1 << 62  # clients


class ExactRun:
    """Over the classes that `decisions` has, also those that are added later; clients come with
    `place`, in chunks."""

    def __init__(self, decisions: Decisions) -> None:
        self._fleet = decisions.simulated
        self._units = len(self._fleet.capacities)
        self._exact = ExactDecisions(decisions)
        self.rules = self._exact.rules  # by the numbers in what `place` returns
        # Others may have clients at units from the beginning.
        capacities, room = self._fleet.capacities, self._fleet.room
        clients = [has - free for has, free in zip(capacities, room, strict=True)]
        # Of each unit, with how many clients it matters next, and how many of these are missing.
        self._next = [self._next_of(unit, has) for unit, has in enumerate(clients)]
        self._missing = [then - has for then, has in zip(self._next, clients, strict=True)]
        self._missing += [_NO_MOMENT, 1]  # nobody, and not decided

    @property
    def clients(self) -> list[int]:
        """Of each unit by now, with those that others have there."""
        return [then - missing for then, missing in zip(self._next, self._missing, strict=False)]

    def place(
        self, classes: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
        """The unit of each client, or UNPLACED, and the number of the rule; arrays in step with
        the clients' classes and slots, in the order in which they come."""
        self._exact.hear_of_classes()
        by_class, missing, at_moment = self._exact.slots, self._missing, self._at_moment
        found = array("i")
        append = found.append
        for number, slot in zip(classes.tolist(), slots.tolist(), strict=True):
            code = by_class[number][slot]
            unit = code >> RULE_BITS
            if (left := missing[unit] - 1) > 0:
                missing[unit] = left
            else:
                code = at_moment(number, slot, unit, code)
            append(code)
        codes = np.frombuffer(found, dtype=np.int32)
        units = codes >> RULE_BITS
        units[units == self._units] = UNPLACED
        return units, (codes & RULE_MASK).astype(np.int16)

    def _at_moment(self, number: int, slot: int, unit: int, code: int) -> int:
        """What a client gets whose class is not decided, or who makes the unit matter."""
        if unit == self._exact.not_decided:
            code = self._exact.decide(number)[slot]
            unit = code >> RULE_BITS
            self._missing[unit] -= 1
            if self._missing[unit]:
                return code
        clients = self._next[unit]
        self._exact.reach(unit, clients)
        then = self._next[unit] = self._next_of(unit, clients)
        self._missing[unit] = then - clients
        return code

    def _next_of(self, unit: int, clients: int) -> int:
        then = self._fleet.next_change(unit, clients)
        return _NO_MOMENT if then is None else then
