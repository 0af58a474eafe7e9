"""PolicyMoves: a job is made of a plan that can be, of the version in force, and of no other."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from control_plane.errors import Conflict, InvalidInput, NotFound, Refused
from control_plane.fleet.move_job import JobKind, JobState, MoveJob, Way, policy_job_id
from control_plane.store.embedded import EmbeddedStore
from provisioner.api.policy_moves import PolicyMoves
from provisioner.api.resumed_jobs import resumed_by
from provisioner.applied_policies.registry import KEPT_VERSIONS, PolicyRegistry
from provisioner.moves.ways import MOST_WAYS
from provisioner.placement.filters import PlacementPolicy
from tests.support.moves_harness import MovesHarness, at_work, fleet, settle_in, tenant, until

WAY = Way("dublin", "virginia", 5)


class Parts:
    """What a test asks: the moves, and what they are made of."""

    def __init__(self, moves: PolicyMoves, registry: PolicyRegistry, harness: MovesHarness) -> None:
        self.moves, self.registry, self.harness = moves, registry, harness
        self.versions = 0

    async def apply(self, times: int = 1) -> int:
        """The version in force."""
        for _ in range(times):
            await self.registry.apply("t", "policy: 1\n", base_version=self.versions)
            self.versions += 1
        self.harness.policy = PlacementPolicy(revision=self.versions)
        return self.versions

    async def end(self, job: MoveJob) -> None:
        await self.harness.job_store.control(job.id, state=JobState.CANCELLED, rate_per_s=None)


@asynccontextmanager
async def parts(folder: Path) -> AsyncIterator[Parts]:
    store = await EmbeddedStore.open(folder / "store.db")
    await fleet(store, dublin=50, virginia=50)
    await tenant(store)
    await settle_in(store, "dublin", "anna", "ben")
    registry = PolicyRegistry(store, wall=time.time)
    async with at_work(store, executing=False) as harness:

        async def heard(tenant_id: str, version: int) -> bool:
            return True

        followed: Any = SimpleNamespace(
            wait_for=heard, revision_of=lambda name: harness.policy.revision
        )
        placer: Any = SimpleNamespace(
            fleet=harness.fleet_view.fleet,
            occupancy=(await harness.mover.ledger()).occupancy,
            policies=harness.hooked,
        )
        moves = PolicyMoves(
            store, registry=registry, followed=followed, job_store=harness.job_store,
            fleet_view=harness.fleet_view, placer=placer, rate_per_s=7.0, wall=time.time,
        )  # fmt: skip
        yield Parts(moves, registry, harness)
    await store.close()


async def test_a_job_has_its_plan_and_the_version_in_force(tmp_path: Path) -> None:
    async with parts(tmp_path) as on:
        with pytest.raises(Refused, match="has no policy"):
            await on.moves.move("t", 0, [WAY], 0.0)
        await on.apply(2)
        job = await on.moves.move("t", 2, [WAY], 0.0)
        assert (job.id, job.policy_version, job.ways, job.total) == ("policy-t-v2", 2, (WAY,), 5)
        assert (job.rate_per_s, job.tenant) == (7.0, "t")
        with pytest.raises(Conflict, match="is under way"):
            await on.moves.move("t", 2, [WAY], 0.0)
        with pytest.raises(Conflict, match=r"version 2 .* is in force, not 1; plan again"):
            await on.moves.move("t", 1, [WAY], 0.0)


@pytest.mark.parametrize(
    ("ways", "said"),
    [
        ([Way("dublin", "paris", 1)], 'no unit "paris"'),
        ([Way("dublin", "dublin", 1)], "from one unit to another"),
        ([Way("dublin", "virginia", 0)], "with one client or more"),
        ([Way("dublin", "virginia", -1)], "with one client or more"),
        ([WAY, WAY], "a way twice"),
        ([WAY] * (MOST_WAYS + 1), "at most 500"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused(tmp_path: Path, ways: list[Way], said: str) -> None:
    async with parts(tmp_path) as on:
        await on.apply()
        with pytest.raises(InvalidInput, match=said) as found:
            await on.moves.move("t", 0, ways, 0.0)
        assert found.value.field == "plan"


async def test_a_job_does_not_begin_where_the_policy_is_replaced_meanwhile(
    tmp_path: Path,
) -> None:
    async with parts(tmp_path) as on:
        await on.apply()
        stands, guard = await on.registry.in_force("t")
        await on.apply()
        job = MoveJob(
            id=policy_job_id(JobKind.POLICY, "t", stands), kind=JobKind.POLICY, rate_per_s=1.0
        )
        with pytest.raises(Conflict, match="changed just now"):
            await on.harness.job_store.create(job, [guard])


async def test_where_nobody_would_move_there_is_no_job(tmp_path: Path) -> None:
    async with parts(tmp_path) as on:
        await on.apply()
        assert (await on.moves.plan("t", 0))[1].moves == 0
        with pytest.raises(Refused, match="would move nobody"):
            await on.moves.move("t", 0, [], 0.0)


async def test_moves_are_taken_back_once_their_job_is_over(tmp_path: Path) -> None:
    async with parts(tmp_path) as on:
        await on.apply()
        with pytest.raises(NotFound, match="no job policy-t-v1"):
            await on.moves.move_back("t", 1, 0.0)
        await on.moves.move("t", 1, [WAY], 0.0)
        with pytest.raises(Refused, match="is under way; end it first"):
            await on.moves.move_back("t", 1, 0.0)
        await on.apply()  # by which it moves nobody any more, and ends
        back = await on.moves.move_back("t", 1, 0.0)
        assert (back.id, back.undoes, back.policy_version) == ("moveback-t-v1", "policy-t-v1", 2)
        assert (await on.harness.job("policy-t-v1")).state is JobState.CANCELLED


async def test_jobs_of_versions_that_are_not_kept_go_with_the_next_one(tmp_path: Path) -> None:
    async with parts(tmp_path) as on:
        await on.apply()
        await on.end(await on.moves.move("t", 1, [WAY], 0.0))
        await on.apply(KEPT_VERSIONS)
        await on.harness.job_store.wait_for_change(timeout_s=0.5)
        await on.moves.move("t", 0, [WAY], 0.0)
        names = {one.id for one in await on.harness.job_store.list(with_ended=True)}
        assert names == {f"policy-t-v{KEPT_VERSIONS + 1}"}


async def test_jobs_that_wait_are_no_more_than_versions_that_are_kept(tmp_path: Path) -> None:
    """Whoever applies a policy and begins a job, again and again, leaves no more than that."""
    async with parts(tmp_path) as on:
        for version in range(1, KEPT_VERSIONS + 4):
            await on.apply()
            job = await on.moves.move("t", version, [WAY], 0.0)
            await until(partial(_seen, on, job.id), bool, job.id)
        open_jobs = {one.id for one in await on.harness.job_store.list(with_ended=False)}
        assert open_jobs == {f"policy-t-v{n}" for n in range(4, KEPT_VERSIONS + 4)}
        ended, _ = await on.harness.job_store.get("policy-t-v3")
        assert ended.message == "version 3 of the policy is not kept any more"


async def _seen(on: Parts, job: str) -> bool:
    return job in on.harness.job_store.jobs


async def test_a_job_goes_on_by_the_version_in_force_alone(tmp_path: Path) -> None:
    async with parts(tmp_path) as on:
        await on.apply()
        job = await on.moves.move("t", 1, [WAY], 0.0)
        assert (await resumed_by(on.registry, job, 0))[0] == 1
        await on.apply()
        with pytest.raises(Refused, match="moves resume policy-t-v1 --policy-version 2"):
            await resumed_by(on.registry, job, 0)
        assert (await resumed_by(on.registry, job, 2))[0] == 2
        plain = replace(job, policy_version=0)
        assert await resumed_by(on.registry, plain, 0) == (0, [])
        with pytest.raises(InvalidInput, match="by no policy's version"):
            await resumed_by(on.registry, plain, 2)
