"""Jobs in the store: created once, written by compare-and-swap, controlled by operators."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from control_plane import keys
from control_plane.errors import Conflict, NotFound, Refused
from control_plane.fleet.move_job import JobKind, JobState, MoveJob
from control_plane.fleet.records import encode_job
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Put, Txn, absent
from provisioner.moves.job_store import JobStore

NOW_S = 1_800_000_000.0
JOB = MoveJob(id="drain-dublin", kind=JobKind.DRAIN, unit="dublin", rate_per_s=100.0, start_ms=5)


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


@pytest.fixture
def jobs(store):
    return JobStore(store, wall=lambda: NOW_S)


async def test_a_job_is_created_once_while_it_is_open(jobs):
    assert await jobs.create(JOB) == JOB
    with pytest.raises(Conflict, match="under way"):
        await jobs.create(JOB)
    assert (await jobs.get("drain-dublin"))[0] == JOB


async def test_an_ended_job_gives_its_place_to_the_next(jobs):
    await jobs.create(replace(JOB, state=JobState.DONE, moved=9))
    await jobs.create(JOB)
    assert (await jobs.get("drain-dublin"))[0].moved == 0


async def test_a_damaged_job_is_left_out_and_named_and_the_others_are_listed(store, jobs, caplog):
    await jobs.create(JOB)
    for value in (b"{nonsense", b"{}"):
        await store.commit(Txn(then=[Put(keys.job("bad"), value)]))
        assert [job.id for job in await jobs.list(with_ended=True)] == ["drain-dublin"]
    await jobs.start()
    await jobs.start()
    assert list(jobs.damaged) == [keys.job("bad").decode()]
    assert len([one for one in caplog.messages if "jobs/bad" in one]) == 1
    await store.commit(Txn(then=[Put(keys.job("bad"), encode_job(replace(JOB, id="bad")))]))
    await jobs.start()
    assert list(jobs.damaged) == []


async def test_a_write_at_an_old_revision_changes_nothing(jobs):
    await jobs.create(JOB)
    _, revision = await jobs.get("drain-dublin")
    written = await jobs.write(replace(JOB, moved=1), revision)
    assert written > revision
    assert await jobs.write(replace(JOB, moved=2), revision) == 0
    assert await jobs.get("drain-dublin") == (replace(JOB, moved=1), written)


async def test_a_write_whose_guard_does_not_hold_changes_nothing(store, jobs):
    await jobs.create(JOB)
    _, revision = await jobs.get("drain-dublin")
    await store.commit(Txn(then=[Put(keys.session("me"), b"")]))
    guards = (absent(keys.session("me")),)
    assert await jobs.write(replace(JOB, moved=1), revision, guards) == 0
    assert (await jobs.get("drain-dublin"))[0].moved == 0


@pytest.mark.parametrize(
    ("before", "state", "rate_per_s", "expected"),
    [
        pytest.param(JOB, JobState.PAUSED, None, replace(JOB, state=JobState.PAUSED), id="pause"),
        pytest.param(replace(JOB, state=JobState.PAUSED), JobState.RUNNING, None, JOB, id="go-on"),
        pytest.param(JOB, None, 5.0, replace(JOB, rate_per_s=5.0), id="another-rate"),
        pytest.param(JOB, None, None, JOB, id="nothing-changes"),
        pytest.param(
            JOB,
            JobState.CANCELLED,
            None,
            replace(
                JOB,
                state=JobState.CANCELLED,
                end_ms=1_800_000_000_000,
                message="an operator cancelled it",
            ),
            id="cancel",
        ),
        pytest.param(
            replace(JOB, state=JobState.DONE),
            JobState.DONE,
            None,
            replace(JOB, state=JobState.DONE),
            id="an-ended-job-may-be-ended-again",
        ),
    ],
)
async def test_what_an_operator_makes_of_a_job(jobs, before, state, rate_per_s, expected):
    await jobs.create(before)
    assert await jobs.control("drain-dublin", state=state, rate_per_s=rate_per_s) == expected
    assert (await jobs.get("drain-dublin"))[0] == expected


@pytest.mark.parametrize(
    ("state", "rate_per_s"), [(JobState.RUNNING, None), (JobState.DONE, 5.0), (None, 5.0)]
)
async def test_an_ended_job_is_not_begun_again(jobs, state, rate_per_s):
    await jobs.create(replace(JOB, state=JobState.DONE))
    with pytest.raises(Refused, match="has ended: it is done"):
        await jobs.control("drain-dublin", state=state, rate_per_s=rate_per_s)


async def test_an_operator_and_a_worker_do_not_overwrite_each_other(store, jobs):
    """The worker writes between the operator's read and write, which is then tried again."""

    class Interrupted(JobStore):
        interrupted = False

        async def write(self, job, revision, guards=()):
            if not self.interrupted:
                self.interrupted = True
                await jobs.write(replace(JOB, moved=7), revision)
            return await super().write(job, revision, guards)

    await jobs.create(JOB)
    operator = Interrupted(store, wall=lambda: NOW_S)
    after = await operator.control("drain-dublin", state=JobState.PAUSED, rate_per_s=None)
    assert after == replace(JOB, state=JobState.PAUSED, moved=7)


async def test_an_unknown_job_is_named(jobs):
    with pytest.raises(NotFound, match="no job drain-ghost"):
        await jobs.get("drain-ghost")


async def test_jobs_are_listed_newest_first_with_or_without_the_ended(jobs):
    older = replace(JOB, id="drain-mumbai", unit="mumbai", state=JobState.DONE, start_ms=1)
    for job in (older, JOB):
        await jobs.create(job)
    assert await jobs.list(with_ended=False) == [JOB]
    assert await jobs.list(with_ended=True) == [JOB, older]


async def test_whoever_waits_learns_of_a_change_and_sees_it(store, jobs):
    await jobs.start()
    running = asyncio.create_task(jobs.run())
    try:
        async with asyncio.timeout(20.0):
            waiting = asyncio.create_task(jobs.wait_for_change(timeout_s=60.0))
            await asyncio.sleep(0)
            await jobs.create(JOB)
            await waiting
        assert jobs.jobs["drain-dublin"][0] == JOB
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_waiting_ends_when_nothing_changes(jobs):
    assert await jobs.wait_for_change(timeout_s=0.001) is None
