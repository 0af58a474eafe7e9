"""One worker has a partition; another one takes it when nothing is heard of that one any more."""

from __future__ import annotations

import asyncio

import pytest

from control_plane.errors import StoreUnavailable
from data_sharing.replication.lease import Holder, PartitionLease, Written, acquire_any
from data_sharing.replication.partition_map import PartitionMap
from data_sharing.replication.port import NotLast

LEASE_S = 0.006  # of the clock below, which the looks themselves move on
WITHIN_S = 30.0


class Cell:
    """A LeaseStore in memory."""

    def __init__(self) -> None:
        self.written: Written | None = None
        self.away = False
        self.reads = 0

    async def read(self) -> Written | None:
        self.reads += 1
        if self.away:
            raise StoreUnavailable("away")
        return self.written

    async def write(self, holder: Holder, *, after: int) -> int:
        if self.away:
            raise StoreUnavailable("away")
        if after != (self.written.sequence if self.written else 0):
            raise NotLast("somebody else has written")
        self.written = Written(after + 1, holder)
        return after + 1


def lease_of(cell: Cell, owner: str) -> PartitionLease:
    """By a clock that moves on with each look, answered or not."""
    return PartitionLease(
        cell, Holder(owner), monotonic=lambda: cell.reads / 1_000, lease_s=LEASE_S
    )


async def looks(cell: Cell, count: int) -> None:
    """Until it was read so often."""
    until = cell.reads + count
    async with asyncio.timeout(WITHIN_S):
        while cell.reads < until:  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_the_first_one_has_it_and_the_next_one_waits_until_it_is_silent():
    cell = Cell()
    await lease_of(cell, "a").acquire()
    waiting = asyncio.create_task(lease_of(cell, "b").acquire())
    await looks(cell, 3)
    assert cell.written.holder.owner == "a"
    async with asyncio.timeout(WITHIN_S):
        await waiting
    assert cell.written.holder.owner == "b"


async def test_who_is_heard_of_keeps_it():
    cell = Cell()
    await lease_of(cell, "a").acquire()
    waiting = asyncio.create_task(lease_of(cell, "b").acquire())
    for _ in range(30):
        await cell.write(Holder("a"), after=cell.written.sequence)
        await looks(cell, 2)
    assert cell.written.holder.owner == "a"
    waiting.cancel()


async def test_silence_while_nobody_can_write_is_nobodys_fault():
    cell = Cell()
    await lease_of(cell, "a").acquire()
    waiting = asyncio.create_task(lease_of(cell, "b").acquire())
    await looks(cell, 2)
    cell.away = True
    await looks(cell, 20)
    cell.away = False
    await looks(cell, 2)  # one at least sees the lease anew
    assert cell.written.holder.owner == "a"
    waiting.cancel()


async def test_who_lets_go_is_followed_at_once():
    cell = Cell()
    first = lease_of(cell, "a")
    await first.acquire()
    keeping = asyncio.create_task(first.run(pytest.fail))
    await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.wait([keeping])
    assert cell.written.holder.owner == ""
    await lease_of(cell, "b").acquire()
    assert cell.written.holder.owner == "b"


async def test_who_has_lost_it_is_told():
    cell, lost = Cell(), list[str]()
    first = lease_of(cell, "a")
    await first.acquire()
    cell.written = Written(cell.written.sequence + 1, Holder("b"))
    async with asyncio.timeout(WITHIN_S):
        await first.run(lost.append)
    assert len(lost) == 1
    assert cell.written.holder.owner == "b"


async def test_of_several_partitions_each_worker_takes_one_and_the_next_a_dead_ones():
    cells = [Cell(), Cell()]
    for owner, place in (("a", 0), ("b", 1)):
        assert await acquire_any([lease_of(cell, owner) for cell in cells]) == place
    leases = [lease_of(cell, "c") for cell in cells]
    waiting = asyncio.create_task(acquire_any(leases))
    async with asyncio.timeout(WITHIN_S):
        while not waiting.done():  # `a` lives, and nothing is heard of `b`
            await cells[0].write(Holder("a"), after=cells[0].written.sequence)
            await asyncio.sleep(0.001)
    assert waiting.result() == 1
    assert [cell.written.holder.owner for cell in cells] == ["a", "c"]


async def test_others_are_told_where_a_partition_is_served_once_it_is():
    cells = [Cell(), Cell()]
    leases = [lease_of(cell, owner) for cell, owner in zip(cells, "ab", strict=True)]
    for lease in leases:
        await lease.acquire()
    partitions = PartitionMap(cells, 0, lambda tenant, key, count: len(key) % count)
    await partitions.look()
    assert [partitions.server_of(number) for number in range(2)] == ["", ""]
    leases[1].serve_at("host:1")
    keeping = asyncio.create_task(leases[1].run(lambda why: None))
    async with asyncio.timeout(WITHIN_S):
        while not partitions.server_of(1):
            cells[1].reads += 1  # the clock
            await asyncio.sleep(0.001)
            await partitions.look()
    assert partitions.server_of(1) == "host:1"
    cells[1].away = True
    await partitions.look()
    assert partitions.server_of(1) == "host:1"  # as it was when it could be read
    cells[1].away = False
    keeping.cancel()
    await asyncio.wait([keeping])
    await partitions.look()
    assert partitions.server_of(1) == ""  # it has let go
