"""Presses, nearly a third of them made twice, while the unit and the decision worker are killed at
each of their fault points: as many orders as distinct presses, each told once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.answering_stack import AnsweringStack, Person, answering_stack, artifact

TALK = b"conversation-one"
UNIT_POINTS = (
    "click.kept.after", "feeds.published.after", "reply.kept.before", "reply.kept.after",
)  # fmt: skip
WORKER_POINTS = (
    "decide.events.before", "decide.events.after", "dispatch.outcome.before",
    "dispatch.outcome.after",
)  # fmt: skip
AT_ONCE = 8
DONE_WITHIN_S = 3_000.0


async def order(anna: Person, count: int, seed: int) -> None:
    """Writes so often, and presses a button of each card that comes; of three in ten twice."""
    rng = random.Random(seed)
    places = asyncio.Semaphore(AT_ONCE)

    async def write(message: bytes) -> None:
        async with places:
            await anna.write(TALK, message, "Good morning", ["roastery"])

    await asyncio.gather(*(write(rng.randbytes(16)) for _ in range(count)))
    pressed: set[bytes] = set()
    async with asyncio.timeout(DONE_WITHIN_S):
        while len(pressed) < count:
            cards = {one.id for one in await anna.read(TALK) if one.content.card}
            new = [one for one in cards - pressed if len(pressed) < count]
            pressed |= set(new)
            await asyncio.gather(*(press(anna, one, rng) for one in new))
            await asyncio.sleep(0.1)


async def press(anna: Person, card: bytes, rng: random.Random) -> None:
    once = rng.randbytes(16)
    await anna.click(card, "order-antigua", once, amount="1")
    if rng.random() < 0.3:
        again = once if rng.random() < 0.5 else rng.randbytes(16)
        answer = await anna.click(card, "order-antigua", again, amount="1")
        assert answer.press == once


async def killing(stack: AnsweringStack, worker: bool) -> None:
    """Kills the unit, or the decision worker, at each of its points; then lets it run."""
    if worker:
        for point in WORKER_POINTS:
            with stack.sharing(HOMEPORT_FAULT_POINT=f"{point}:9") as server:
                while server.process.poll() is None:  # noqa: ASYNC110 - a process
                    await asyncio.sleep(0.05)
        return
    for point in UNIT_POINTS:
        async with stack.agent(fault_point=f"{point}:5"):
            pass


async def run(folder: Path, count: int) -> None:
    content = await asyncio.to_thread(artifact, "roastery")
    async with answering_stack(folder, "roastery") as stack, AsyncExitStack() as held:
        with stack.sharing():
            await stack.set_up(content)
        platform = stack.platform()
        held.callback(platform.kill)
        anna = Person(stack, "anna")
        held.push_async_callback(anna.close)
        with stack.sharing():
            async with stack.agent():
                roastery = Person(stack, "roastery")
                await roastery.enter()
                await roastery.close()
        ordering = asyncio.create_task(order(anna, count, 7))
        held.callback(ordering.cancel)
        with stack.sharing():
            await killing(stack, worker=False)
        async with stack.agent():
            await killing(stack, worker=True)
            with stack.sharing():
                await ordering
                found = await anna.waits_for(TALK, 3 * count, within_s=DONE_WITHIN_S)
                texts = Counter(one.content.text.split()[0] for one in found)
                assert texts == {"Good": 2 * count, "Ordered:": count}
                replaced = Counter(one.replaces for one in found if one.replaces)
                assert set(replaced.values()) == {1}
                outcomes = Counter(await stack.outcomes())
                assert outcomes == {
                    ("answers.roastery.message", "done"): count,
                    ("answers.roastery.click", "done"): count,
                }


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_as_many_orders_as_presses_however_often_something_dies(tmp_path: Path) -> None:
    await run(tmp_path, 100)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
async def test_ten_thousand_presses_however_often_something_dies(tmp_path: Path) -> None:
    await run(tmp_path, 10_000)
