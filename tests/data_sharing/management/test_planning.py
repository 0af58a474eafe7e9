"""What owners do with their plans, each in one transaction."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from control_plane.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from control_plane.offloading.port import TooCostly
from data_sharing.decisions import plan_store
from data_sharing.management.planning import Planning, spec_json
from data_sharing.plans.spec import parse_plan
from tests.support.decisions_harness import CATALOGUE, TENANT, DecisionHarness, decision_harness
from tests.support.fakes.offload import FakeOffload

PLAN = """
plan: wake-up
owner: k
at: 2027-01-15T09:00
actions: {light: {application: lamp, action: blink, config: {times: 3}}}
"""
TIMES = "actions.light.config.times"


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[DecisionHarness]:
    async with decision_harness(tmp_path) as made:
        yield made


@pytest.fixture
def planning(harness: DecisionHarness) -> Planning:
    numbers = itertools.count(1)
    return Planning(
        harness.database, harness.worker, lambda: CATALOGUE, FakeOffload(), wall_ms=harness.clock,
        new_id=lambda: f"u-{next(numbers)}",
    )  # fmt: skip


async def change(planning: Planning, times: int = 9, *, expected_version: int = 0):
    return await planning.change(
        TENANT, "wake-up", occurrence_ms=None, fields={TIMES: times}, user="ann", note="",
        expected_version=expected_version,
    )  # fmt: skip


async def test_creating_the_same_plan_again_gives_what_is_there(planning) -> None:
    first = await planning.create(TENANT, PLAN)
    await change(planning)
    again = await planning.create(TENANT, PLAN)
    assert (first.version, again.version) == (1, 2)


async def test_another_plan_of_the_same_id_is_refused(planning) -> None:
    await planning.create(TENANT, PLAN)
    with pytest.raises(AlreadyExists, match='another plan "wake-up"'):
        await planning.create(TENANT, PLAN.replace("09:00", "10:00"))
    assert (await planning.create("other", PLAN.replace("09:00", "10:00"))).tenant == "other"


async def test_a_change_is_kept_with_who_made_it(planning, harness) -> None:
    await planning.create(TENANT, PLAN)
    plan = await change(planning)
    assert plan.settings[""][TIMES].value == 9
    (record,) = harness.read(lambda db: plan_store.history(db, TENANT, "wake-up"))
    assert (record.id, record.cause.user, record.version) == ("u-1", "ann", 2)


async def test_a_change_of_another_version_than_expected_conflicts(planning) -> None:
    await planning.create(TENANT, PLAN)
    await change(planning, expected_version=1)
    with pytest.raises(Conflict):
        await change(planning, 12, expected_version=1)


async def test_an_undone_change_is_as_if_it_had_not_been_made(planning, harness) -> None:
    await planning.create(TENANT, PLAN)
    await change(planning)
    plan = await planning.undo(TENANT, "wake-up", "u-1", "ann")
    assert plan.occurrence(1_800_003_600_000).actions[0].config == {"times": 3}
    records = harness.read(lambda db: plan_store.history(db, TENANT, "wake-up"))
    assert [one.undoes for one in records] == ["", "u-1"]
    with pytest.raises(NotFound):
        await planning.undo(TENANT, "wake-up", "u-9", "ann")


async def test_a_cancelled_plan_is_not_due_any_more(planning, harness) -> None:
    await planning.create(TENANT, PLAN)
    assert (await planning.cancel(TENANT, "wake-up", "ann")).cancelled
    harness.clock.now_ms = 1_800_003_600_000
    assert not await harness.worker.tick()


async def test_a_plan_that_is_not_there_or_is_none_is_named(planning) -> None:
    with pytest.raises(NotFound, match='has no plan "wake-up"'):
        await change(planning)
    with pytest.raises(InvalidInput):
        await planning.create(TENANT, PLAN.replace("09:00", "soon"))


async def test_the_spec_is_given_as_it_was_planned(planning) -> None:
    plan = await planning.create(TENANT, PLAN)
    await change(planning)
    assert parse_plan(spec_json(plan)) == parse_plan(PLAN)


async def test_what_count_comes_to_is_worked_out_once_and_elsewhere(planning, harness) -> None:
    text = PLAN.replace("at: 2027-01-15T09:00", "at: 2027-01-15T09:00\nrepeats: FREQ=DAILY;COUNT=9")
    plan = await planning.create(TENANT, text)
    last = plan.timing.last_ms
    assert plan.last_ms == last
    assert list(plan.timing.since(0))[-1] == last
    assert len(list(plan.timing.since(0))) == 9
    kept = harness.worker.plans.get(TENANT, "wake-up")
    assert kept.last_ms == last
    # It is taken as it was worked out, and not counted again.
    shorter = replace(plan, last_ms=last - 1)
    assert len(list(shorter.timing.since(0))) == 8


async def test_a_plan_that_is_too_costly_to_read_is_refused_and_nothing_kept(harness) -> None:
    offload = FakeOffload(failure=TooCostly("plan", "plan: takes longer than 2 s to check"))
    planning = Planning(
        harness.database, harness.worker, lambda: CATALOGUE, offload, wall_ms=harness.clock,
        new_id=lambda: "u",
    )  # fmt: skip
    with pytest.raises(TooCostly):
        await planning.create(TENANT, PLAN)
    assert offload.done == [("read-plan", TENANT)]
    with pytest.raises(NotFound):
        await planning.cancel(TENANT, "wake-up", "ann")
