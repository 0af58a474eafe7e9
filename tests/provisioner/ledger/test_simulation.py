"""The ledger protocol keeps its promises under every interleaving tried, and the checks
that say so notice when a compare is missing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.provisioner.ledger.simulation import World
from tests.provisioner.ledger.tiny_store import Violation

STEPS = 400


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_unit_is_overfilled_and_every_slot_is_accounted_for(seed):
    """The store itself checks after each transaction; see TinyStore._judge."""
    world = World(seed)
    for _ in range(STEPS):
        world.step()


def test_the_simulation_gets_around():
    """Guards the test above: work is done, refused, and settled for the dead."""
    worlds = [World(seed) for seed in range(40)]
    for world in worlds:
        for _ in range(STEPS):
            world.step()
    assert sum(world.assigned for world in worlds) > 240
    assert sum(world.refused for world in worlds) > 240
    assert sum(world.settled for world in worlds) > 40
    assert sum(world.expired for world in worlds) > 40
    assert sum(world.moved for world in worlds) > 5


@pytest.mark.parametrize("compare", ["session", "fence", "usage", "absence", "hold"])
def test_leaving_out_a_compare_is_caught(compare):
    for seed in range(400):
        world = World(seed, without=compare)
        try:
            for _ in range(STEPS):
                world.step()
        except Violation:
            return
    pytest.fail(f"400 runs without the {compare} compare, and nothing was noticed")
