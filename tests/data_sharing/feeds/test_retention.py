"""The retainer: trims until nothing is left to trim, and outlives a store that is away."""

from __future__ import annotations

import asyncio
from typing import cast

from control_plane.errors import Unavailable
from data_sharing.feeds.port import FeedLog, Retention
from data_sharing.feeds.retention import Retainer

RETENTION = Retention(age_s=60.0, content_bytes=1_000)


class Log:
    """Gives what each `trim` in turn is to give; then ends the run."""

    def __init__(self, *outcomes: int | Exception) -> None:
        self._outcomes = list(outcomes)
        self.asked: list[tuple[Retention, int]] = []
        self.over = asyncio.Event()

    async def trim(self, kept: Retention, now_ms: int) -> int:
        self.asked.append((kept, now_ms))
        if not self._outcomes:
            self.over.set()
            await asyncio.Event().wait()
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def run(log: Log) -> Retainer:
    made = Retainer(cast("FeedLog", log), RETENTION, wall_ms=lambda: 7, every_s=0.0, pause_s=0.0)
    task = asyncio.create_task(made.run())
    async with asyncio.timeout(10):
        await log.over.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return made


async def test_it_trims_by_the_retention_and_counts_what_is_gone() -> None:
    log = Log(1_000, 20, 0)
    made = await run(log)
    assert made.gone == 1_020
    assert set(log.asked) == {(RETENTION, 7)}


async def test_a_store_that_is_away_is_tried_again() -> None:
    made = await run(Log(Unavailable("the disk is full"), 5))
    assert made.gone == 5
