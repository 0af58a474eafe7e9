"""Presses of cards, three in ten made more than once, while the unit, the decision worker and the
platform are killed (-9) at their fault points: as many orders as distinct presses, each told once.

A few dozen presses and one kill at each of some points; or 10,000 (HOMEPORT_PRESSES says another
number), with kills at all of the points in turn, again and again.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane import faultpoints
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.answering_guest import ORDERED, answering_guest, answering_manifest
from tests.support.answering_stack import AnsweringStack, Person, answering_stack
from tests.support.fault_harness import Outcome
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured
from tests.support.platforms import PlatformProcess
from tests.support.pressing_customers import Customer, Orders, ordering
from tests.support.server_process import ServerProcess

FEW = 24
MANY = int(os.environ.get("HOMEPORT_PRESSES", "10000"))
ROUNDS = max(1, MANY // 1_000)  # of kills at each point
FEW_S, MANY_S = 600, 600 + MANY  # for all of them
UNIT = (
    "click.kept.after", "feeds.published.after", "reply.kept.before", "reply.kept.after",
)  # fmt: skip
WORKER = (
    "decide.events.before", "decide.events.after", "dispatch.outcome.before",
    "dispatch.outcome.after",
)  # fmt: skip
PLATFORM = ("platform.begin.after", "platform.run.after", "platform.end.after")
STUCK_S = 300.0  # without an answer to somebody for so long, something is stuck
KILLED_S = 120.0  # a process that does not come to its fault point for so long is not used


@dataclass(frozen=True, slots=True)
class Kills:
    """At which points of which process, and at which passing of a point."""

    unit: Sequence[str]
    worker: Sequence[str]
    platform: Sequence[str]
    passing: Callable[[], int]

    def armed(self, points: Sequence[str]) -> Iterator[str]:
        for point in points:
            yield f"{point}:{self.passing()}"


async def kill_all(stack: AnsweringStack, kills: Kills) -> int:
    """Kills each process at each of its points, while the others run; how often."""
    count = 0
    async with running_platform(stack):
        with stack.sharing():
            for point in kills.armed(kills.unit):
                async with stack.agent(fault_point=point, killed_within_s=KILLED_S):
                    pass  # it ends by itself
                count += 1
        async with stack.agent():
            for point in kills.armed(kills.worker):
                await killed(stack.sharing(**{faultpoints.VARIABLE: point}))
                count += 1
    async with stack.agent():
        with stack.sharing():
            for point in kills.armed(kills.platform):
                await killed(stack.platform(**{faultpoints.VARIABLE: point}))
                count += 1
    return count


async def killed(one: ServerProcess | PlatformProcess) -> None:
    """Waits until it has killed itself, before it serves or after."""
    try:
        async with asyncio.timeout(KILLED_S):
            while one.process.poll() is None:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.05)
        assert one.process.returncode == -signal.SIGKILL
    finally:
        one.kill()


@asynccontextmanager
async def running_platform(stack: AnsweringStack) -> AsyncIterator[None]:
    """Inside."""
    platform = stack.platform()
    try:
        yield
    finally:
        platform.kill()


@asynccontextmanager
async def all_running(stack: AnsweringStack) -> AsyncIterator[None]:
    """Inside."""
    async with running_platform(stack):
        with stack.sharing():
            async with stack.agent():
                yield


async def press_under_kills(
    stack: AnsweringStack,
    orders: Orders,
    kills: Kills,
    *,
    rounds: int,
    customers: int,
    at_once: int,
) -> tuple[list[Customer], Counter[tuple[str, str]], int]:
    """The customers, who have read all that there is; rule and status of the outcomes; and how many
    kills there were. After each round of kills nobody is killed until its share was pressed."""
    async with AsyncExitStack() as running:
        with stack.sharing():
            async with running_platform(stack):
                await stack.set_up(answering_manifest(), answering_guest())
                async with stack.agent():
                    roastery = Person(stack, "roastery")
                    await roastery.enter()
                    await roastery.close()
        count, begun_s = 0, time.monotonic()
        async with ordering(stack, orders, customers=customers, at_once=at_once) as crowd:
            for number in range(1, rounds + 1):
                count += await kill_all(stack, kills)
                async with AsyncExitStack() as calm:
                    await calm.enter_async_context(all_running(stack))
                    while orders.pressed * rounds < orders.least * number:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
                    took_s = time.monotonic() - begun_s
                    wrong = len(orders.wrong)
                    print(
                        f"{orders.pressed} presses, {count} kills, {wrong} wrong, {took_s:.0f} s",
                        flush=True,
                    )
                    if number == rounds:
                        running.push_async_exit(calm.pop_all())
        for one in crowd:
            async with asyncio.timeout(STUCK_S):
                while len(one.found) < 3 * one.pressed:
                    if not await one.read_on():
                        await asyncio.sleep(0.05)
            await one.read_on()  # what nobody waits for
        outcomes = Counter(await stack.outcomes(within_s=STUCK_S))
        for one in crowd:
            await one.person.close()
    return crowd, outcomes, count


def judged(crowd: Sequence[Customer], outcomes: Counter[tuple[str, str]]) -> Verdict:
    """Against what the customers know that they pressed."""
    verdict = Verdict(answers=sum(len(one.found) for one in crowd))
    count = sum(one.pressed for one in crowd)
    for one in crowd:
        texts = Counter(message.content.text for message in one.found)
        replaced = Counter(message.replaces for message in one.found if message.replaces)
        pressed = Counter(pressed_of(one.found))
        if not texts[ORDERED] == len(replaced) == len(pressed) == one.pressed:
            said = f"{texts[ORDERED]} of {one.pressed} presses of {one.person.account}"
            verdict.accuse("once", 0, "orders", said)
        if len(one.found) != 3 * one.pressed:
            verdict.accuse("once", 0, "messages", f"{len(one.found)} of {3 * one.pressed}")
    if outcomes["answers.roastery.click", "done"] != count or len(outcomes) != 2:
        verdict.accuse("once", 0, "outcomes", str(outcomes))
    return verdict


def pressed_of(found: Sequence[pb.Message]) -> Iterator[bytes]:
    """Which presses the orders answer."""
    for one in found:
        if one.content.text == ORDERED:
            yield one.content.answers


@pytest.mark.faults
@pytest.mark.timeout(FEW_S)
async def test_as_many_orders_as_presses(tmp_path: Path, record: Callable[..., None]) -> None:
    kills = Kills(UNIT, WORKER[1:2], (), passing=lambda: 3)
    await _presses(tmp_path, record, Orders(FEW, STUCK_S), kills, rounds=1, customers=1, at_once=4)


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.timeout(MANY_S)
async def test_as_many_orders_as_ten_thousand_presses(
    tmp_path: Path, record: Callable[..., None]
) -> None:
    rng = random.Random(MANY)
    kills = Kills(UNIT, WORKER, PLATFORM, passing=lambda: rng.randint(1, 12))
    await _presses(
        tmp_path, record, Orders(MANY, STUCK_S), kills, rounds=ROUNDS, customers=10, at_once=8
    )


async def _presses(
    folder: Path, record: Callable[..., None], orders: Orders, kills: Kills, **crowd: int
) -> None:
    async with answering_stack(folder, "roastery") as stack:
        customers, outcomes, killed = await press_under_kills(stack, orders, kills, **crowd)
    verdict = judged(customers, outcomes)
    for one in orders.wrong:
        verdict.accuse("once", 0, "press", one)
    who = "unit and decision worker" if not kills.platform else "unit, decision worker and platform"
    record(
        f"presses of cards; {who} killed (-9) at their fault points",
        Outcome(
            verdict=verdict, measured=Measured(requests=orders.pressed + orders.repeated)
        ),
        note=f"{orders.pressed:,} distinct presses, {orders.repeated:,} of them made again; "
        f"{killed:,} kills; as many orders",
    )  # fmt: skip
    assert verdict.broken == 0, verdict
