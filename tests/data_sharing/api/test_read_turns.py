"""Reads of one tenant wait for each other and let everything else have its time; others' reads
come between them."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from control_plane.errors import Exhausted
from data_sharing.api.read_turns import ReadTurns


class Hand:
    """A clock that reads move."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def read(
    turns: ReadTurns, clock: Hand, tenant: str, order: list[str], took: float = 0.001
) -> None:
    async with turns.turn(tenant):
        order.append(tenant)
        clock.now += took


async def test_one_that_reads_a_hundred_times_is_waited_for_once() -> None:
    clock, order = Hand(), list[str]()
    turns = ReadTurns(clock)
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(read(turns, clock, "greedy", order))
        await asyncio.sleep(0)
        assert order
        group.create_task(read(turns, clock, "steady", order))
    assert len(order) == 101
    assert order.index("steady") <= 3


async def test_shares_follow_what_reads_take_and_not_their_number() -> None:
    clock, order = Hand(), list[str]()
    turns = ReadTurns(clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(read(turns, clock, "other", order))
        await asyncio.sleep(0)
        assert order
        for _ in range(10):
            group.create_task(read(turns, clock, "long", order, 0.004))
            group.create_task(read(turns, clock, "short", order, 0.001))
    assert order[1:16].count("short") >= 10


async def test_between_two_reads_everything_else_has_as_much_time() -> None:
    """A task that only counts has its turns between them."""
    clock, order, rounds = Hand(), list[str](), list[int]()
    turns, counted = ReadTurns(clock), 0

    async def count() -> None:
        nonlocal counted
        while len(order) < 5:
            counted += 1
            await asyncio.sleep(0)

    async def reads() -> None:
        await read(turns, clock, "greedy", order, 0.05)
        rounds.append(counted)

    async with asyncio.TaskGroup() as group:
        group.create_task(count())
        for _ in range(5):
            group.create_task(reads())
    assert all(after - before > 10 for before, after in itertools.pairwise(rounds))


async def test_too_many_that_wait_are_refused_and_others_are_not() -> None:
    clock, order = Hand(), list[str]()
    turns = ReadTurns(clock, most_waiting=2)
    some = [asyncio.create_task(read(turns, clock, "greedy", order)) for _ in range(4)]
    other = asyncio.create_task(read(turns, clock, "steady", order))
    *done, refused = await asyncio.gather(*some, return_exceptions=True)
    await other
    assert done == [None, None, None]
    assert isinstance(refused, Exhausted)
    assert order.count("steady") == 1


async def test_one_that_gives_up_waiting_is_passed_over() -> None:
    clock, order = Hand(), list[str]()
    turns = ReadTurns(clock)
    tasks = [asyncio.create_task(read(turns, clock, f"t{n}", order)) for n in range(3)]
    await asyncio.sleep(0)
    assert order == ["t0"]
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["t0", "t2"]
    await read(turns, clock, "later", order)
    assert order[-1] == "later"


async def test_one_that_fails_gives_its_turn_on() -> None:
    clock, order = Hand(), list[str]()
    turns = ReadTurns(clock)

    async def fails() -> None:
        async with turns.turn("t"):
            clock.now += 0.001
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    async with asyncio.timeout(30.0):
        await read(turns, clock, "u", order)
    assert order == ["u"]
