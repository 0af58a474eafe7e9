"""Tables of sets of any size say what `choose` says of each slot."""

from __future__ import annotations

import numpy as np
import pytest

from provisioner.placement.rendezvous import SLOTS, scores_in_slot, scores_in_slots
from simulation.policy.winner_tables import WinnerTables


@pytest.mark.parametrize("count", [2, 40, 100, 256, 257, 400])
def test_each_slot_goes_to_who_scores_highest_also_after_a_unit_left(count: int) -> None:
    rng = np.random.default_rng(count)
    seeds = rng.integers(0, 1 << 63, count, dtype=np.uint64)
    weights = rng.choice([1.0, 2.0, 0.5], count)
    tables = WinnerTables(seeds, weights)
    everyone = tuple(range(count))
    fewer = everyone[: count // 2] + everyone[count // 2 + 1 :]
    for units, before in ((everyone, ()), (fewer, everyone)):
        table = tables.of(units, before)
        at = np.array(units)
        for slot in range(0, SLOTS, 37):
            best = int(np.argmax(scores_in_slot(slot, seeds[at], weights[at])))
            assert table[slot] == units[best]


def test_scores_of_many_slots_are_those_of_each() -> None:
    rng = np.random.default_rng(5)
    seeds = rng.integers(0, 1 << 63, 37, dtype=np.uint64)
    weights = rng.choice([1.0, 2.0, 0.5], 37)
    slots = np.arange(3, SLOTS, 61)
    found = scores_in_slots(slots, seeds, weights)
    expected = [scores_in_slot(slot, seeds, weights) for slot in slots.tolist()]
    assert (found == np.array(expected)).all()
