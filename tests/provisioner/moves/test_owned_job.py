"""A job's record in the hands of its worker: what it writes, adopts, waits for and loses."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from control_plane import keys
from control_plane.errors import Unavailable
from control_plane.fleet.move_job import JobKind, JobState, MoveJob
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Compare, Delete, Put, Target, Txn
from provisioner.moves.job_store import JobStore
from provisioner.moves.owned_job import LostOwnership, OwnedJob

JOB = MoveJob(
    id="drain-dublin", kind=JobKind.DRAIN, unit="dublin", rate_per_s=100.0, worker="me"
)  # fmt: skip


class Owner:
    """A worker's session over a store, as the executor hands it on."""

    def __init__(self, store: EmbeddedStore) -> None:
        self.store = store
        self.jobs = JobStore(store, wall=lambda: 1.0)
        self.session_id = "me"
        self.now = 0.0

    async def own(self, job: MoveJob = JOB) -> OwnedJob:
        written = await self.store.commit(Txn(then=[Put(keys.session("me"), b"")]))
        await self.jobs.create(job)
        _, revision = await self.jobs.get(job.id)
        return OwnedJob(
            job,
            revision,
            session=Compare(keys.session("me"), Target.CREATE_REVISION, written.revision),
            session_id=lambda: self.session_id,
            job_store=self.jobs,
            clock=lambda: self.now,
            retry_s=0.0,
        )

    async def lose_session(self) -> None:
        await self.store.commit(Txn(then=[Delete(keys.session("me"))]))
        self.session_id = ""

    async def stored(self) -> MoveJob:
        return (await self.jobs.get(JOB.id))[0]


@pytest.fixture
async def owner(tmp_path):
    store = await EmbeddedStore.open(tmp_path / "store.db")
    yield Owner(store)
    await store.close()


async def test_progress_is_written_and_its_time_known(owner):
    owned = await owner.own()
    owner.now = 3.0
    assert owned.written_s_ago() == 3.0
    await owned.write(cursor="t/alice", kept=2)
    assert owned.written_s_ago() == 0.0
    assert await owner.stored() == replace(JOB, cursor="t/alice", kept=2) == owned.job


async def test_moves_are_counted_and_written_with_the_next_progress(owner):
    owned = await owner.own()
    owned.add_moved(5)
    assert (await owner.stored()).moved == 0
    await owned.write(cursor="t/b")
    assert (await owner.stored()).moved == 5


async def test_state_and_rate_of_an_operator_are_adopted_and_progress_stays(owner):
    owned = await owner.own()
    owned.add_moved(5)
    await owner.jobs.control(JOB.id, state=None, rate_per_s=7.0)
    await owned.write(cursor="t/b")
    assert await owner.stored() == replace(JOB, rate_per_s=7.0, moved=5, cursor="t/b")


async def test_a_job_that_an_operator_cancelled_is_lost(owner):
    owned = await owner.own()
    await owner.jobs.control(JOB.id, state=JobState.CANCELLED, rate_per_s=None)
    with pytest.raises(LostOwnership):
        await owned.write(cursor="t/b")
    assert (await owner.stored()).cursor == ""


async def test_a_job_that_another_session_claimed_is_lost(owner):
    owned = await owner.own()
    _, revision = await owner.jobs.get(JOB.id)
    await owner.jobs.write(replace(JOB, worker="other"), revision)
    with pytest.raises(LostOwnership):
        await owned.write(cursor="t/b")
    assert await owner.stored() == replace(JOB, worker="other")


async def test_a_session_that_is_gone_writes_nothing_more(owner):
    owned = await owner.own()
    await owner.lose_session()
    with pytest.raises(LostOwnership):
        await owned.write(cursor="t/b")
    assert await owner.stored() == JOB


async def test_a_removed_job_is_lost(owner):
    owned = await owner.own()
    await owner.store.commit(Txn(then=[Delete(keys.job(JOB.id))]))
    with pytest.raises(LostOwnership):
        await owned.write(cursor="t/b")


async def test_a_write_of_unknown_outcome_that_was_written_counts_once(owner):
    owned = await owner.own()
    write = owner.jobs.write

    async def written_but_not_said(job, revision, guards=()):
        await write(job, revision, guards)
        owner.jobs.write = write
        raise Unavailable("the answer was lost")

    owner.jobs.write = written_but_not_said
    await owned.write(passes=1)
    assert await owner.stored() == replace(JOB, passes=1) == owned.job
    await owned.write(passes=2)
    assert (await owner.stored()).passes == 2


async def test_a_paused_job_waits_until_it_runs_again(owner):
    owned = await owner.own()
    await owner.jobs.start()
    following = asyncio.create_task(owner.jobs.run())
    try:
        async with asyncio.timeout(20.0):
            await owner.jobs.control(JOB.id, state=JobState.PAUSED, rate_per_s=None)
            while owner.jobs.jobs[JOB.id][0].state is not JobState.PAUSED:
                await owner.jobs.wait_for_change(timeout_s=5.0)
            waiting = asyncio.create_task(owned.wait_until_running())
            await asyncio.sleep(0)
            assert not waiting.done()
            await owner.jobs.control(JOB.id, state=JobState.RUNNING, rate_per_s=9.0)
            await waiting
        assert owned.job == replace(JOB, rate_per_s=9.0)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_waiting_ends_when_the_session_is_another(owner):
    owned = await owner.own()
    owner.session_id = "another"
    with pytest.raises(LostOwnership):
        await owned.wait_until_running()
