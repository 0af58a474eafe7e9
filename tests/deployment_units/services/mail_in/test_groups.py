"""What waits is handed out in groups: at once where nothing is under way, together otherwise."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

import pytest

from deployment_units.services.mail_in.groups import Groups

SOON_S = 30.0


def groups(*, pause_s: float = math.inf, most: int = 3, most_waiting: int = 100) -> Groups[str]:
    return Groups(
        len, most=most, most_bytes=10, most_waiting=most_waiting,
        pause_s=SOON_S * 100 if math.isinf(pause_s) else pause_s,
    )  # fmt: skip


async def passes() -> None:
    """Everything goes on that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def put(into: Groups[str], *entries: str) -> None:
    for one in entries:
        await into.put(one)


async def test_the_first_goes_at_once_and_the_next_ones_together_when_it_ends() -> None:
    made = groups()
    await put(made, "a")
    assert await made.next() == ["a"]
    with made.under_way():
        following = asyncio.create_task(made.next())
        await put(made, "b", "c")
        await passes()
        assert not following.done()
    assert await asyncio.wait_for(following, SOON_S) == ["b", "c"]


@pytest.mark.parametrize("entries", [["b", "c", "d"], ["b", "long enough"]], ids=str)
async def test_a_full_group_waits_for_nothing(entries: list[str]) -> None:
    made = groups()
    with made.under_way():
        following = asyncio.create_task(made.next())
        await put(made, *entries)
        assert await asyncio.wait_for(following, SOON_S) == entries


async def test_a_group_that_takes_long_holds_up_nobody() -> None:
    made = groups(pause_s=0.001)
    with made.under_way():
        await put(made, "b")
        assert await asyncio.wait_for(made.next(), SOON_S) == ["b"]


async def test_two_who_wait_share_no_group() -> None:
    made = groups()
    with made.under_way():
        both = [asyncio.create_task(made.next()) for _ in range(2)]
        await put(made, "b", "c")
        await passes()
    done, waiting = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED, timeout=SOON_S)
    assert [one.result() for one in done] == [["b", "c"]]
    (left,) = waiting
    await put(made, "d")
    assert await asyncio.wait_for(left, SOON_S) == ["d"]


async def test_who_comes_when_there_is_no_room_waits_for_it() -> None:
    made = groups(most_waiting=2)
    await put(made, "a", "b")
    third = asyncio.create_task(made.put("c"))
    await passes()
    assert not third.done()
    assert await made.next() == ["a", "b"]
    await asyncio.wait_for(third, SOON_S)
    assert made.left() == ["c"]


async def test_one_who_leaves_while_a_group_gathers_takes_nothing_along() -> None:
    made = groups()
    with made.under_way():
        leaving = asyncio.create_task(made.next())
        await put(made, "b")
        await passes()
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
    assert await asyncio.wait_for(made.next(), SOON_S) == ["b"]
