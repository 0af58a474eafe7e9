"""With assignments in several clusters the promises hold under every interleaving tried, and
the judge that says so notices when something they rest on is missing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.provisioner.ledger.sharded.scenario import BUGS, Violation
from tests.provisioner.ledger.sharded.simulated_fleet import SimulatedFleet

STEPS = 3_000


def run(
    seed: int, *, bug: str = "", eventful: bool = False, short_lived: bool = False
) -> SimulatedFleet:
    fleet = SimulatedFleet(seed, bug=bug, eventful=eventful, short_lived=short_lived)
    try:
        for _ in range(STEPS):
            fleet.step()
    finally:
        fleet.close()
    return fleet


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_clients_are_counted_never_lost_and_never_too_many(seed):
    """The fleet's judge looks after each transaction; see SimulatedFleet.judge."""
    run(seed)


def test_the_simulation_gets_around():
    """Guards the test above: everything that can happen does."""
    fleets = [run(seed) for seed in range(12)]
    done = {what: sum(fleet.done[what] for fleet in fleets) for what in fleets[0].done}
    assert min(done.values()) > 5, done


# Two movers, and a write of the first that is late by a whole move: one fleet in two dozen.
RARE = ("licence",)
# Hardly any fleet shows it by chance; see test_late_map_changes.
DIRECTED = ("no-attempt",)
# Shown by one of ten fleets in which much goes wrong, and by hardly any other one.
EVENTFUL = ("cleared-early",)


def seen(bug: str, *, fleets: int, eventful: bool = False) -> bool:
    for seed in range(fleets):
        try:
            run(seed, bug=bug, eventful=eventful)
        except Violation:
            return True
    return False


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug not in RARE + DIRECTED])
def test_a_seeded_bug_is_caught(bug):
    assert seen(bug, fleets=150, eventful=bug in EVENTFUL), f"not noticed: {BUGS[bug]}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", RARE)
def test_a_seeded_bug_of_movers_is_caught(bug):
    """Only eventful fleets show it."""
    assert seen(bug, fleets=400, eventful=True), f"not noticed: {BUGS[bug]}"


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_client_is_lost_where_movers_are_in_a_hurry(seed):
    run(seed, eventful=True)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nobody_is_counted_twice_where_provisioners_die_young(seed):
    run(seed, short_lived=True)
