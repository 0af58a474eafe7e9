"""The directory keeps its promises under every interleaving tried, in one store and in several, and
the judge that says so notices when a compare is missing."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.provisioner.directory.simulated_directory import SimulatedDirectory, Violation

STEPS = 60


def simulate(
    seed: int, *, split: bool, without: str = "", grouped: bool = False
) -> SimulatedDirectory:
    async def run() -> SimulatedDirectory:
        directory = SimulatedDirectory(seed, split=split, without=without, grouped=grouped)
        await directory.run(STEPS)
        return directory

    return asyncio.run(run())


@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "in-groups"])
@pytest.mark.parametrize("split", [False, True], ids=["one-store", "several-stores"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_name_has_two_owners_or_one_whose_record_does_not_say_so(split, grouped, seed):
    """The judge looks after each transaction; see SimulatedDirectory._judge."""
    simulate(seed, split=split, grouped=grouped)


def test_the_simulation_gets_around():
    """Guards the test above: names are claimed, refused, handed over, and settled for the dead."""
    done = [simulate(seed, split=split) for seed in range(40) for split in (False, True)]
    assert sum(one.claimed for one in done) > 100
    assert sum(one.refused for one in done) > 100
    assert sum(one.accepted for one in done) > 10
    assert sum(one.settled for one in done) > 2


def test_in_groups_it_gets_around_as_well():
    done = [simulate(seed, split=False, grouped=True) for seed in range(40)]
    assert sum(one.claimed for one in done) > 50
    assert sum(one.accepted for one in done) > 5
    assert sum(one.at_once for one in done) > 20
    assert sum(one.shared_commits for one in done) > 20
    assert sum(store.refused for one in done for store, _ in one.groups) > 10


@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "in-groups"])
@pytest.mark.parametrize(
    ("compare", "split"),
    [("claim", False), ("claim", True), ("account", False), ("account", True), ("home", False)],
)
def test_leaving_out_a_compare_is_caught(compare, split, grouped):
    for seed in range(200):
        try:
            simulate(seed, split=split, without=compare, grouped=grouped)
        except Violation:
            return
    pytest.fail(f"200 runs without the compare of the {compare}, and nothing was noticed")
