"""Customers of an application that answers what they write with a card: they press its button, of
three cards in ten more than once, and count what they pressed. The unit may be gone in between."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.answering_stack import AnsweringStack, Person

REPEATED = 0.3  # of the presses
PAGE = 100
PAUSE_S = 0.1  # between two looks for cards, of one customer
KEPT_CARDS = 50  # that may be pressed again later


@dataclass(slots=True)
class Orders:
    """What all customers pressed. least: so many presses together, and then until it is over."""

    least: int
    stuck_s: float  # a customer who waits so long for a card fails
    over: asyncio.Event = field(default_factory=asyncio.Event)
    pressed: int = 0
    repeated: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def wanted(self) -> bool:
        return self.pressed < self.least or not self.over.is_set()


class Customer:
    """Writes, presses a button of each card that comes back, and counts; from several tasks.
    pressed: distinct presses."""

    def __init__(self, stack: AnsweringStack, account: str, orders: Orders, seed: int) -> None:
        self.person = Person(stack, account)
        self.talk = hashlib.sha256(account.encode()).digest()[:16]
        self.pressed = 0
        self.found: list[pb.Message] = []  # of the conversation, in order
        self._orders = orders
        self._rng = random.Random(seed)
        self._cards: dict[bytes, asyncio.Future[bytes]] = {}
        self._before: list[tuple[bytes, bytes]] = []  # cards, and the presses that count

    async def read(self) -> None:
        """Reads on, and finds the cards that answer what was written, until cancelled."""
        while True:
            if not await self.read_on():
                await asyncio.sleep(PAUSE_S)

    async def read_on(self) -> bool:
        """The next page; whether there is more."""
        after = self.found[-1].position if self.found else 0
        request = pb.ListMessagesRequest(conversation=self.talk, page_size=PAGE, after=after)
        page = await self.person.call("ListMessages", request)
        for one in page.messages:
            waiting = self._cards.pop(one.content.in_reply_to, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(one.id)
        self.found += page.messages
        return bool(page.more)

    async def order(self) -> None:
        """One order after another, as long as any are wanted."""
        while self._orders.wanted:
            message, press = self._rng.randbytes(16), self._rng.randbytes(16)
            card = self._cards[message] = asyncio.get_running_loop().create_future()
            await self.person.write(self.talk, message, "Good morning", ["roastery"])
            async with asyncio.timeout(self._orders.stuck_s):
                await card
            self.pressed += 1
            self._orders.pressed += 1
            if self._rng.random() < REPEATED:
                self._orders.repeated += 1
                counts = await self._press_often(card.result(), press)
            else:
                counts = await self._press(card.result(), press)
                self._expect(counts, press)
            self._before = [*self._before, (card.result(), counts)][-KEPT_CARDS:]

    async def _press_often(self, card: bytes, press: bytes) -> bytes:
        """Once more by the same press, by another one, by another one at the same time, or of a
        card that was pressed a while ago. Answers the press that counts."""
        other = self._rng.randbytes(16)
        match self._rng.randrange(4):
            case 0:
                again = [await self._press(card, press), await self._press(card, press)]
            case 1:
                again = [await self._press(card, press), await self._press(card, other)]
            case 2:  # two devices: one of them is first
                both = await asyncio.gather(self._press(card, press), self._press(card, other))
                self._expect(both[0], *both)
                press = both[0] if both[0] in (press, other) else press
                again = list(both)
            case _:
                again = [await self._press(card, press)]
                if self._before:
                    old, counted = self._rng.choice(self._before)
                    self._expect(await self._press(old, other), counted)
        for one in again:
            self._expect(one, press)
        return press

    async def _press(self, card: bytes, press: bytes) -> bytes:
        answer = await self.person.click(card, "order", press, amount="1")
        counts: bytes = answer.press
        return counts

    def _expect(self, counts: bytes, *presses: bytes) -> None:
        if any(one != counts for one in presses):
            told = ", ".join(one.hex() for one in presses)
            self._orders.wrong.append(f"{told} counts as {counts.hex()}")


@asynccontextmanager
async def ordering(
    stack: AnsweringStack, orders: Orders, *, customers: int, at_once: int
) -> AsyncIterator[list[Customer]]:
    """Customers who order inside, each so many times at once. Leaving it says that it is over, and
    waits for what is under way."""
    crowd = [Customer(stack, f"customer-{number}", orders, number) for number in range(customers)]
    begun: list[asyncio.Task[None]] = []
    try:
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(one.read()) for one in crowd]
            begun += reading
            async with asyncio.TaskGroup() as inner:
                for one in crowd:
                    begun += [inner.create_task(one.order()) for _ in range(at_once)]
                yield crowd
                orders.over.set()
            for task in reading:
                task.cancel()
    finally:
        for task in begun:
            task.cancel()
        for one in crowd:
            await one.person.close()
