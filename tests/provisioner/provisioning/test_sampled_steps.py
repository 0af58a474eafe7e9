"""Steps are timed one after the other, of one call at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.store.embedded import EmbeddedStore
from provisioner.provisioning.sampled_steps import SampledSteps, Step
from tests.support.provisioning_harness import ProvisioningHarness, provisioning
from tests.support.servers import units


class Clock:
    """Moves when told."""

    now = 5.0

    def __call__(self) -> float:
        return self.now


def taken(steps: SampledSteps) -> dict[str, tuple[int, float]]:
    """How often each step was timed, and how long it took in all."""
    return {name: (sum(one.counts), one.total) for (name,), one in steps.seconds.items()}


def test_each_step_begins_where_the_one_before_ended() -> None:
    clock = Clock()
    steps, pending = SampledSteps(clock), object()
    steps.begin()
    for length, step in ((1.0, Step.ADMIT), (2.0, Step.LOCATE), (3.0, None), (4.0, Step.RECORD)):
        clock.now += length
        if step is Step.LOCATE:
            steps.located()
        elif step is None:
            steps.decided(pending)
        else:
            steps.done(step)
    assert steps.pending is pending
    clock.now += 5.0
    steps.answered()
    assert taken(steps) == {
        "admit": (1, 1.0), "locate": (1, 2.0), "decide": (1, 3.0), "record": (1, 4.0),
        "answer": (1, 5.0),
    }  # fmt: skip
    assert (steps.open, steps.active, steps.due, steps.pending) == (False, False, False, None)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ProvisioningHarness]:
    store = await EmbeddedStore.open(tmp_path / "store.db")
    async with provisioning(store, units(dublin=100)) as harness:
        yield harness
    await store.close()


async def test_the_call_that_is_due_is_timed_and_no_other(harness: ProvisioningHarness) -> None:
    steps = harness.provisioner.steps
    await harness.ask("alice")
    assert {count for count, _ in taken(steps).values()} == {0}
    steps.begin()
    await harness.ask("bob")
    await harness.ask("carol")
    assert {count for count, _ in taken(steps).values()} == {1}


async def test_a_known_client_has_no_step_that_it_did_not_come_to(
    harness: ProvisioningHarness,
) -> None:
    steps = harness.provisioner.steps
    await harness.ask("alice")
    steps.begin()
    await harness.ask("alice")
    assert taken(steps)["answer"][0] == 0
    await harness.ask("bob")  # another's record does not count as its
    assert taken(steps)["record"][0] == 0


async def test_what_is_looked_up_first_leaves_the_next_choice_alone(
    harness: ProvisioningHarness,
) -> None:
    steps = harness.provisioner.steps
    for _ in range(10):  # so many known clients that the store is asked first
        await harness.ask("alice")
    steps.begin()
    await harness.ask("alice")
    assert taken(steps)["locate"][0] == 1
    assert not steps.active
