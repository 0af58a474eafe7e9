"""With assignments in several clusters the promises hold under every interleaving tried, and
the judge that says so notices when something they rest on is missing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.provisioner.ledger.clusters_simulation import BUGS, Violation, World

STEPS = 3_000


def run(seed: int, *, bug: str = "") -> World:
    world = World(seed, bug=bug)
    try:
        for _ in range(STEPS):
            world.step()
    finally:
        world.close()
    return world


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_clients_are_counted_never_lost_and_never_too_many(seed):
    """The world's judge looks after each transaction; see World.judge."""
    run(seed)


def test_the_simulation_gets_around():
    """Guards the test above: everything that can happen does."""
    worlds = [run(seed) for seed in range(12)]
    done = {what: sum(world.done[what] for world in worlds) for what in worlds[0].done}
    assert min(done.values()) > 5, done


RARE = ("licence", "no-attempt")  # two movers, and a write of the first that is late


@pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=pytest.mark.slow if bug in RARE else ()) for bug in BUGS]
)
def test_a_seeded_bug_is_caught(bug):
    for seed in range(300):
        try:
            run(seed, bug=bug)
        except Violation:
            return
    pytest.fail(f"300 runs in which {BUGS[bug]}, and nothing was noticed")
