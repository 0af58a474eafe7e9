"""When load processes give calls up: where nothing is heard of any, and not where all is slow."""

from __future__ import annotations

import asyncio

from bench.load.load_processes import _until_ended
from bench.load.results import CallCounts

SILENT_S = 0.01


class SlowConnection:
    """Of one call another has ended each time somebody looks, up to so many."""

    def __init__(self, ends: int, asked: int) -> None:
        self._ends = ends
        self._asked = asked
        self._seen = 0
        self.done: asyncio.Future[CallCounts] = asyncio.get_running_loop().create_future()
        self.given_up: list[str] = []

    @property
    def ended(self) -> int:
        self._seen = min(self._seen + 1, self._ends)
        if self._seen == self._asked:
            self.done.set_result(CallCounts(asked=self._asked))
        return self._seen

    def give_up(self, why: str) -> None:
        self.given_up.append(why)


async def given_up(ends: int, *, asked: int = 20, longest_s: float = 60.0) -> list[str]:
    one = SlowConnection(ends, asked)
    waiting = _until_ended([one.done], [one], silent_s=SILENT_S, longest_s=longest_s)  # type: ignore[list-item]
    await asyncio.wait_for(waiting, 60)
    return one.given_up


async def test_a_run_that_is_slow_and_goes_on_is_waited_for():
    assert await given_up(ends=20) == []


async def test_calls_that_nothing_is_heard_of_are_unanswered():
    assert await given_up(ends=3) == ["unanswered"]
    assert await given_up(ends=0) == ["unanswered"]


async def test_a_run_has_an_end_all_the_same():
    assert await given_up(ends=10**9, asked=10**9, longest_s=5 * SILENT_S) == [
        "no answer within 0.05 s"
    ]
