"""The ledger protocol keeps its promises under every interleaving tried, and the checks
that say so notice when a compare is missing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.provisioner.ledger.checked_store import Violation
from tests.provisioner.ledger.simulated_fleet import SimulatedFleet

STEPS = 400


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_unit_is_overfilled_and_every_slot_is_accounted_for(seed):
    """The store itself checks after each transaction; see CheckedStore._judge."""
    fleet = SimulatedFleet(seed)
    for _ in range(STEPS):
        fleet.step()


def test_the_simulation_gets_around():
    """Guards the test above: work is done, refused, and settled for the dead."""
    fleets = [SimulatedFleet(seed) for seed in range(40)]
    for fleet in fleets:
        for _ in range(STEPS):
            fleet.step()
    assert sum(fleet.assigned for fleet in fleets) > 240
    assert sum(fleet.refused for fleet in fleets) > 240
    assert sum(fleet.reclaimed for fleet in fleets) > 40
    assert sum(fleet.expired for fleet in fleets) > 40
    assert sum(fleet.moved for fleet in fleets) > 5


@pytest.mark.parametrize("compare", ["session", "fence", "usage", "absence", "hold"])
def test_leaving_out_a_compare_is_caught(compare):
    for seed in range(400):
        fleet = SimulatedFleet(seed, without=compare)
        try:
            for _ in range(STEPS):
                fleet.step()
        except Violation:
            return
    pytest.fail(f"400 runs without the {compare} compare, and nothing was noticed")
