"""TextChannel: text messages to telephones that are lists, where SIP or a carrier would be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from control_plane.errors import InvalidInput
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import OutgoingMessage, SendOutcome, SendResult


@dataclass
class TextChannel:
    """answers: by number, what its end says in place of 200: a code, or None where it is silent
    and the message may have arrived. down: nobody can be reached at all."""

    answers: dict[str, int | None] = field(default_factory=dict)
    down: bool = False
    telephones: dict[str, list[str]] = field(default_factory=dict)
    channel = Channel.TEXT
    knows_duplicates = False

    async def send(self, message: OutgoingMessage, *, within_s: float) -> SendResult:
        """See OutgoingChannel."""
        if not message.address.startswith("tel:+"):
            raise InvalidInput("address", "address: is no number, as tel:+442079460018")
        await asyncio.sleep(0)
        if self.down:
            return SendResult(SendOutcome.NOT_NOW, "503 Service Unavailable")
        code = self.answers.get(message.address, 200)
        if code is None:
            return SendResult(SendOutcome.UNKNOWN, "408 Request Timeout")
        if code == 200:
            shown = self.telephones.setdefault(message.address, [])
            shown += message.texts or (message.text,)
            return SendResult(SendOutcome.DELIVERED, "200 OK")
        outcome = SendOutcome.NOT_NOW if code in (480, 486, 503) else SendOutcome.REFUSED
        return SendResult(outcome, f"{code}")
