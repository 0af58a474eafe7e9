"""SlotScores: how strongly units of a fleet attract the clients of slots, and who wins these.

As `provisioner.placement.rendezvous` has it. Where a few units are equal, and others a moment
later, it is dearer to make the table of who wins which slot than to compare the few scores of one
slot; so the scores are kept, slot by slot, for fleets up to MOST_KEPT units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from provisioner.placement.geodesy import Floats
from provisioner.placement.rendezvous import (
    SLOTS,
    Seeds,
    scores_in_slot,
    scores_in_slots,
    scores_of_pairs,
)
from simulation.policy.winner_tables import Table, WinnerTables

MOST_KEPT = 4_096  # units; 16 KiB each
MOST_AT_A_TIME = 1 << 18  # scores, 2 MiB

Attraction: TypeAlias = Callable[[int], float]  # of a unit, by its index


class SlotScores:
    """Over the units of one fleet; seeds and weights by unit index."""

    def __init__(self, seeds: Seeds, weights: Floats) -> None:
        self._seeds = seeds
        self._weights = weights
        self._kept: Floats | None = None  # shape (SLOTS, units)
        self._by_slot: list[Attraction] = []
        self._tables = WinnerTables(seeds, weights)

    @property
    def by_slot(self) -> Sequence[Attraction]:
        """Of units, by slot; none where they are not kept."""
        if not self._by_slot:
            self._keep()
        return self._by_slot

    def best(self, slot: int, units: Sequence[int]) -> int:
        """The unit that wins a slot."""
        if self.by_slot:
            return max(units, key=self._by_slot[slot])
        at = np.array(units, dtype=np.int64)
        return int(at[scores_in_slot(slot, self._seeds[at], self._weights[at]).argmax()])

    def pairs(self, slots: NDArray[np.int64], units: NDArray[np.int64]) -> Floats:
        """The score of each unit in the slot beside it; shape as given."""
        if self.by_slot:
            assert self._kept is not None
            found: Floats = self._kept.ravel()[slots * len(self._seeds) + units]
            return found
        return scores_of_pairs(slots, self._seeds[units], self._weights[units])

    def table(self, units: Sequence[int]) -> Table:
        """Who of these units, ascending, wins each slot; the caller's own."""
        return self._tables.of(tuple(units)).copy()

    def among(self, units: Sequence[int], slots: NDArray[np.intp]) -> Table:
        """The same of some slots."""
        return self._tables.among(tuple(units), slots)

    def _keep(self) -> None:
        count = len(self._seeds)
        if count > MOST_KEPT:
            return
        kept = np.empty((SLOTS, count))
        step = max(1, MOST_AT_A_TIME // count)
        for begin in range(0, SLOTS, step):
            slots = np.arange(begin, min(begin + step, SLOTS))
            kept[slots] = scores_in_slots(slots, self._seeds, self._weights)
        self._kept = kept
        self._by_slot = [row.data.__getitem__ for row in kept]
