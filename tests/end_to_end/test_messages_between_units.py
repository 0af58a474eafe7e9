"""Two agents and a server as processes: a message and its receipt travel by themselves, also where
the sender's agent is killed (-9) once the message is there and before it has noted so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from console.cli.main import main
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc, delivery_pb2, delivery_pb2_grpc
from tests.support import servers
from tests.support.agent_processes import somebody_at, unit_agent

WAIT_S = 60.0
TALK = b"conversation-one"


@asynccontextmanager
async def called(endpoint: str, ticket: str) -> AsyncIterator[tuple[Any, Any, dict[str, Any]]]:
    """Conversations and deliveries at a unit, and how they are called with the ticket."""
    shown = (("authorization", f"Bearer {ticket}"),)
    async with grpc.aio.insecure_channel(endpoint) as channel:
        yield (
            conversation_pb2_grpc.ConversationServiceStub(channel),
            delivery_pb2_grpc.DeliveryServiceStub(channel),
            {"metadata": shown, "timeout": WAIT_S, "wait_for_ready": True},
        )


async def state_of(deliveries: Any, to: dict[str, Any], wanted: int) -> delivery_pb2.Delivery:
    """The one delivery of the message, once it has the state."""
    async with asyncio.timeout(WAIT_S):
        while True:
            request = delivery_pb2.ListDeliveriesRequest(message=bytes(16))
            (one,) = (await deliveries.ListDeliveries(request, **to)).deliveries
            if one.state == wanted:
                return one
            await asyncio.sleep(0.05)


async def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What `homeport deliveries` prints."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(main, ["deliveries", *words])
    assert not ended.value.code
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
async def test_a_message_and_its_receipt_also_where_the_agent_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = (f"--state-dir={tmp_path / 'state'}", "--accounts")
    with ExitStack() as stack:
        (server,) = servers.start(stack, tmp_path, f"embedded:{tmp_path / 'store.db'}", 1)
        at = server.address
        async with unit_agent(tmp_path, at, unit="virginia", arguments=state) as virginia:
            async with unit_agent(
                tmp_path, at, arguments=state, fault_point="outbox.sent.after:1"
            ) as dublin:
                anna, annas_ticket = await somebody_at(at, "dublin")
                ben, bens_ticket = await somebody_at(at, "virginia")
                async with called(dublin, annas_ticket) as (talks, _, to):
                    sent = await talks.SendMessage(
                        pb.SendMessageRequest(
                            conversation=TALK, id=bytes(16), members=[ben],
                            content=pb.Content(text="hello"),
                        ),
                        **to,
                    )  # fmt: skip
                    assert list(sent.elsewhere) == [ben]
            async with (
                unit_agent(tmp_path, at, arguments=state) as dublin,
                called(dublin, annas_ticket) as (_, deliveries, annas),
                called(virginia, bens_ticket) as (talks, _, bens),
            ):
                await state_of(deliveries, annas, delivery_pb2.DELIVERY_STATE_HANDED_OVER)
                listed = await talks.ListMessages(pb.ListMessagesRequest(conversation=TALK), **bens)
                (one,) = listed.messages  # brought twice, and kept once
                assert (one.sender, one.content.text) == (anna, "hello")
                seen = pb.MarkSeenRequest(conversation=TALK, device="laptop", position=one.position)
                await talks.MarkSeen(seen, **bens)
                await state_of(deliveries, annas, delivery_pb2.DELIVERY_STATE_SEEN)
                where = (f"--server={at}", "-o", "json")
                listed = await told(capsys, "list", anna, *where)
                assert [one["state"] for one in listed["deliveries"]] == ["seen"]
                assert not (await told(capsys, "redrive", anna, "0" * 32, ben, *where))["redriven"]
                rules = tmp_path / "rules.yaml"
                rules.write_text("never: [push]\n")
                applied = await told(capsys, "rules", ben, f"--apply={rules}", *where)
                assert applied == {"revision": 1, "document": {"never": ["push"]}}
                explained = await told(capsys, "explain", ben, f"--from={anna}", *where)
                assert [one["channel"] for one in explained["steps"]] == ["in_app"]
