"""Rendezvous hashing: uniform, in proportion to weights, and still when others come and go."""

import random
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.placement.rendezvous import (
    MOST_IN_TABLE,
    SLOTS,
    scores_in_slot,
    seed_of,
    slot_of,
    winners,
)
from tests.provisioner.placement import reference
from tests.support.fleets import unit

rng = random.Random(5)


def test_hashes_are_the_same_on_every_machine_and_in_every_run():
    assert seed_of("eu-west-1a") == 0xA19F28C6D1023204  # BLAKE2b of 8 bytes
    assert slot_of(b"123456789") == 0xCBF43926 % SLOTS  # the check value of CRC-32


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param([b"/a/default/client-%d" % n for n in range(200_000)], id="counted"),
        pytest.param([b"/a/default/%032x" % rng.getrandbits(128) for _ in range(200_000)],
                     id="random-hexadecimal"),
        pytest.param([b"/a/t%d/phone" % n for n in range(200_000)], id="counted-tenants"),
        pytest.param([b"/a/default/%08d@example.net" % (n * 64) for n in range(200_000)],
                     id="counted-in-64s-with-a-common-end"),
    ],
)  # fmt: skip
def test_clients_spread_evenly_over_slots(keys):
    """Chi-square of SLOTS - 1 degrees of freedom, at most five standard deviations high."""
    counts = np.bincount([slot_of(key) for key in keys], minlength=SLOTS)
    expected = len(keys) / SLOTS
    chi_square = float(((counts - expected) ** 2 / expected).sum())
    assert chi_square < (SLOTS - 1) + 5 * sqrt(2 * (SLOTS - 1))


def shares(weights, names):
    table = winners([seed_of(name) for name in names], weights)
    return np.bincount(list(table), minlength=len(weights)) / SLOTS


@pytest.mark.parametrize(
    "weights",
    [[1.0, 1.0], [1.0, 3.0], [1.0, 2.0, 3.0, 4.0], [0.01, 1.0, 100.0], [1.0] * 40],
)
def test_units_win_in_proportion_to_their_weights(weights):
    """Over 60 fleets of these weights, within five standard deviations."""
    fleets = 60
    mean = np.mean(
        [shares(weights, [f"{f}-{place}" for place in range(len(weights))]) for f in range(fleets)],
        axis=0,
    )
    fair = np.array(weights) / sum(weights)
    assert (np.abs(mean - fair) <= 5 * np.sqrt(fair * (1 - fair) / (SLOTS * fleets))).all()


@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
def test_each_single_fleet_is_as_close_to_fair_as_promised(weights):
    fair = np.array(weights) / sum(weights)
    for number in range(60):
        found = shares(weights, [f"{number}-{place}" for place in range(len(weights))])
        assert (np.abs(found - fair) <= 4.5 * np.sqrt(fair * (1 - fair) / SLOTS)).all()


units = st.lists(
    st.tuples(st.text(max_size=3), st.sampled_from([0.001, 0.5, 1.0, 2.0, 1000.0])),
    min_size=1, max_size=8, unique_by=lambda pair: pair[0],
)  # fmt: skip


@given(units)
def test_tables_single_slots_and_the_plain_formula_agree(pairs):
    names, weights = zip(*pairs, strict=True)
    seeds = [seed_of(name) for name in names]
    table = winners(seeds, weights)
    for client in (b"", b"a", b"t/client-7"):
        scores = scores_in_slot(
            slot_of(client), np.array(seeds, dtype=np.uint64), np.array(weights)
        )
        plain = [reference.attraction(client, unit(n, weight=w)) for n, w in pairs]
        assert scores == pytest.approx(plain, rel=1e-12)
        assert table[slot_of(client)] == int(np.argmax(scores))


@given(units, st.data())
def test_a_unit_that_goes_leaves_all_other_slots_as_they_were(pairs, data):
    gone = data.draw(st.integers(0, len(pairs) - 1))
    left = pairs[:gone] + pairs[gone + 1 :]
    if not left:
        return

    def owners(some):
        table = winners([seed_of(name) for name, _ in some], [weight for _, weight in some])
        return [some[place][0] for place in table]

    for before, after in zip(owners(pairs), owners(left), strict=True):
        assert after == before or before == pairs[gone][0]


def test_a_table_holds_as_many_units_as_it_says():
    table = winners([seed_of(f"u{n}") for n in range(MOST_IN_TABLE)], [1.0] * MOST_IN_TABLE)
    assert len(set(table)) == MOST_IN_TABLE


def unmixed(z):
    """What splitmix64's finaliser turns into z."""
    z ^= (z >> 31) ^ (z >> 62)
    z = z * pow(0x94D049BB133111EB, -1, 2**64) % 2**64
    z ^= (z >> 27) ^ (z >> 54)
    z = z * pow(0xBF58476D1CE4E5B9, -1, 2**64) % 2**64
    return z ^ (z >> 30) ^ (z >> 60)


@pytest.mark.parametrize("mixed", [0, 2**64 - 1], ids=["all-zeros", "all-ones"])
def test_the_extremes_of_the_hash_score_finitely(mixed):
    """0 and 1 have no logarithm, or none to divide by."""
    slot_seed = seed_of("slot 3")
    seeds = np.array([unmixed(mixed) ^ slot_seed], dtype=np.uint64)
    (score,) = scores_in_slot(3, seeds, np.array([1.0]))
    assert 0.0 < score < float("inf")
    assert (score < 0.1) == (mixed == 0)
