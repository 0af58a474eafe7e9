"""A relay that is away while messages are sent by mail, and a unit that is killed (-9) meanwhile:
nothing is lost, nothing is there twice, and what is said of it is what is known."""

from __future__ import annotations

import asyncio
import email
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import policy
from pathlib import Path
from typing import Any

import grpc
import pytest

from console.local.etcd_process import free_ports
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc, delivery_pb2, delivery_pb2_grpc
from tests.support.agent_processes import fake_fleet, unit_agent
from tests.support.fakes.smtp_relay import SmtpRelay

WAIT_S = 90.0
MAILS = 5
CARLA = "mailto:carla@mail.example"


class Anna:
    """A client of the unit."""

    def __init__(self, channel: grpc.aio.Channel, ticket: str) -> None:
        self._talks: Any = conversation_pb2_grpc.ConversationServiceStub(channel)
        self._deliveries: Any = delivery_pb2_grpc.DeliveryServiceStub(channel)
        self._to: Any = {
            "metadata": (("authorization", f"Bearer {ticket}"),),
            "timeout": WAIT_S,
            "wait_for_ready": True,
        }

    async def writes(self, number: int) -> None:
        request = pb.SendMessageRequest(
            conversation=b"c" * 16, id=number.to_bytes(16, "big"), members=[CARLA],
            content=pb.Content(text=f"Beans {number}"),
        )  # fmt: skip
        await self._talks.SendMessage(request, **self._to)

    async def sees(self, state: int, *, last_failed: bool) -> list[delivery_pb2.Delivery]:
        """All deliveries, once each has the state, and been tried: all attempts but the last one
        failed, and that one as is said. How many there are by then is up to the machine."""
        async with asyncio.timeout(WAIT_S):
            while True:
                asked = delivery_pb2.ListDeliveriesRequest()
                found = list((await self._deliveries.ListDeliveries(asked, **self._to)).deliveries)
                outcomes = [[each.failed for each in one.attempts] for one in found]
                if {one.state for one in found} == {state} and all(
                    tried and all(tried[:-1]) and tried[-1] == last_failed for tried in outcomes
                ):
                    return found
                await asyncio.sleep(0.05)

    async def redrives(self, message: bytes) -> None:
        request = delivery_pb2.RedriveRequest(message=message, recipient=CARLA)
        assert (await self._deliveries.Redrive(request, **self._to)).redriven


@asynccontextmanager
async def anna_at(endpoint: str, ticket: str) -> AsyncIterator[Anna]:
    async with grpc.aio.insecure_channel(endpoint) as channel:
        yield Anna(channel, ticket)


@pytest.mark.slow
async def test_nothing_is_lost_or_twice_while_the_relay_is_away(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    arguments = (
        f"--state-dir={tmp_path / 'state'}", "--accounts", "--mail-domain=talk.example",
        f"--mail-relay=127.0.0.1:{port}",
    )  # fmt: skip
    fleet = fake_fleet()
    ticket = fleet.issuer.issue("dublin", "default", "anna", 1, time.time(), 600)
    async with fleet.serving() as server:
        async with (
            unit_agent(tmp_path, server, arguments=arguments, killed=True) as endpoint,
            anna_at(endpoint, ticket) as anna,
        ):
            for number in range(MAILS):
                await anna.writes(number)
            waiting = await anna.sees(delivery_pb2.DELIVERY_STATE_ROUTED, last_failed=True)
        for one in waiting:
            assert one.HasField("next_time"), "it will be tried again, and says when"
        async with (
            unit_agent(tmp_path, server, arguments=arguments) as endpoint,
            anna_at(endpoint, ticket) as anna,
        ):
            waiting = await anna.sees(delivery_pb2.DELIVERY_STATE_ROUTED, last_failed=True)
            assert len(waiting) == MAILS
            async with SmtpRelay(port=port) as relay:
                for one in waiting:
                    await anna.redrives(one.message)
                await anna.sees(delivery_pb2.DELIVERY_STATE_HANDED_OVER, last_failed=False)
    mails = [email.message_from_bytes(raw, policy=policy.default) for _, raw in relay.messages]
    assert len(mails) == MAILS
    assert set(Counter(mail["Message-ID"] for mail in mails).values()) == {1}
    texts = {mail.get_body(("plain",)).get_content().strip() for mail in mails}  # type: ignore[union-attr]
    assert texts == {f"Beans {number}" for number in range(MAILS)}
