"""Background tasks under a supervisor: each fails for itself alone, and none spins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from control_plane.errors import Refused, Unavailable
from control_plane.supervision import STEADY_S, Supervisor, log_failure

WAIT_S = 10.0


class Time:
    """A clock that stands, and the pauses that were slept."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def supervisor(self, **more: Any) -> Supervisor:
        return Supervisor(clock=lambda: self.now, jitter=lambda: 1.0, sleep=self.sleep, **more)


@pytest.fixture
def time() -> Time:
    return Time()


class Failing:
    """Work that fails so many times, then works until it is cancelled."""

    def __init__(self, *failures: Callable[[], BaseException | None]) -> None:
        self.failures = list(failures)
        self.begun = 0
        self.well = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        if self.failures and (error := self.failures.pop(0)()):
            raise error
        self.well.set()
        await asyncio.Event().wait()


async def well(supervisor: Supervisor, work: Failing) -> None:
    """Runs it until it is well."""
    task = asyncio.create_task(supervisor.keep("work", work))
    async with asyncio.timeout(WAIT_S):
        await work.well.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def group() -> BaseException:
    return ExceptionGroup("several", [ValueError("one"), KeyError("two")])


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(lambda: ValueError("arithmetic"), id="a-defect"),
        pytest.param(lambda: Unavailable("the store is away"), id="an-error-of-ours"),
        pytest.param(lambda: TimeoutError(), id="a-deadline"),
        pytest.param(group, id="of-a-task-group-inside"),
        pytest.param(asyncio.CancelledError, id="a-cancellation-from-elsewhere"),
    ],
)
async def test_a_task_that_fails_begins_anew(time: Time, failure) -> None:
    supervisor, work = time.supervisor(), Failing(failure, failure)
    await well(supervisor, work)
    assert (work.begun, supervisor.failures) == (3, {"work": 2})
    assert supervisor.ended_by is None


async def test_what_fails_takes_no_other_along(time: Time) -> None:
    supervisor, bad, good = time.supervisor(), Failing(lambda: ValueError("x")), Failing()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(supervisor.keep(n, w)) for n, w in (("a", bad), ("b", good))]
        async with asyncio.timeout(WAIT_S):
            await bad.well.wait()
            await good.well.wait()
        for task in running:
            task.cancel()
    assert (bad.begun, good.begun) == (2, 1)
    assert supervisor.failures == {"a": 1}


async def test_a_future_that_somebody_else_cancels_is_no_end(time: Time) -> None:
    supervisor, shared = time.supervisor(), asyncio.get_running_loop().create_future()
    well_again = asyncio.Event()

    async def work() -> None:
        if not shared.done():
            await shared
        well_again.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(supervisor.keep("work", work))
    await asyncio.sleep(0)
    shared.cancel()
    async with asyncio.timeout(WAIT_S):
        await well_again.wait()
    task.cancel()
    await asyncio.wait([task])
    assert supervisor.failures == {"work": 1}


async def test_pauses_double_up_to_half_a_minute_and_begin_anew_once_it_was_well(
    time: Time,
) -> None:
    def later() -> BaseException:
        time.now += STEADY_S + 31.0
        return ValueError("again")

    def fails() -> BaseException:
        return ValueError("at once")

    await well(time.supervisor(), Failing(*[fails] * 8, later, fails))
    assert time.slept == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 0.5, 1.0]


async def test_one_failure_again_and_again_has_one_traceback_in_the_log(time: Time, caplog) -> None:
    def same() -> BaseException:
        return ValueError("same")

    def other() -> BaseException:
        return ValueError("another")

    with caplog.at_level(logging.ERROR):
        await well(time.supervisor(), Failing(same, same, same, other))
    told = [record for record in caplog.records if record.name == "control_plane.supervision"]
    assert [bool(record.exc_info) for record in told] == [True, False, False, True]
    assert all("work" in record.getMessage() for record in told)


async def test_it_counts_as_failing_until_it_was_well_for_a_while(time: Time) -> None:
    supervisor = time.supervisor()
    await well(supervisor, Failing(lambda: ValueError("x")))
    assert supervisor.failing == ("work",)
    time.now += STEADY_S
    assert supervisor.failing == ()
    assert supervisor.failures == {"work": 1}


@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "in-a-group"])
async def test_what_must_end_the_process_ends_it_in_order(time: Time, wrapped: bool) -> None:
    ends: list[str] = []
    supervisor = time.supervisor(on_end=lambda: ends.append("end"))
    refused = Refused("spread over clusters")

    async def work() -> None:
        raise ExceptionGroup("g", [ValueError("x"), refused]) if wrapped else refused

    for _ in range(2):
        await supervisor.keep("session", work, ends_on=(Refused,))  # returns
    assert (ends, supervisor.ended_by) == (["end"], refused)
    with pytest.raises(Refused, match="spread"):
        supervisor.raise_if_ended()


async def test_an_error_that_another_task_ends_on_is_a_failure_here(time: Time) -> None:
    supervisor = time.supervisor()
    await well(supervisor, Failing(lambda: Refused("x")))
    supervisor.raise_if_ended()


async def test_work_that_is_done_is_not_begun_anew(time: Time) -> None:
    async def work() -> None:
        return

    supervisor = time.supervisor()
    async with asyncio.timeout(WAIT_S):
        await supervisor.keep("work", work)
    assert supervisor.failures == {}


async def test_a_cancellation_during_the_pause_ends_it() -> None:
    supervisor = Supervisor(clock=lambda: 0.0, jitter=lambda: 1.0)

    async def work() -> None:
        raise ValueError("x")

    task = asyncio.create_task(supervisor.keep("work", work))
    while not supervisor.failures:  # noqa: ASYNC110
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=WAIT_S)
    assert task.cancelled()


@pytest.mark.parametrize("error", [ValueError("x"), asyncio.CancelledError(), None])
async def test_an_attempt_is_made_once_and_raises_nothing(time: Time, error) -> None:
    async def work() -> None:
        if error is not None:
            raise error

    supervisor = time.supervisor()
    attempt: Coroutine[Any, Any, None] = supervisor.attempt("once", work())
    await asyncio.create_task(attempt)
    assert supervisor.failures == ({"once": 1} if error is not None else {})


async def test_a_task_that_nobody_waits_for_is_in_the_log_when_it_fails(caplog) -> None:
    async def fail() -> None:
        raise ZeroDivisionError("a defect")

    async def work() -> None:
        await asyncio.Event().wait()

    failing = asyncio.create_task(fail(), name="taking calls")
    working = asyncio.create_task(work(), name="working")
    for task in (failing, working):
        task.add_done_callback(log_failure)
    await asyncio.wait([failing])
    working.cancel()
    await asyncio.wait([working])
    (record,) = caplog.records
    assert "taking calls failed" in record.message
    assert record.exc_info is not None
