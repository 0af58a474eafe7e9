"""What is large is worked on apart from the event loop, and one at a time."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from control_plane.http_serving.large_bodies import LargeBodies


async def test_one_at_a_time_and_not_in_the_event_loops_thread():
    large, at_work, most, threads = LargeBodies(), 0, 0, set[int]()

    def work(number: int) -> int:
        nonlocal at_work, most
        threads.add(threading.get_ident())
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.01)  # long enough for another one to begin, if it could
        at_work -= 1
        return number

    assert await asyncio.gather(*(large.work(work, n) for n in range(8))) == list(range(8))
    assert most == 1
    assert threading.get_ident() not in threads


async def test_what_fails_keeps_nobody_waiting():
    large = LargeBodies()
    with pytest.raises(ValueError, match="no digits"):
        await large.work(_fail)
    assert await large.work(int, "7") == 7


def _fail() -> int:
    raise ValueError("no digits")
