"""Who may work on a job: one session at a time, and another one only when that one is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from control_plane import keys
from control_plane.fleet.move_job import JobKind, MoveJob
from control_plane.store.embedded import EmbeddedStore
from control_plane.store.port import Delete, Put, Txn
from tests.support.moves_harness import at_work, fleet

JOB = MoveJob(id="drain-dublin", kind=JobKind.DRAIN, unit="dublin", rate_per_s=100.0)


@pytest.fixture
async def store(tmp_path):
    opened = await EmbeddedStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


@pytest.fixture
async def harness(store):
    await fleet(store, dublin=10)
    async with at_work(store, executing=False) as running:
        yield running


async def created(harness, **changes) -> tuple[MoveJob, int]:
    await harness.job_store.create(replace(JOB, **changes))
    return await harness.job_store.get(JOB.id)


async def test_a_job_that_nobody_has_is_claimed_and_the_record_says_so(harness):
    job, revision = await created(harness)
    worker = await harness.executor.claim(job, revision)
    assert worker is not None
    assert worker.job_id == JOB.id
    assert harness.mover.session_id
    assert (await harness.job(JOB.id)).worker == harness.mover.session_id


async def test_a_job_of_a_session_that_stands_is_left_to_it(store, harness):
    await store.commit(Txn(then=[Put(keys.session("other"), b"")]))
    job, revision = await created(harness, worker="other")
    assert await harness.executor.claim(job, revision) is None
    assert await harness.job_store.get(JOB.id) == (job, revision)


async def test_a_job_of_a_session_that_is_gone_is_taken_over(harness):
    job, revision = await created(harness, worker="gone", moved=4, cursor="t/bob")
    assert await harness.executor.claim(job, revision) is not None
    after = await harness.job(JOB.id)
    assert after == replace(job, worker=harness.mover.session_id)


async def test_a_job_that_changed_since_it_was_seen_is_not_claimed(harness):
    job, revision = await created(harness)
    await harness.job_store.write(replace(job, rate_per_s=7.0), revision)
    assert await harness.executor.claim(job, revision) is None
    assert (await harness.job(JOB.id)).worker == ""


async def test_a_server_whose_session_is_gone_claims_nothing(store, harness):
    job, revision = await created(harness)
    session = (await harness.mover.ledger()).session
    await store.commit(Txn(then=[Delete(keys.session(session.id))]))
    assert await harness.executor.claim(job, revision) is None
    assert (await harness.job(JOB.id)).worker == ""


async def test_a_server_takes_up_again_the_job_that_it_has(harness):
    job, revision = await created(harness)
    assert await harness.executor.claim(job, revision) is not None
    job, revision = await harness.job_store.get(JOB.id)
    assert await harness.executor.claim(job, revision) is not None
