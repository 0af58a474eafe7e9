"""Writes that must happen: again after the back-off while the disk fails, and no longer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from control_plane.errors import Unavailable
from data_sharing.delivery.outbox_writer import DISK_RETRIES, OutboxWriter
from data_sharing.delivery.retry_policy import backoff_ms


class Disk:
    """Fails as often as told, then does the work."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.written = 0

    def submit(self, work: Callable, *, of: str = "") -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        if self._failures:
            future.set_exception(self._failures.pop(0))
        else:
            self.written += 1
            future.set_result(work(None))
        return future


class Schedule:
    def __init__(self) -> None:
        self.waiting: list[tuple[int, Callable[[], None]]] = []

    def __call__(self, after_ms: int, action: Callable[[], None]) -> None:
        self.waiting.append((after_ms, action))


async def written_with(disk: Disk, rounds: int = 5) -> list[int]:
    """The delays after which it was tried again, until nothing is waiting."""
    schedule, delays = Schedule(), []
    OutboxWriter(disk, schedule, jitter=lambda: 0.5).write(lambda db: None)
    for _ in range(rounds):
        await asyncio.sleep(0)
        for after_ms, action in schedule.waiting[:]:
            schedule.waiting.clear()
            delays.append(after_ms)
            action()
    return delays


async def test_a_write_that_succeeds_is_not_repeated() -> None:
    disk = Disk()
    assert await written_with(disk) == []
    assert disk.written == 1


async def test_a_disk_that_fails_is_asked_again_after_its_back_off_until_it_writes() -> None:
    disk = Disk(Unavailable("full"), Unavailable("full"))
    assert await written_with(disk) == [backoff_ms(DISK_RETRIES, 0.5)] * 2
    assert disk.written == 1


async def test_what_is_wrong_with_the_work_itself_is_logged_and_not_repeated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = Disk(ValueError("a bug"))
    with caplog.at_level(logging.ERROR):
        assert await written_with(disk) == []
    assert disk.written == 0
    assert "a bug" in caplog.text
