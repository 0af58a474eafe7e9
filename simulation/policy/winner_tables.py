"""WinnerTables: for sets of equal units, which of them each slot of clients gets.

As `provisioner.placement.rendezvous` has it, kept by set. A set that lost a unit differs from
what it was only in the slots that this unit had won, which is how tables of large sets are made.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from provisioner.placement.geodesy import Floats
from provisioner.placement.rendezvous import MOST_IN_TABLE, SLOTS, Seeds, scores_in_slots, winners

Table: TypeAlias = NDArray[np.int32]  # unit index by slot, shape (SLOTS,)

FEW = 64  # units: up to here a whole table costs less than what changed of one
MOST_TABLES = 4_096  # 8 KiB each
MOST_SCORES = 1 << 18  # at a time, 2 MiB


class WinnerTables:
    """Over the units of one fleet; seeds and weights by unit index."""

    def __init__(self, seeds: Seeds, weights: Floats) -> None:
        self._seeds = seeds
        self._weights = weights
        self._tables: dict[tuple[int, ...], Table] = {}

    def of(self, units: tuple[int, ...], before: tuple[int, ...] = ()) -> Table:
        """The table of these units, at least one; `before`: of a set that may have had more."""
        table = self._tables.get(units)
        if table is None:
            if len(self._tables) >= MOST_TABLES:
                self._tables.clear()
            table = self._tables[units] = self._made(units, before)
        return table

    def among(self, units: tuple[int, ...], slots: NDArray[np.intp]) -> Table:
        """Who of these units wins each of some slots; shape as of slots."""
        at = np.array(units, dtype=np.int32)
        seeds, weights = self._seeds[at], self._weights[at]
        found = np.empty(len(slots), dtype=np.int32)
        step = max(1, MOST_SCORES // len(units))
        for begin in range(0, len(slots), step):
            part = slice(begin, begin + step)
            found[part] = at[scores_in_slots(slots[part], seeds, weights).argmax(axis=1)]
        return found

    def _made(self, units: tuple[int, ...], before: tuple[int, ...]) -> Table:
        at = np.array(units, dtype=np.int32)
        earlier = self._tables.get(before) if len(units) > FEW else None
        if earlier is not None and not set(units) <= set(before):
            earlier = None
        if earlier is None and len(units) <= MOST_IN_TABLE:
            places = winners(self._seeds[at].tolist(), self._weights[at].tolist())
            small: Table = at[np.frombuffer(places, dtype=np.uint8)]
            return small
        if earlier is None:
            return self.among(units, np.arange(SLOTS))
        table = earlier.copy()
        lost = np.flatnonzero(~np.isin(earlier, at))
        table[lost] = self.among(units, lost)
        return table
