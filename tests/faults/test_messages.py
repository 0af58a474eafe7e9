"""People of two units write to each other while both units die at every point of a message's way,
and a provisioning server dies, too: each message is there once, in its order, and each sender knows
that it was seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from homeport.api.communication.v1 import conversation_pb2 as talk
from homeport.api.communication.v1 import conversation_pb2_grpc as talk_grpc
from homeport.api.communication.v1 import delivery_pb2 as told
from homeport.api.communication.v1 import delivery_pb2_grpc as told_grpc
from tests.support.account_writers import AGAIN
from tests.support.agent_processes import ticket_at, unit_agent
from tests.support.fault_harness import Outcome, fault_harness
from tests.support.measurements import Measured

FAST = ("--heartbeat-interval=10", "--election-timeout=100")
LIVES = {
    "dublin": ("message.kept.after:7", "outbox.sent.after:7"),
    "virginia": ("outbox.sent.before:7", "receipt.kept.before:4"),
}
EACH = 2  # people of a unit
PAUSE_S, CALL_S, WAIT_S = 0.1, 5.0, 150.0


@dataclass(slots=True)
class Person:
    """Somebody at home in a unit, who writes to one of the other."""

    place: int
    unit: str
    account: str
    ticket: str
    sent: int = 0

    def message(self, number: int) -> bytes:
        return bytes([self.place]) + number.to_bytes(15, "big")

    @property
    def conversation(self) -> bytes:
        return bytes([self.place]) * 16


@dataclass(slots=True)
class People:
    """endpoints: of units, as they are now."""

    endpoints: dict[str, str] = field(default_factory=dict)
    everybody: list[Person] = field(default_factory=list)
    measured: Measured = field(default_factory=Measured)

    def partner(self, of: Person) -> Person:
        return self.everybody[(of.place + EACH) % len(self.everybody)]

    async def ask(self, person: Person, stub: Any, method: str, request: Any) -> Any:
        """Until it is answered."""
        self.measured.requests += 1
        end = time.monotonic() + WAIT_S
        while True:
            try:
                async with grpc.aio.insecure_channel(self.endpoints[person.unit]) as channel:
                    return await getattr(stub(channel), method)(
                        request, timeout=CALL_S,
                        metadata=(("authorization", f"Bearer {person.ticket}"),),
                    )  # fmt: skip
            except grpc.aio.AioRpcError as error:
                if error.code() not in AGAIN or time.monotonic() > end:
                    self.measured.failed += 1
                    raise
            await asyncio.sleep(PAUSE_S)

    async def write(self, person: Person, over: Callable[[], bool]) -> None:
        while not over():
            request = talk.SendMessageRequest(
                conversation=person.conversation, id=person.message(person.sent),
                members=[self.partner(person).account],
                content=talk.Content(text=f"{person.account} says {person.sent}"),
            )  # fmt: skip
            await self.ask(person, talk_grpc.ConversationServiceStub, "SendMessage", request)
            person.sent += 1
            await asyncio.sleep(PAUSE_S)

    async def read(self, person: Person, conversation: bytes) -> list[talk.Message]:
        found: list[talk.Message] = []
        while True:
            request = talk.ListMessagesRequest(
                conversation=conversation, page_size=100, after=found[-1].position if found else 0
            )
            page = await self.ask(
                person, talk_grpc.ConversationServiceStub, "ListMessages", request
            )
            found += page.messages
            if not page.more:
                return found

    async def look(self, person: Person) -> None:
        """Shows what has come, again and again."""
        theirs = self.partner(person).conversation
        while True:
            if found := await self.read(person, theirs):
                request = talk.MarkSeenRequest(
                    conversation=theirs, device="laptop", position=found[-1].position
                )
                await self.ask(person, talk_grpc.ConversationServiceStub, "MarkSeen", request)
            await asyncio.sleep(PAUSE_S)

    async def states(self, person: Person) -> list[int]:
        """Of all deliveries of what the person wrote."""
        request = told.ListDeliveriesRequest(page_size=1_000)
        listed = await self.ask(person, told_grpc.DeliveryServiceStub, "ListDeliveries", request)
        return [one.state for one in listed.deliveries]

    async def all_seen(self, person: Person) -> bool:
        states = await self.states(person)
        return states == [told.DELIVERY_STATE_SEEN] * person.sent

    async def wrong(self, person: Person) -> list[str]:
        """Where what is kept on both sides is not what was written."""
        wanted = [person.message(number) for number in range(person.sent)]
        found = []
        for whose in (person, self.partner(person)):
            has = [one.id for one in await self.read(whose, person.conversation)]
            if has != wanted:
                found.append(
                    f"{person.account} wrote {len(wanted)}, {whose.account} has {len(has)}"
                )
        return found


async def until(done: Callable[[], Awaitable[bool]], what: str) -> None:
    end = time.monotonic() + WAIT_S
    while not await done():
        assert time.monotonic() < end, f"waited {WAIT_S:.0f} s for {what}"
        await asyncio.sleep(PAUSE_S)


async def settle(people: People, server: str) -> None:
    """People at home in each unit."""
    number = 0
    for unit in LIVES:
        here = 0
        while here < EACH:
            number += 1
            with suppress(grpc.aio.AioRpcError):  # the servers have to hear of the units
                if ticket := await ticket_at(server, f"client-{number}", unit):
                    here += 1
                    place = len(people.everybody)
                    people.everybody.append(Person(place, unit, f"client-{number}", ticket))


@pytest.mark.faults
@pytest.mark.timeout(400)
async def test_messages_between_units_that_die_anywhere(tmp_path: Path, record: Any) -> None:
    arguments = (f"--state-dir={tmp_path / 'state'}", "--accounts")
    people, over = People(), asyncio.Event()
    last_life: dict[str, asyncio.Event] = {unit: asyncio.Event() for unit in LIVES}
    async with fault_harness(tmp_path, members=1, arguments=FAST) as on:
        servers = [server.address for server in await on.serve(2)]

        async def live(unit: str) -> None:
            for point in LIVES[unit]:
                async with unit_agent(
                    tmp_path, *servers, unit=unit, arguments=arguments, fault_point=point,
                    killed_within_s=WAIT_S,
                ) as people.endpoints[unit]:  # fmt: skip
                    pass  # it ends with its death
            async with unit_agent(
                tmp_path, *servers, unit=unit, arguments=arguments
            ) as people.endpoints[unit]:
                last_life[unit].set()
                await over.wait()

        async def both_started() -> bool:
            return len(people.endpoints) == len(LIVES)

        async with asyncio.TaskGroup() as units:
            for unit in LIVES:
                units.create_task(live(unit))
            await until(both_started, "both units")
            await settle(people, servers[1])
            looking = [asyncio.ensure_future(people.look(one)) for one in people.everybody]
            on.servers[0].process.kill()
            writing = asyncio.gather(
                *(
                    people.write(one, lambda: all(life.is_set() for life in last_life.values()))
                    for one in people.everybody
                )
            )
            async with asyncio.timeout(WAIT_S):
                await writing
            for one in people.everybody:
                await until(lambda one=one: people.all_seen(one), f"receipts of {one.account}")
            wrong = [text for one in people.everybody for text in await people.wrong(one)]
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
            over.set()
        outcome = Outcome(verdict=(await on.verdict()).verdict, measured=people.measured)
    total = sum(one.sent for one in people.everybody)
    for text in wrong:
        outcome.verdict.accuse("messages", 0, "", text)
    record(
        "two units killed (-9) twice each on a message's way, and a provisioning server",
        outcome,
        note=f"{total:,} messages counted on both sides, all seen",
    )
    assert outcome.verdict.broken == 0, outcome.verdict
    assert outcome.measured.failed == 0
