"""An agent that sends and takes mail and texts, over real sockets, with its child processes."""

from __future__ import annotations

import asyncio
import email
import time
from email import policy
from pathlib import Path

import aiosmtplib
import grpc
import pytest

from deployment_units.agent.settings import AgentSettings
from deployment_units.agent.wiring import ServingUnits, run_agents
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import conversation_pb2_grpc
from tests.support.agent_processes import fake_fleet
from tests.support.fakes.smtp_relay import SmtpRelay
from tests.support.fakes.telephones import Telephones

WAIT_S = 90.0
CARLA, DEV = "mailto:carla@mail.example", "tel:+442079460302"


@pytest.mark.slow
async def test_one_message_by_mail_and_text_and_both_answers(tmp_path: Path) -> None:
    stop, ready = asyncio.Event(), asyncio.Future[ServingUnits]()
    fleet = fake_fleet()
    async with fleet.serving() as server, SmtpRelay() as relay, Telephones() as telephones:
        settings = AgentSettings(
            unit="u", server=server, state_dir=tmp_path, accounts=True,
            smtp_listen="127.0.0.1:0", mail_domain="talk.example", mail_trusted="127.0.0.1",
            mail_relay=f"127.0.0.1:{relay.address[1]}",
            text_line=f"127.0.0.1:{telephones.port}", text_number="+442079460100",
        )  # fmt: skip
        running = asyncio.create_task(run_agents(settings, stop=stop, on_ready=ready.set_result))
        try:
            async with asyncio.timeout(WAIT_S):
                units = await ready
                await telephones.connected.wait()
                async with grpc.aio.insecure_channel(units.endpoints["u"]) as channel:
                    stub = conversation_pb2_grpc.ConversationServiceStub(channel)
                    ticket = fleet.issuer.issue("u", "default", "anna", 1, time.time(), 600)
                    shown = (("authorization", f"Bearer {ticket}"),)
                    await stub.SendMessage(
                        pb.SendMessageRequest(
                            conversation=b"c" * 16,
                            id=b"1" * 16,
                            members=[CARLA, DEV],
                            content=pb.Content(text="Coming?"),
                        ),
                        metadata=shown,
                    )
                    assert await telephones.got(DEV[4:]) == [("+442079460100", "Coming?")]
                    await relay.taken.wait()
                    ((to, raw),) = relay.messages
                    mail = email.message_from_bytes(raw, policy=policy.default)
                    assert to == "carla@mail.example"
                    reply_to = mail["From"].addresses[0].addr_spec
                    _, said = await aiosmtplib.send(
                        "From: carla@mail.example\r\nIn-Reply-To: "
                        + mail["Message-ID"] + "\r\nAuthentication-Results: talk.example; "
                        "dkim=pass header.d=mail.example\r\n\r\nYes.\r\n\r\n> Coming?\r\n",
                        sender="carla@mail.example", recipients=[reply_to],
                        hostname="127.0.0.1", port=int(units.mail["u"].rpartition(":")[2]),
                        timeout=60,
                    )  # fmt: skip
                    assert said == "2.0.0 kept"
                    assert await telephones.write(DEV[4:], "+442079460100", "No") == 200
                    listed = await stub.ListMessages(
                        pb.ListMessagesRequest(conversation=b"c" * 16), metadata=shown
                    )
        finally:
            stop.set()
            await asyncio.wait_for(running, WAIT_S)
    mine, by_mail, by_text = listed.messages
    assert (by_mail.sender, by_mail.content.text) == (CARLA, "Yes.")
    assert by_mail.content.by_mail.verified
    assert by_mail.content.in_reply_to == mine.id
    assert (by_text.sender, by_text.content.text) == (DEV, "No")
