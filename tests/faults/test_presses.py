"""Presses of cards, three in ten made twice, while the unit and the decision worker are killed (-9)
at their fault points: as many orders as distinct presses, each told once.

HOMEPORT_PRESSES=10000 presses so often at least; a few dozen where it is not said.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.answering_guest import ORDERED, answering_guest, answering_manifest
from tests.support.answering_stack import AnsweringStack, Person, answering_stack
from tests.support.fault_harness import Outcome
from tests.support.judge.verdict import Verdict
from tests.support.measurements import Measured

PRESSES = int(os.environ.get("HOMEPORT_PRESSES", "24"))
TALK = b"conversation-one"
UNIT_POINTS = (
    "click.kept.after", "feeds.published.after", "reply.kept.before", "reply.kept.after",
)  # fmt: skip
WORKER_POINTS = ("decide.events.after",)
AT_ONCE = 4
END_S = 120.0 + PRESSES  # without an answer to anybody for so long, something is stuck


class Customer:
    """Writes, presses a button of each card that comes back, and counts; from several tasks."""

    def __init__(self, person: Person, seed: int) -> None:
        self.person = person
        self.pressed: list[bytes] = []
        self.repeated = 0
        self.wrong: list[str] = []
        self._rng = random.Random(seed)
        self._cards: dict[bytes, asyncio.Future[bytes]] = {}

    async def read(self) -> None:
        """Finds the cards that answer what was written, until cancelled."""
        after = 0
        while True:
            request = pb.ListMessagesRequest(conversation=TALK, page_size=100, after=after)
            page = await self.person.call("ListMessages", request)
            for one in page.messages:
                after = one.position
                waiting = self._cards.pop(one.content.in_reply_to, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(one.id)
            if not page.more:
                await asyncio.sleep(0.1)

    async def order(self, least: int, over: asyncio.Event) -> None:
        """One order after another: so many together, and then until it is over."""
        while len(self.pressed) < least or not over.is_set():
            message, press = self._rng.randbytes(16), self._rng.randbytes(16)
            card = self._cards[message] = asyncio.get_running_loop().create_future()
            await self.person.write(TALK, message, "Good morning", ["roastery"])
            async with asyncio.timeout(END_S):
                await card
            self.pressed.append(press)
            await self._press(card.result(), press, press)
            if self._rng.random() < 0.3:
                self.repeated += 1
                again = press if self._rng.random() < 0.5 else self._rng.randbytes(16)
                await self._press(card.result(), again, press)

    async def _press(self, card: bytes, press: bytes, counts: bytes) -> None:
        answer = await self.person.click(card, "order", press, amount="1")
        if answer.press != counts:
            self.wrong.append(f"{press.hex()} counts as {answer.press.hex()}")


async def kill_all(stack: AnsweringStack) -> None:
    """Kills the unit at each of its points, then the worker at its own; ends without a worker."""
    with stack.sharing():
        for point in UNIT_POINTS:
            async with stack.agent(fault_point=f"{point}:3"):
                pass  # it ends by itself
    async with stack.agent():
        for point in WORKER_POINTS:
            with stack.sharing(HOMEPORT_FAULT_POINT=f"{point}:5") as server:
                async with asyncio.timeout(END_S):
                    while server.process.poll() is None:  # noqa: ASYNC110 - a process
                        await asyncio.sleep(0.05)


@pytest.mark.faults
@pytest.mark.timeout(600 + 4 * PRESSES)
async def test_as_many_orders_as_presses(tmp_path: Path, record: Callable[..., None]) -> None:
    async with answering_stack(tmp_path, "roastery") as stack, AsyncExitStack() as held:
        anna = Person(stack, "anna")
        with stack.sharing():
            await stack.set_up(answering_manifest(), answering_guest())
            platform = stack.platform()
            held.callback(platform.kill)
            async with stack.agent():
                roastery = Person(stack, "roastery")
                await roastery.enter()
                await roastery.close()
        held.push_async_callback(anna.close)
        customer, over = Customer(anna, 7), asyncio.Event()
        reading = asyncio.create_task(customer.read())
        held.callback(reading.cancel)
        ordering = [asyncio.create_task(customer.order(PRESSES, over)) for _ in range(AT_ONCE)]
        held.callback(lambda: [one.cancel() for one in ordering])
        await kill_all(stack)
        async with stack.agent():
            with stack.sharing():
                over.set()
                await asyncio.gather(*ordering)
                count = len(customer.pressed)
                found = await anna.waits_for(TALK, 3 * count, within_s=END_S)
                outcomes = Counter(await stack.outcomes())
        texts = Counter(one.content.text for one in found)
        replaced = Counter(one.replaces for one in found if one.replaces)
        verdict = Verdict(answers=len(found))
        if texts[ORDERED] != count or len(replaced) != count:
            verdict.accuse("once", 0, "orders", f"{texts[ORDERED]} of {count} presses")
        if outcomes["answers.roastery.click", "done"] != count or len(outcomes) != 2:
            verdict.accuse("once", 0, "outcomes", str(outcomes))
        for one in customer.wrong:
            verdict.accuse("once", 0, "press", one)
        record(
            "presses of cards; the unit and the decision worker killed (-9) at their fault points",
            Outcome(verdict=verdict, measured=Measured(requests=count + customer.repeated)),
            note=f"{count:,} distinct presses, {customer.repeated:,} of them twice; as many orders",
        )  # fmt: skip
        assert verdict.broken == 0, verdict
