"""Numbers of a counter and a seed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulation.population.mixing import fraction, fractions, mixed, mixed_many

SEEDS = st.integers(0, 1 << 62)


@given(st.lists(st.integers(0, (1 << 64) - 2), min_size=1, max_size=20), SEEDS)
def test_one_and_many_agree_to_the_bit(numbers: list[int], seed: int) -> None:
    many = mixed_many(np.array(numbers, dtype=np.uint64), seed)
    assert many.tolist() == [mixed(number, seed) for number in numbers]
    assert fractions(many).tolist() == [fraction(mixed(number, seed)) for number in numbers]


@given(st.integers(0, (1 << 64) - 1))
def test_a_fraction_is_below_one(bits: int) -> None:
    assert 0.0 <= fraction(bits) < 1.0


def test_no_two_of_a_million_are_alike_and_they_are_even() -> None:
    drawn = mixed_many(np.arange(1_000_000, dtype=np.uint64), 7)
    assert len(np.unique(drawn)) == 1_000_000
    in_tenths = np.bincount((fractions(drawn) * 10).astype(int), minlength=10)
    assert abs(in_tenths - 100_000).max() < 1_500  # five standard deviations
