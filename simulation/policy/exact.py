"""ExactRun: every client by itself, in the order in which they come, a chunk of them at a time.

Who a client is says its class and its slot; what that comes to is one look-up, for a hundred
thousand clients at once. What is found so is right until a unit fills or enters another step of
load: those moments are taken in their order, and the clients that come after one, of the classes
that it concerns, are decided again. So the result is that of one client after another, and costs
what the moments cost, and a look-up a client.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from provisioner.placement.rendezvous import SLOTS
from simulation.policy.decisions import Decision, Decisions

Places: TypeAlias = NDArray[np.int64]  # of clients in a chunk, ascending

UNPLACED = -1
_MANY = -2  # of a class: its clients are spread over several units
_MOST_ROWS = 8_192  # 8 KiB each


class ExactRun:
    """Over the classes that `decisions` has, also those that are added later; clients come with
    `place`, in chunks."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._fleet = decisions.simulated
        self._units = len(self._fleet.capacities)
        # Of each unit by now, with those that others have there from the beginning.
        fleet = self._fleet
        self.clients = [has - room for has, room in zip(fleet.capacities, fleet.room, strict=True)]
        self._stale = np.zeros(0, dtype=bool)  # by class, as what follows
        self._single = np.zeros(0, dtype=np.int32)
        self._row = np.zeros(0, dtype=np.int32)
        self._rule = np.zeros(0, dtype=np.int16)
        self.rules: list[str] = []  # by the numbers in what `place` returns
        self._rule_numbers: dict[str, int] = {}
        self._rows = np.zeros((16, SLOTS), dtype=np.int32)
        self._row_of: dict[int, int] = {}
        self._row_decisions: list[Decision] = []

    def place(
        self, classes: NDArray[np.int64], slots: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
        """The unit of each client, or UNPLACED, and the number of the rule; arrays in step with
        the clients' classes and slots, in the order in which they come."""
        if len(self._row_of) > _MOST_ROWS:
            self._row_of.clear()
            self._row_decisions.clear()
            self._stale[:] = True
        self._hear_of(len(self._decisions))
        present = np.flatnonzero(np.bincount(classes, minlength=len(self._stale)))
        for number in present[self._stale[present]].tolist():
            self._decide(number)
        return _Chunk(self, classes, slots).run()

    def _hear_of(self, classes: int) -> None:
        """Makes room for classes that were added."""
        new = classes - len(self._stale)
        if new:
            self._stale = np.concatenate((self._stale, np.ones(new, dtype=bool)))
            self._single = np.concatenate((self._single, np.zeros(new, dtype=np.int32)))
            self._row = np.concatenate((self._row, np.zeros(new, dtype=np.int32)))
            self._rule = np.concatenate((self._rule, np.zeros(new, dtype=np.int16)))

    # -- what a chunk asks for ---------------------------------------------------------

    def _decide(self, number: int) -> None:
        found = self._decisions.decide(number)
        self._stale[number] = False
        if found.table is None:
            self._single[number] = found.units[0] if found.units else UNPLACED
        else:
            self._single[number] = _MANY
            self._row[number] = self._row_for(found)
        rule = self._rule_numbers.get(found.rule)
        if rule is None:
            rule = self._rule_numbers[found.rule] = len(self.rules)
            self.rules.append(found.rule)
        self._rule[number] = rule

    def _row_for(self, decision: Decision) -> int:
        row = self._row_of.get(id(decision))
        if row is None:
            assert decision.table is not None
            row = self._row_of[id(decision)] = len(self._row_decisions)
            self._row_decisions.append(decision)  # so that no other gets its identity
            if row == len(self._rows):
                self._rows = np.concatenate((self._rows, np.zeros_like(self._rows)))
            self._rows[row] = decision.table
        return row

    def _targets(self, classes: NDArray[np.int64], slots: NDArray[np.int64]) -> NDArray[np.int32]:
        found: NDArray[np.int32] = self._single[classes]
        many = np.flatnonzero(found == _MANY)
        if len(many):
            found[many] = self._rows[self._row[classes[many]], slots[many]]
        return found

    def _reached(self, unit: int, clients: int) -> Iterable[int]:
        """A unit has so many clients, and matters; the classes that it may matter to."""
        self._fleet.update(unit, clients)
        if clients >= self._fleet.capacities[unit]:
            return self._decisions.filled(unit)
        return self._decisions.entered_step(unit)


class _Chunk:
    """Some clients, numbered from 0 in their order."""

    def __init__(self, run: ExactRun, classes: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        self._run = run
        self._classes = classes
        self._slots = slots
        self._targets = run._targets(classes, slots)
        self._rules = run._rule[classes]
        # NumPy sorts 16 bits in linear time.
        narrow = np.int16 if run._units < 1 << 15 else np.int32
        order = np.argsort(self._targets.astype(narrow), kind="stable")
        bounds = np.searchsorted(
            self._targets[order], np.arange(run._units + 1, dtype=np.int32)
        ).tolist()
        # Of each unit its clients, and a number that tells which of its moments still counts.
        self._members = [order[bounds[at] : bounds[at + 1]] for at in range(run._units)]
        self._versions = [0] * run._units
        self._moments: list[tuple[int, int, int, int]] = []
        self._of_class: tuple[Places, list[int]] | None = None

    def run(self) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
        run = self._run
        for unit in range(run._units):
            self._expect(unit, run.clients[unit])
        while self._moments:
            at, unit, clients, version = heappop(self._moments)
            if version != self._versions[unit]:
                continue
            touched = self._again(run._reached(unit, clients), at)
            touched.discard(unit)
            self._expect(unit, clients)
            for other in touched:
                self._versions[other] += 1
                self._expect(other, run.clients[other] + self._before(other, at))
        for unit, members in enumerate(self._members):
            if len(members):
                run.clients[unit] += len(members)
                run._fleet.update(unit, run.clients[unit])
        return self._targets, self._rules

    def _before(self, unit: int, at: int) -> int:
        """How many of a unit's clients are not after `at`."""
        return int(np.searchsorted(self._members[unit], at, side="right"))

    def _expect(self, unit: int, clients: int) -> None:
        """The next moment of a unit that has so many clients, if it is in this chunk."""
        members = self._members[unit]
        base = self._run.clients[unit]
        if base + len(members) <= clients:
            return
        then = self._run._fleet.next_change(unit, clients)
        if then is not None and then - base <= len(members):
            at = int(members[then - base - 1])
            heappush(self._moments, (at, unit, then, self._versions[unit]))

    def _again(self, classes: Iterable[int], at: int) -> set[int]:
        """Decides the clients after `at` of these classes again; the units that got or lost any."""
        run = self._run
        moved: list[Places] = []
        for number in classes:
            run._stale[number] = True
            later = self._clients_of(number, at)
            if not len(later):
                continue
            run._decide(number)
            self._rules[later] = run._rule[number]
            found = run._targets(self._classes[later], self._slots[later])
            differ = found != self._targets[later]
            if differ.any():
                moved.append(np.stack((later[differ], self._targets[later[differ]], found[differ])))
                self._targets[later] = found
        if not moved:
            return set()
        places, lost, got = np.concatenate(moved, axis=1)
        touched = {unit for unit in np.unique((lost, got)).tolist() if unit != UNPLACED}
        for unit in touched:
            members = self._members[unit]
            members = members[self._targets[members] == unit]
            more = places[got == unit]
            if len(more):
                members = np.sort(np.concatenate((members, more)))
            self._members[unit] = members
        return touched

    def _clients_of(self, number: int, after: int) -> Places:
        if self._of_class is None:
            order = np.argsort(self._classes, kind="stable")
            bounds = np.searchsorted(
                self._classes[order], np.arange(len(self._run._stale) + 1)
            ).tolist()
            self._of_class = order, bounds
        order, bounds = self._of_class
        clients = order[bounds[number] : bounds[number + 1]]
        return clients[np.searchsorted(clients, after, side="right") :]
