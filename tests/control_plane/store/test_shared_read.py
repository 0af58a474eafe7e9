"""However many ask, one read goes on and one waits; no answer is older than its question."""

from __future__ import annotations

import asyncio

import pytest

from control_plane.errors import Unavailable
from control_plane.store.shared_read import SharedRead


class Source:
    """Says how many reads had begun; each waits to be let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.failure: Exception | None = None
        self.gate = asyncio.Semaphore(0)

    async def read(self) -> int:
        self.begun += 1
        mine = self.begun
        await self.gate.acquire()
        if self.failure is not None:
            raise self.failure
        return mine


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_comes_while_one_reads_shares_the_next_and_gets_nothing_older():
    source = Source()
    read = SharedRead(source.read)
    first = asyncio.create_task(read())
    await settle()
    later = [asyncio.create_task(read()) for _ in range(50)]
    await settle()
    assert source.begun == 1
    source.gate.release()
    assert await first == 1
    await settle()
    source.gate.release()
    assert await asyncio.gather(*later) == [2] * 50
    assert source.begun == 2


async def test_all_who_wait_hear_of_a_failure_and_the_next_reads_anew():
    source = Source()
    read = SharedRead(source.read)
    source.failure = Unavailable("away")
    waiting = [asyncio.create_task(read()) for _ in range(3)]
    await settle()
    for _ in range(2):  # one reads, the others share the next
        source.gate.release()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert source.begun == 2
    assert all(isinstance(one, Unavailable) for one in outcomes)
    source.failure = None
    source.gate.release()
    await read()


@pytest.mark.parametrize("while_reading", [True, False], ids=["reading", "waiting to read"])
async def test_who_leaves_takes_nobody_along(while_reading):
    source = Source()
    read = SharedRead(source.read)
    others = [] if while_reading else [asyncio.create_task(read())]
    await settle()
    leader = asyncio.create_task(read())
    await settle()
    followers = [asyncio.create_task(read()) for _ in range(3)]
    await settle()
    leader.cancel()
    await settle()
    for _ in range(5):
        source.gate.release()
    async with asyncio.timeout(10):
        assert all(isinstance(one, int) for one in await asyncio.gather(*others, *followers))
