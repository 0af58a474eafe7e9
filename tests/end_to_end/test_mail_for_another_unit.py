"""Two agents and a server as processes: mail to the unit at which its account does not live, which
is killed (-9) after it has said 250, and once more before it could."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiosmtplib
import grpc
import pytest

from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc, profile_pb2, profile_pb2_grpc
from tests.support import servers
from tests.support.agent_processes import somebody_at, unit_agent

WAIT_S = 60.0
CARLA = "carla@mail.example"


def mail_port(folder: Path, unit: str) -> int:
    told = json.loads((folder / f"{unit}.json").read_text())["mail"]
    return int(told[unit].rpartition(":")[2])


async def mail(port: int, to: str, text: str) -> str:
    """What was said to it."""
    content = (
        f"From: {CARLA}\r\nMessage-ID: <{text}@mail.example>\r\n"
        f"Authentication-Results: talk.example; dkim=pass header.d=mail.example\r\n\r\n{text}\r\n"
    )
    _, said = await aiosmtplib.send(
        content, sender=CARLA, recipients=[to], hostname="127.0.0.1", port=port, timeout=WAIT_S
    )
    return str(said)


async def reached_by_mail(endpoint: str, to: dict[str, Any]) -> None:
    async with grpc.aio.insecure_channel(endpoint) as channel:
        profiles: Any = profile_pb2_grpc.ProfileServiceStub(channel)
        await profiles.ClaimHandle(profile_pb2.ClaimHandleRequest(handle="anna"), **to)
        everyone = profile_pb2.SetReachabilityRequest(
            mode=profile_pb2.MODE_MAIL, audience=profile_pb2.Audience(everyone=True)
        )
        await profiles.SetReachability(everyone, **to)


async def texts(endpoint: str, to: dict[str, Any]) -> list[tuple[str, bool]]:
    """Of all messages of the account, and whether their senders are vouched for."""
    async with grpc.aio.insecure_channel(endpoint) as channel:
        talks: Any = conversation_pb2_grpc.ConversationServiceStub(channel)
        found = (await talks.ListConversations(pb.ListConversationsRequest(), **to)).conversations
        lists = [
            await talks.ListMessages(pb.ListMessagesRequest(conversation=one.id), **to)
            for one in found
        ]
    contents = [one.content for each in lists for one in each.messages]
    return sorted((one.text, one.by_mail.verified) for one in contents)


@pytest.mark.slow
async def test_mail_is_neither_lost_nor_there_twice_where_who_took_it_is_killed(
    tmp_path: Path,
) -> None:
    arguments = (
        f"--state-dir={tmp_path / 'state'}", "--accounts", "--smtp-listen=127.0.0.1:0",
        "--mail-domain=talk.example", "--mail-trusted=127.0.0.1",
    )  # fmt: skip
    with ExitStack() as stack:
        (server,) = servers.start(stack, tmp_path, f"embedded:{tmp_path / 'store.db'}", 1)
        at = server.address
        async with unit_agent(tmp_path, at, arguments=arguments) as dublin:
            async with unit_agent(
                tmp_path,
                at,
                unit="virginia",
                arguments=arguments,
                fault_point="mail.handed.after:2",
            ):
                _, ticket = await somebody_at(at, "dublin")
                to = {"metadata": (("authorization", f"Bearer {ticket}"),), "timeout": WAIT_S}
                await reached_by_mail(dublin, to)
                wrong = mail_port(tmp_path, "virginia")
                with pytest.raises(aiosmtplib.SMTPRecipientsRefused):
                    await mail(wrong, "nobody@talk.example", "none")
                assert await mail(wrong, "anna@talk.example", "first") == "2.0.0 kept"
                with pytest.raises((aiosmtplib.SMTPException, OSError)):
                    await mail(wrong, "anna@talk.example", "second")
            assert await texts(dublin, to) == [("first", True), ("second", True)]
            right = mail_port(tmp_path, "dublin")  # the other host of the MX record
            for text in ("second", "third"):
                assert await mail(right, "anna@talk.example", text) == "2.0.0 kept"
            assert await texts(dublin, to) == [("first", True), ("second", True), ("third", True)]
