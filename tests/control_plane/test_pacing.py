"""Pacer: so much of what comes begins in each pass of the event loop, whosever turn it is, and
all of it at once where that is little."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest

from control_plane.pacing import WINDOW_S, CoroutinePacer, Pacer
from control_plane.turns import Turns


class Passes:
    """What a pacer began, by pass of the event loop; entries are texts, and begin with whose they
    are. `now` is its clock, in seconds."""

    def __init__(self, *, per_pass: int = 4, cost: int = 1) -> None:
        self.begun: list[list[str]] = []
        self.now = 10.0
        self.pacer: Pacer[str] = Pacer(
            self.begun.append,
            Turns(lambda entry: entry[0]),
            per_pass=per_pass,
            cost_of=lambda entry: cost,
            clock=lambda: self.now,
        )

    def comes(self, *entries: str) -> None:
        if self.pacer.begin_now(entries):
            self.begun.append(list(entries))
        else:
            self.pacer.add(entries)

    async def all(self) -> list[list[str]]:
        """Once nothing waits."""
        for _ in range(10_000):
            if not len(self.pacer):
                return self.begun
            await asyncio.sleep(0)
        raise AssertionError("it does not come to an end")


async def test_little_begins_at_once() -> None:
    passes = Passes()
    passes.comes("a1", "a2")
    assert passes.begun == [["a1", "a2"]]
    passes.comes("b1")
    assert passes.begun[1:] == [["b1"]]


async def test_much_begins_in_parts_and_in_turn() -> None:
    passes = Passes()
    passes.comes(*(f"a{n}" for n in range(1_000)))
    passes.comes("b1", "c1")
    assert passes.begun == []
    begun = await passes.all()
    assert {"b1", "c1"} <= set(begun[0])
    assert max(map(len, begun)) == 4
    own = [entry for part in begun for entry in part if entry[0] == "a"]
    assert own == [f"a{n}" for n in range(1_000)]


async def test_others_run_between_two_passes() -> None:
    passes = Passes()
    passes.comes(*(f"a{n}" for n in range(40)))
    seen = []
    while len(passes.pacer):
        await asyncio.sleep(0)
        seen.append(len(passes.begun))
    assert seen == sorted(seen)
    assert all(after - before <= 1 for before, after in pairwise(seen))


async def test_many_that_come_one_by_one_are_as_much_as_many_at_once() -> None:
    passes = Passes()
    for number in range(20):
        passes.comes(f"a{number}")
    assert passes.begun == [["a0"], ["a1"], ["a2"], ["a3"]]
    begun = await passes.all()
    assert max(map(len, begun)) == 4


async def test_after_a_while_there_is_room_again() -> None:
    passes = Passes()
    passes.comes("a1", "a2", "a3", "a4")
    passes.now += 2 * WINDOW_S
    passes.comes("a5", "a6", "a7", "a8")
    assert len(passes.begun) == 2


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_what_costs_more_than_a_pass_has_one_of_its_own(count: int) -> None:
    passes = Passes(per_pass=4, cost=100)
    passes.comes(*(f"a{n}" for n in range(count)))
    assert await passes.all() == [[f"a{n}"] for n in range(count)]


async def test_coroutines_go_on_in_turn() -> None:
    pacer = CoroutinePacer(per_pass=2, clock=lambda: 10.0)
    order: list[str] = []

    async def work(key: str, within: int) -> None:
        await pacer.turn(key, within)
        order.append(key)

    async with asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(work("bank", number % 2))
        group.create_task(work("city", 0))
    assert order.index("city") <= 5
    assert len(order) == 101


async def test_one_that_does_not_wait_any_more_takes_no_turn_from_another() -> None:
    pacer = CoroutinePacer(per_pass=1, clock=lambda: 10.0)
    await pacer.turn("bank")
    waiting = [asyncio.create_task(pacer.turn("bank")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    with suppress(asyncio.CancelledError):
        await waiting[0]
    await asyncio.gather(*waiting[1:])
