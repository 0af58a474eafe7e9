"""The contract of channels, on those there are."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from deployment_units.services.channels.mail_out import MailOut, MailRelay
from deployment_units.services.channels.port import (
    OutgoingChannel,
    OutgoingMessage,
    SendOutcome,
    SendResult,
)
from deployment_units.services.channels.push import Push, read_allowed
from deployment_units.services.channels.sip_message import SipMessage
from deployment_units.services.channels.text_link import TextLink
from tests.support.contracts.outgoing_channel_contract import OutgoingChannelContract
from tests.support.fakes.push_service import PushService
from tests.support.fakes.sip_line import SipLine
from tests.support.fakes.smtp_relay import SmtpRelay
from tests.support.fakes.telephones import Telephones
from tests.support.fakes.text_channel import TextChannel


class TestTextChannel(OutgoingChannelContract):
    address = "tel:+442079460018"
    no_address = "anna@mail.example"
    best = SendOutcome.DELIVERED

    async def sent(self, far: str, message: OutgoingMessage) -> tuple[SendResult, OutgoingChannel]:
        code = {"takes": 200, "refuses": 404, "busy": 486, "silent": None}[far]
        channel = TextChannel(answers={self.address: code})
        return await channel.send(message, within_s=5), channel


class TestMailOut(OutgoingChannelContract):
    address = "anna@mail.example"
    no_address = "tel:+442079460018"
    best = SendOutcome.HANDED_OVER

    async def sent(self, far: str, message: OutgoingMessage) -> tuple[SendResult, OutgoingChannel]:
        relay = SmtpRelay(
            refuses={"refuses": "550 5.1.1 nobody", "busy": "451 4.7.1 later"}.get(far, ""),
            ends=None if far == "silent" else "250 2.0.0 queued as 4F3",
        )
        async with relay:
            host, port = relay.address
            channel = MailOut(
                MailRelay(host=host, port=port), host="talk.example", wall_ms=lambda: 0
            )
            return await channel.send(message, within_s=5), channel


class TestPush(OutgoingChannelContract):
    address = "ntfy://127.0.0.1/anna"
    no_address = "anna@mail.example"
    best = SendOutcome.HANDED_OVER

    async def sent(self, far: str, message: OutgoingMessage) -> tuple[SendResult, OutgoingChannel]:
        status = {"takes": 200, "refuses": 403, "busy": 503, "silent": 504}[far]
        async with PushService(status=status) as service:
            address = message.address.replace("127.0.0.1", f"127.0.0.1:{service.port}")
            channel = Push(read_allowed("ntfy=127.0.0.1"))
            result = await channel.send(replace(message, address=address), within_s=20)
            channel.close()
        return result, channel


class TestSipMessage(OutgoingChannelContract):
    address = "tel:+442079460018"
    no_address = "anna@mail.example"
    best = SendOutcome.DELIVERED

    async def sent(self, far: str, message: OutgoingMessage) -> tuple[SendResult, OutgoingChannel]:
        code = {"takes": 200, "refuses": 404, "busy": 480, "silent": 408}[far]
        line = SipLine(code)
        channel = SipMessage(line.send, number="+442079460100", clock=lambda: 0.0)
        return await channel.send(message, within_s=20), channel


class TestTextLink(OutgoingChannelContract):
    address = "tel:+442079460018"
    no_address = "anna@mail.example"
    best = SendOutcome.DELIVERED

    async def sent(self, far: str, message: OutgoingMessage) -> tuple[SendResult, OutgoingChannel]:
        code = {"takes": 200, "refuses": 404, "busy": 480, "silent": None}[far]
        telephones = Telephones(answers={"+442079460018": code}, hangs_up=True)
        async with telephones:
            channel = TextLink(
                "127.0.0.1", telephones.port, number="+442079460100", jitter=lambda: 0.0
            )
            running = asyncio.create_task(channel.run())
            try:
                await asyncio.wait_for(channel.connected.wait(), 30)
                return await channel.send(message, within_s=20), channel
            finally:
                running.cancel()
