"""Who of equal units takes a client is who attracts its slot most of those least loaded, always."""

from __future__ import annotations

import random

import numpy as np
import pytest

from provisioner.placement.choice import LOAD_STEPS
from simulation.policy import equal_units, slot_scores
from simulation.policy.equal_units import RULE_BITS, RULE_MASK, EqualSets, Kind
from simulation.policy.slot_scores import SlotScores
from simulation.policy.winner_tables import WinnerTables

UNITS = 24
DRAW = np.random.default_rng(3)
SEEDS = DRAW.integers(0, 1 << 63, UNITS, dtype=np.uint64)
WEIGHTS = DRAW.choice([1.0, 2.0, 0.5], UNITS)
TABLES = WinnerTables(SEEDS, WEIGHTS)
MANY, ONE, ALONE = 3, 5, 7


class Told:
    """A unit's steps, and a stretch for each."""

    def __init__(self) -> None:
        self.steps = [0] * UNITS
        self.over = {0}
        self.stretches = [unit + 1 << RULE_BITS for unit in range(UNITS)]
        self.unit_of = {unit + 1: unit for unit in range(UNITS)}
        self.sets = EqualSets(self.steps, self.stretches)

    def enter(self, unit: int, step: int) -> None:
        self.over.add(self.stretches[unit] >> RULE_BITS)
        stretch = len(self.unit_of) + 1
        self.unit_of[stretch] = unit
        self.steps[unit], self.stretches[unit] = step, stretch << RULE_BITS
        self.sets.enter_step(unit)

    def of(self, number: int, slot: int, guess: int = 0) -> tuple[int, int]:
        """(unit, rule), as the run asks."""
        code = self.sets.codes[number] or guess
        if code >> RULE_BITS in self.over:
            code = self.sets.code(number, slot)
        return self.unit_of[code >> RULE_BITS], code & RULE_MASK


def expected(told: Told, units: list[int], slot: int, by_load: bool) -> tuple[int, int]:
    free = [unit for unit in sorted(units) if told.steps[unit] < LOAD_STEPS]
    least = min(told.steps[unit] for unit in free)
    among = [unit for unit in free if not by_load or told.steps[unit] == least]
    rule = ALONE if len(free) == 1 else ONE if len(among) == 1 else MANY
    return int(TABLES.of(tuple(among))[slot]), rule


@pytest.mark.parametrize("kept", [True, False], ids=["scores kept", "a fleet too large for it"])
@pytest.mark.parametrize("most_compared", [2, 32], ids=["with tables", "without"])
@pytest.mark.parametrize("seed", range(4))
def test_units_leave_and_the_rest_gets_what_it_would_get_anew(
    seed: int, most_compared: int, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equal_units, "MOST_COMPARED", most_compared)
    monkeypatch.setattr(slot_scores, "MOST_KEPT", UNITS if kept else 0)
    rng, told = random.Random(seed), Told()
    scores = SlotScores(SEEDS, WEIGHTS)
    sets: dict[int, tuple[list[int], bool]] = {}
    for _ in range(12):
        units, by_load = rng.sample(range(UNITS), rng.randint(1, 9)), rng.random() < 0.7
        kind = Kind(tuple(sorted(units)), scores, MANY, ONE, ALONE, by_load)
        number = told.sets.join(kind)
        assert told.sets.join(kind) == number
        told.sets.leave(number)
        sets[number] = units, by_load
    for _ in range(150):
        numbers = np.array(rng.choices(list(sets), k=40))
        slots = np.array([rng.randrange(2_048) for _ in numbers])
        guesses = told.sets.guess(numbers, slots).tolist()
        for number, slot, guess in zip(numbers.tolist(), slots.tolist(), guesses, strict=True):
            if rng.random() < 0.1:
                unit = rng.choice([one for one in range(UNITS) if told.steps[one] < LOAD_STEPS])
                more = rng.choice([1, 1, 1, 1, 7])
                told.enter(unit, min(LOAD_STEPS, told.steps[unit] + more))
                if all(step >= LOAD_STEPS for step in told.steps):
                    return
            units, by_load = sets[number]
            if all(told.steps[unit] >= LOAD_STEPS for unit in units):
                continue
            assert told.of(number, slot, guess) == expected(told, units, slot, by_load)


def test_the_number_of_a_set_that_nobody_needs_is_given_again_after_the_next_guess_alone() -> None:
    told = Told()
    scores = SlotScores(SEEDS, WEIGHTS)
    one, other, third = (
        Kind(units, scores, MANY, ONE, ALONE, True) for units in ((1, 2), (3, 4), (5, 6))
    )
    first = told.sets.join(one)
    told.sets.leave(first)
    second = told.sets.join(other)
    assert second != first
    told.sets.guess(np.array([second]), np.array([0]))
    assert told.sets.join(third) == first
    assert told.of(first, 9) == expected(told, [5, 6], 9, True)
