"""ProcessPool: costly tasks cost their submitter an error, and nobody else anything."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import Exhausted, InvalidInput, NotFound, ServiceError, Unavailable
from control_plane.offloading.pool import WAITING_OF_TENANT, ProcessPool
from control_plane.offloading.port import TaskLimits, TooCostly

SHORT = TaskLimits(cpu_s=0.3, wall_s=30.0, memory_bytes=64 << 20, result_bytes=1_000, questions=2)


@asynccontextmanager
async def pool_of(
    workers: int = 1, limits: TaskLimits = SHORT, *, on_demand: bool = False
) -> AsyncIterator[ProcessPool]:
    pool = ProcessPool(
        "tests.support.costly_tasks:TASKS", workers=workers, default=limits, on_demand=on_demand
    )
    running = asyncio.create_task(pool.run())
    try:
        yield pool
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _do(pool: ProcessPool, task: str, arguments: Any = None, tenant: str = "a") -> Any:
    return await pool.offload(
        task, arguments, tenant=tenant, subject="schema", answer=lambda asked: [asked, "answer"]
    )


async def test_results_questions_and_errors_come_back_as_they_were() -> None:
    async with pool_of() as pool:
        assert await _do(pool, "echo", {"a": [1, 2.5, None, "é"]}) == {"a": [1, 2.5, None, "é"]}
        assert await _do(pool, "question", [1, 2]) == [[1, "answer"], [2, "answer"]]
        assert await _do(pool, "chatter") == "said"
        with pytest.raises(InvalidInput, match="is wrong") as found:
            await _do(pool, "invalid")
        assert found.value.field == "rules.r.when"
        with pytest.raises(NotFound, match="there is none"):
            await _do(pool, "missing")


async def test_an_answer_may_have_to_be_waited_for() -> None:
    async def answer(asked: Any) -> Any:
        await asyncio.sleep(0)
        return asked + 1

    async with pool_of() as pool:
        found = await pool.offload("question", [1, 2], tenant="a", subject="s", answer=answer)
        assert found == [2, 3]


async def test_on_demand_a_child_lives_as_long_as_its_task() -> None:
    async with pool_of(on_demand=True) as pool:
        first, second = await _do(pool, "parent"), await _do(pool, "parent")
        assert first != second
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)
        with pytest.raises(TooCostly):
            await _do(pool, "spin")
        assert await _do(pool, "echo", 1) == 1


async def test_a_child_that_does_not_start_costs_its_task_alone() -> None:
    pool = ProcessPool("tests.support.no_such_module:TASKS", workers=1, on_demand=True)
    running = asyncio.create_task(pool.run())
    for _ in range(2):
        with pytest.raises(Unavailable, match="could not start a process"):
            await _do(pool, "echo", 1)
    assert not running.done()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    ("task", "arguments", "said"),
    [
        pytest.param("spin", None, "longer than 0.3 s", id="it-never-ends"),
        pytest.param("hoard", None, "64 MiB of memory", id="it-takes-all-memory"),
        pytest.param("hoard_in_c", None, "64 MiB of memory", id="a-library-takes-all-memory"),
        pytest.param("recurse", None, "nested too deep", id="it-goes-ever-deeper"),
        pytest.param("die", None, "memory", id="a-library-crashes"),
        pytest.param("large", 2_000, "result of more", id="its-result-is-too-large"),
    ],
)
async def test_what_goes_past_its_limits_is_refused_and_the_next_one_done(
    task: str, arguments: Any, said: str
) -> None:
    async with pool_of() as pool:
        with pytest.raises(TooCostly, match=said) as found:
            await _do(pool, task, arguments)
        assert found.value.field == "schema"
        assert await _do(pool, "echo", 1) == 1


async def test_a_defect_is_no_fault_of_whoever_submitted() -> None:
    async with pool_of() as pool:
        with pytest.raises(ServiceError, match="internal error") as found:
            await _do(pool, "defect")
        assert not isinstance(found.value, InvalidInput)
        with pytest.raises(ServiceError):  # more questions than a task may ask
            await _do(pool, "question", [1, 2, 3])
        assert await _do(pool, "echo", 1) == 1


async def test_a_child_that_is_gone_is_started_anew() -> None:
    async with pool_of() as pool:
        with pytest.raises(Unavailable):
            await _do(pool, "kill_parent")
        assert await _do(pool, "echo", 1) == 1


async def test_what_does_not_end_in_time_is_given_up() -> None:
    limits = TaskLimits(cpu_s=600.0, wall_s=0.5)
    async with pool_of(limits=limits) as pool:
        with pytest.raises(Unavailable, match="in time"):
            await _do(pool, "spin")
        assert await _do(pool, "echo", 1) == 1


async def test_nothing_of_a_task_is_there_for_the_next_one() -> None:
    async with pool_of() as pool:
        assert await _do(pool, "remember", 1) == []
        assert await _do(pool, "remember", 2) == []


async def test_one_tenant_never_has_all_workers(tmp_path: Path) -> None:
    limits = TaskLimits(cpu_s=600.0, wall_s=600.0)
    end = str(tmp_path / "end")
    async with pool_of(workers=2, limits=limits) as pool:
        other = str(tmp_path / "other")
        ours = [asyncio.create_task(_do(pool, "spin_while", end)) for _ in range(4)]
        theirs = asyncio.create_task(_do(pool, "spin_while", other, tenant="c"))
        await _started(pool, waiting=3)  # one of each is worked on
        os.mknod(other)
        await theirs
        assert await _do(pool, "echo", 1, tenant="b") == 1  # while they spin
        assert not any(one.done() for one in ours)
        os.mknod(end)
        assert await asyncio.gather(*ours) == [None] * 4


async def test_what_waits_is_bounded(tmp_path: Path) -> None:
    limits = TaskLimits(cpu_s=600.0, wall_s=600.0)
    end = str(tmp_path / "end")
    async with pool_of(limits=limits) as pool:
        ours = [
            asyncio.create_task(_do(pool, "spin_while", end)) for _ in range(WAITING_OF_TENANT + 2)
        ]
        done, _ = await asyncio.wait(ours, return_when=asyncio.FIRST_COMPLETED)
        assert all(isinstance(one.exception(), Exhausted) for one in done)
        os.mknod(end)
        results = await asyncio.gather(*ours, return_exceptions=True)
        assert all(one is None or isinstance(one, Exhausted) for one in results)


async def test_whoever_leaves_makes_room_for_the_next_one(tmp_path: Path) -> None:
    end = str(tmp_path / "end")
    async with pool_of(limits=TaskLimits(cpu_s=600.0, wall_s=600.0)) as pool:
        runs = asyncio.create_task(_do(pool, "spin_while", end))
        await _started(pool, waiting=0)
        left = [asyncio.create_task(_do(pool, "echo", 1)) for _ in range(WAITING_OF_TENANT)]
        await _started(pool, waiting=WAITING_OF_TENANT)
        for one in left:
            one.cancel()
        await asyncio.wait(left)
        again = asyncio.create_task(_do(pool, "echo", 2))
        await _started(pool, waiting=1)
        os.mknod(end)
        assert (await again, await runs) == (2, None)


async def test_a_pool_that_ends_answers_what_waits(tmp_path: Path) -> None:
    async with pool_of(limits=TaskLimits(cpu_s=600.0, wall_s=600.0)) as pool:
        ours = [asyncio.create_task(_do(pool, "spin_while", str(tmp_path / "e"))) for _ in range(3)]
        await _started(pool, waiting=2)
    results = await asyncio.gather(*ours, return_exceptions=True)
    assert [type(one) for one in results] == [Unavailable] * 3


async def _started(pool: ProcessPool, *, waiting: int) -> None:
    async with asyncio.timeout(60):
        while pool.waiting != waiting:  # noqa: ASYNC110  # a number, which nothing announces
            await asyncio.sleep(0.01)
