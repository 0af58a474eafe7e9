"""Jobs that keep to a plan and to one version of a policy, and those that take them back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane import keys
from control_plane.errors import Refused
from control_plane.fleet.move_job import JobKind, JobState, MoveJob, Way, policy_job_id
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Page
from provisioner.moves.job_clients import JobClients
from provisioner.moves.mover import REPLACED
from provisioner.moves.ways import WaysLeft
from provisioner.placement.filters import PlacementPolicy
from provisioner.placement.selectors import Constraint, UnitSelector
from tests.support.moves_harness import MovesHarness, at_work, fleet, settle_in, tenant, until

CLIENTS = [f"c{n:03d}" for n in range(120)]
SLOW = 40.0
JOB = policy_job_id(JobKind.POLICY, "t", 2)
BACK = policy_job_id(JobKind.MOVE_BACK, "t", 2)


def off(*units: str, version: int) -> PlacementPolicy:
    """A policy that keeps clients off these units."""
    selector = UnitSelector(units=frozenset(units))
    return PlacementPolicy(
        revision=version,
        constraints=(Constraint(rule="off", selector=selector, forbids=True),),
    )


def job(*ways: Way, **more: Any) -> MoveJob:
    return MoveJob(
        **{
            "id": JOB, "kind": JobKind.POLICY, "tenant": "t", "policy_version": 2, "ways": ways,
            "rate_per_s": 1e6, "start_ms": 1, **more,
        }  # type: ignore[arg-type]
    )  # fmt: skip


def back(**more: Any) -> MoveJob:
    return job(id=BACK, kind=JobKind.MOVE_BACK, undoes=JOB, **more)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    await fleet(opened, dublin=500, virginia=500, mumbai=500)
    await tenant(opened)
    await settle_in(opened, "dublin", *CLIENTS)
    yield opened
    await opened.close()


async def paused(harness: MovesHarness, name: str) -> MoveJob:
    return await until(
        lambda: harness.job(name), lambda one: one.state is JobState.PAUSED, "a pause"
    )


async def moved(harness: MovesHarness, at_least: int) -> None:
    async def gone() -> int:
        return len(await harness.departures())

    await until(gone, lambda count: count >= at_least, f"{at_least} moves")


async def test_it_moves_as_many_as_the_plan_has_and_says_who_stays(store: EmbeddedStore) -> None:
    async with at_work(store) as harness:
        harness.policy = off("dublin", version=2)
        await harness.job_store.create(job(Way("dublin", "virginia", 50)))
        done = await harness.ended(JOB)
        assert (done.state, done.moved, done.kept) == (JobState.DONE, 50, 70)
        assert done.ways == (Way("dublin", "virginia", 50, 50),)
        assert await harness.counts() == {"dublin": 70, "virginia": 50}
        homes = await harness.homes()
        by = {name for name, one in homes.items() if one.why is not None and one.why.job == JOB}
        assert by == {name for name, one in homes.items() if one.unit == "virginia"}


async def test_who_would_go_another_way_stays(store: EmbeddedStore) -> None:
    async with at_work(store) as harness:
        harness.policy = off("dublin", version=2)
        await harness.job_store.create(job(Way("dublin", "mumbai", 50)))
        done = await harness.ended(JOB)
        assert (done.moved, done.kept) == (0, len(CLIENTS))
        assert "another way than the plan" in done.message


async def test_who_lives_where_it_would_be_placed_stays_though_the_unit_is_full(
    store: EmbeddedStore,
) -> None:
    await fleet(store, dublin=len(CLIENTS))
    async with at_work(store) as harness:
        harness.policy = PlacementPolicy(revision=2)
        await harness.job_store.create(job(Way("dublin", "virginia", 500)))
        assert (await harness.ended(JOB)).moved == 0
        assert await harness.counts() == {"dublin": len(CLIENTS)}


async def test_a_job_whose_policy_was_replaced_pauses_until_it_may_go_on_by_the_new_one(
    store: EmbeddedStore,
) -> None:
    async with at_work(store) as harness:
        harness.policy = off("dublin", version=2)
        await harness.job_store.create(job(Way("dublin", "virginia", 500), rate_per_s=SLOW))
        await moved(harness, 3)
        harness.policy = off("dublin", version=3)
        waits = await paused(harness, JOB)
        assert waits.message == (
            "it moves by version 2 of the policy of tenant t, and version 3 is in force now"
        )
        before = len(await harness.departures())
        homes = (await harness.homes()).values()
        assert {one.policy for one in homes if one.unit == "virginia"} == {2}
        # To go on by the same version changes nothing.
        await harness.job_store.control(JOB, state=JobState.RUNNING, rate_per_s=1e6)
        await paused(harness, JOB)
        assert len(await harness.departures()) == before

        await harness.job_store.control(
            JOB, state=JobState.RUNNING, rate_per_s=1e6, policy_version=3
        )
        done = await harness.ended(JOB)
        assert (done.state, done.moved) == (JobState.DONE, len(CLIENTS))
        assert await harness.counts() == {"virginia": len(CLIENTS)}


class Reads:
    """A store that notes where keys are read."""

    def __init__(self, store: EmbeddedStore) -> None:
        self._store = store
        self.prefixes: set[bytes] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def range(self, prefix: bytes, **more: Any) -> Page:
        self.prefixes.add(prefix)
        return await self._store.range(prefix, **more)


async def test_a_tenants_job_reads_no_clients_of_others(store: EmbeddedStore) -> None:
    reads = Reads(store)
    async with at_work(reads) as harness:
        harness.policy = off("dublin", version=2)
        await harness.job_store.create(job(Way("dublin", "virginia", len(CLIENTS))))
        assert (await harness.ended(JOB)).moved == len(CLIENTS)
        read = {one for one in reads.prefixes if one.startswith(keys.ASSIGNMENTS)}
        assert read == {keys.assignment("t", "")}


async def test_no_move_that_is_under_way_goes_by_another_version(store: EmbeddedStore) -> None:
    async with at_work(store, executing=False) as harness:
        harness.policy = off("dublin", version=3)
        await harness.mover.ledger()
        page = await store.range(keys.ASSIGNMENTS, limit=1)
        clients = JobClients(harness.fleet_view, harness.mover)
        wanted = job(Way("dublin", "virginia", 5))
        # Once its ledger knows of room.
        requests = await until(lambda: clients.requests(wanted, page.items), bool, "a request")
        outcome = await harness.mover.move(requests[0])
        assert getattr(outcome, "reason", "") == REPLACED
        assert await harness.counts() == {"dublin": len(CLIENTS)}


async def test_another_server_goes_on_where_one_has_died_within_the_plan(
    store: EmbeddedStore,
) -> None:
    async with at_work(store, progress_s=0.0) as first:
        first.policy = off("dublin", version=2)
        await first.job_store.create(job(Way("dublin", "virginia", 80), rate_per_s=SLOW))
        await moved(first, 10)
    async with at_work(store) as second:
        second.policy = off("dublin", version=2)
        await second.job_store.control(JOB, state=None, rate_per_s=1e6)
        done = await second.ended(JOB)
        assert done.state is JobState.DONE
        gone = (await second.counts())["virginia"]
        assert 80 - 16 <= gone <= 80  # one slice may have been counted and not have gone
        assert done.ways[0].gone >= gone


async def test_who_was_moved_goes_back_and_nobody_else(store: EmbeddedStore) -> None:
    await settle_in(store, "virginia", "carla", "dev")
    async with at_work(store) as harness:
        harness.policy = off("dublin", version=2)
        await harness.job_store.create(job(Way("dublin", "virginia", 40)))
        await harness.ended(JOB)
        harness.policy = PlacementPolicy(revision=3)
        await harness.job_store.create(back(policy_version=3))
        done = await harness.ended(BACK)
        assert (done.state, done.moved) == (JobState.DONE, 40)
        assert await harness.counts() == {"dublin": len(CLIENTS), "virginia": 2}
        homes = await harness.homes()
        assert (homes["carla"].epoch, homes["dev"].epoch) == (1, 1)
        # And not twice.
        await harness.job_store.create(replace(done, state=JobState.RUNNING, moved=0, worker=""))
        assert (await harness.ended(BACK)).moved == 0


async def test_who_is_kept_off_where_it_was_stays(store: EmbeddedStore) -> None:
    async with at_work(store) as harness:
        harness.policy = off("dublin", version=2)
        await harness.job_store.create(job(Way("dublin", "virginia", 5)))
        await harness.ended(JOB)
        await harness.job_store.create(back())
        done = await harness.ended(BACK)
        assert (done.moved, done.kept) == (0, 5)
        assert "keeps the client off unit dublin" in done.message


async def test_clients_of_other_tenants_stay(store: EmbeddedStore) -> None:
    await tenant(store, "other")
    async with at_work(store) as harness:
        harness.policy = off("dublin", version=2)
        await harness.job_store.create(job(Way("dublin", "virginia", 500), tenant="other"))
        assert (await harness.ended(JOB)).moved == 0


async def test_an_ended_job_does_not_go_on(store: EmbeddedStore) -> None:
    async with at_work(store) as harness:
        harness.policy = off("dublin", version=2)
        await harness.job_store.create(job(Way("dublin", "virginia", 1)))
        await harness.ended(JOB)
        with pytest.raises(Refused, match="has ended"):
            await harness.job_store.control(
                JOB, state=JobState.RUNNING, rate_per_s=None, policy_version=3
            )
        await asyncio.sleep(0)


UNITS = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.tuples(UNITS, UNITS, st.booleans()), max_size=60))
def test_no_way_is_gone_by_more_than_the_plan_has(steps: list[tuple[str, str, bool]]) -> None:
    planned = (Way("a", "b", 3), Way("b", "a", 1, 1), Way("a", "c", 2))
    left, going = WaysLeft(planned), []
    for source, target, stays in steps:
        if left.use(source, target):
            if stays:
                left.give_back(source, target)
            else:
                going.append((source, target))
    for way in left.ways:
        before = next(one.gone for one in planned if one.source == way.source
                      and one.target == way.target)  # fmt: skip
        assert way.gone == before + going.count((way.source, way.target)) <= way.clients
    assert left.used_up == all(way.gone >= way.clients for way in left.ways)
    assert WaysLeft(left.ways).ways == left.ways
