"""What is large is worked on apart from the event loop, one at a time, of each address in turn."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.http_serving.large_bodies import LargeBodies
from control_plane.serving.peers import peer_group
from control_plane.turns import Turns

PEER = "ipv4:192.0.2.1:5"
WITHIN_S = 20.0


@contextmanager
def held_up(large: LargeBodies) -> Iterator[asyncio.Task[bool]]:
    """Something is at work while the block runs."""
    end = threading.Event()
    task = asyncio.create_task(large.work("ipv4:192.0.2.99:1", end.wait, WITHIN_S))
    try:
        yield task
    finally:
        end.set()


async def begun(tasks: int) -> None:
    """So many new tasks have come to wait."""
    for _ in range(tasks + 2):
        await asyncio.sleep(0)


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

    assert await asyncio.gather(*(large.work(PEER, work, n) for n in range(8))) == list(range(8))
    assert most == 1
    assert threading.get_ident() not in threads


async def test_what_fails_keeps_nobody_waiting():
    large = LargeBodies()
    with pytest.raises(ValueError, match="no digits"):
        await large.work(PEER, _fail)
    assert await large.work(PEER, int, "7") == 7


async def test_threads_take_short_turns_while_one_is_at_work_and_usual_ones_before_and_after():
    usual_s = sys.getswitchinterval()
    one, other = LargeBodies(), LargeBodies()
    with held_up(one) as first, held_up(other) as second:
        await begun(2)
        assert sys.getswitchinterval() < usual_s / 5
        with pytest.raises(ValueError, match="no digits"):
            await LargeBodies().work(PEER, _fail)
        assert sys.getswitchinterval() < usual_s / 5
    await asyncio.wait_for(asyncio.gather(first, second), WITHIN_S)
    assert sys.getswitchinterval() == pytest.approx(usual_s)


PEERS = st.builds("ipv4:192.0.2.{}:{}".format, st.integers(1, 3), st.integers(1, 3))


@given(st.lists(PEERS, max_size=30))
@settings(max_examples=30)
async def test_addresses_take_turns_and_of_each_its_connections(peers: list[str]):
    large, order = LargeBodies(), list[int]()
    with held_up(large) as first:
        await begun(1)
        tasks = [
            asyncio.create_task(large.work(peer, order.append, number))
            for number, peer in enumerate(peers)
        ]
        await begun(len(tasks))
    await asyncio.wait_for(asyncio.gather(first, *tasks), WITHIN_S)
    turns = Turns[int](
        lambda one: peer_group(peers[one]), range(len(peers)), within=lambda one: peers[one]
    )
    assert order == [turns.popleft() for _ in peers]


async def test_who_sends_a_thousand_makes_another_wait_for_one():
    large, order = LargeBodies(), list[str]()
    with held_up(large) as first:
        await begun(1)
        flood = [
            asyncio.create_task(large.work(f"ipv4:192.0.2.1:{n}", order.append, "flood"))
            for n in range(1_000)
        ]
        await begun(1_000)
        one = asyncio.create_task(large.work("ipv4:192.0.2.2:1", order.append, "one"))
        await begun(1)
    await asyncio.wait_for(asyncio.gather(first, one, *flood), WITHIN_S)
    assert order.index("one") == 1


async def test_who_leaves_while_waiting_is_passed_over():
    large = LargeBodies()
    with held_up(large) as first:
        await begun(1)
        leaves = asyncio.create_task(large.work(PEER, _fail))
        stays = asyncio.create_task(large.work(PEER, int, "7"))
        await begun(2)
        leaves.cancel()
        await asyncio.wait([leaves])
    assert await asyncio.wait_for(asyncio.gather(first, stays), WITHIN_S) == [True, 7]
    assert leaves.cancelled()
    assert await large.work(PEER, int, "8") == 8


async def test_who_leaves_as_its_turn_has_come_hands_it_on():
    large = LargeBodies()
    with held_up(large) as first:
        await begun(1)
        leaves = asyncio.create_task(large.work(PEER, _fail))
        stays = asyncio.create_task(large.work(PEER, int, "7"))
        await begun(2)
        turn = next(iter(large._waiting)).turn
    async with asyncio.timeout(WITHIN_S):
        # Seen before the pass of the loop in which it is taken up.
        while not turn.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
        leaves.cancel()
        assert await stays == 7
        await asyncio.wait([first, leaves])
    assert leaves.cancelled()
    assert await large.work(PEER, int, "8") == 8


async def test_what_has_begun_ends_before_the_next_begins_even_where_its_caller_leaves():
    large, ended = LargeBodies(), list[str]()
    with held_up(large) as first:
        await begun(1)
        first.cancel()
        await asyncio.wait([first])
        waits = asyncio.create_task(large.work(PEER, ended.append, "next"))
        await begun(1)
        ended.append("first")
    await asyncio.wait_for(waits, WITHIN_S)
    assert ended == ["first", "next"]


def _fail() -> int:
    raise ValueError("no digits")
