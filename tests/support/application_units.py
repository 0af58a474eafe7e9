"""A unit whose roastery is answered for by a program: its accounts, its agent of applications, and
a data-sharing service in memory."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from control_plane.identity.tickets import TicketIssuer
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.applications.agent import ApplicationAgent
from deployment_units.services.applications.outcome_follower import OutcomeFollower
from deployment_units.services.applications.publishing import MOST_PASSED, Publishing
from deployment_units.services.applications.residents import Residents
from deployment_units.services.cards.replies import SCHEMA
from deployment_units.services.conversations.message import NewMessage
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT, AccountUnit, an_issuer
from tests.support.cards import document_of, submit
from tests.support.fakes.data_sharing import FakeDataSharing

TALK = b"conversation-one"
ORDER = submit("Order", id="order", data={"sku": "yirga"}, associatedInputs="none")
MORE = submit("More", id="more", once="repeat", associatedInputs="none")


def said(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"schema": SCHEMA, "messages": list(messages)}


def offers_and_orders(event: Any) -> dict[str, Any]:
    """A card for a message; and for a press, that it was ordered."""
    data = event.data
    if "press" not in data:
        card = document_of(actions=[ORDER, MORE])
        talk = data["conversation"]
        return said({"conversation": talk, "text": "an offer", "card": card})
    return said({"conversation": data["conversation"], "text": f"ordered {data['number']}"})


class ApplicationUnit(AccountUnit):
    """An AccountUnit of which the accounts of `sharing` are applications."""

    def __init__(
        self, unit_id: str, folder: Path, issuer: TicketIssuer, sharing: FakeDataSharing
    ) -> None:
        super().__init__(unit_id, folder, issuer, press_doors=self)
        self.sharing = sharing
        self.residents = Residents(self.database)
        self.publishing = self.new_publishing()
        self.follower = OutcomeFollower(self.accounts, self.residents, self.checks, self.send_reply)
        self.agent = ApplicationAgent(
            self.residents, sharing, self.publishing, self.follower, self.arrivals,
            tenants=[TENANT], monotonic=asyncio.get_running_loop().time, jitter=lambda: 0.0,
            addresses_s=0.01, look_s=0.02,
        )  # fmt: skip

    def new_publishing(self, *, most_passed: int = MOST_PASSED) -> Publishing:
        """One that remembers nothing, as after a restart."""
        return Publishing(
            self.accounts, self.residents, self.sharing, self.checks, self.send_reply,
            most_passed=most_passed,
        )  # fmt: skip

    def send_reply(
        self, db: sqlite3.Connection, owner: int, resident: Resident, message: NewMessage
    ) -> object:
        return self.sender.send(db, owner, resident, message)

    def answers_for(self, tenant: str, account: str) -> bool:
        return self.agent.answers_for(tenant, account)

    def kept(self, tenant: str, account: str) -> None:
        self.agent.kept(tenant, account)

    async def enter(self, *accounts: str) -> None:
        for account in accounts:
            resident = Resident(tenant=TENANT, account=account, epoch=1)
            await self.accounts.change(resident, lambda db, owner: None)

    async def write(self, account: str, number: int, text: str = "hello") -> None:
        """A message to the roastery."""
        request = pb.SendMessageRequest(
            conversation=TALK, id=number.to_bytes(16, "big"), content=pb.Content(text=text),
            members=sorted({"anna", "ben", "roastery"} - {account}),
        )  # fmt: skip
        await self.conversations.SendMessage(request, self.by_ticket(account))

    async def read(self, account: str, epoch: int = 1) -> list[pb.Message]:
        ask = pb.ListMessagesRequest(conversation=TALK, page_size=100)
        page = await self.conversations.ListMessages(ask, self.by_ticket(account, epoch))
        return list(page.messages)

    async def card(self, account: str) -> pb.Message:
        """The newest message with a card, once there is one."""
        found: list[pb.Message] = []

        async def there() -> bool:
            found[:] = [one for one in await self.read(account) if one.content.card]
            return bool(found)

        await until(there)
        return found[-1]


async def until(holds: Callable[[], Any], within_s: float = 30.0) -> None:
    """Waits for a condition."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - what it waits for is in a database
            await asyncio.sleep(0.005)


@asynccontextmanager
async def application_unit(
    folder: Path,
    sharing: FakeDataSharing,
    *,
    unit_id: str = "u",
    issuer: TicketIssuer | None = None,
    running: bool = True,
) -> AsyncIterator[ApplicationUnit]:
    """With the tasks of its agent, where it is running."""
    unit = ApplicationUnit(unit_id, folder, issuer or an_issuer(), sharing)
    tasks = [asyncio.create_task(unit.agent.run()), asyncio.create_task(unit.agent.hand_on())]
    if not running:
        for task in tasks:
            task.cancel()
    try:
        yield unit
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await unit.database.close()
        for one in ended:
            if isinstance(one, Exception):
                raise one
