"""ScriptedChannel: an OutgoingChannel that answers as it is told to."""

from __future__ import annotations

from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import OutgoingMessage, SendOutcome, SendResult

TAKEN = SendResult(SendOutcome.HANDED_OVER, "250 2.0.0 queued as 4F3")
THERE = SendResult(SendOutcome.DELIVERED, "200 OK")
LATER = SendResult(SendOutcome.NOT_NOW, "451 try again")
NEVER = SendResult(SendOutcome.REFUSED, "550 nobody here")
SILENT = SendResult(SendOutcome.UNKNOWN, "no answer")
AWAY = SendResult(SendOutcome.NOT_NOW, "nobody is there", channel_up=False)


class ScriptedChannel:
    """Answers with these in turn, and then with the last one for ever. sent: what it was given."""

    def __init__(self, channel: Channel, *answers: SendResult, duplicates: bool = True) -> None:
        self.channel = channel
        self.knows_duplicates = duplicates
        self._answers = list(answers)
        self.sent: list[OutgoingMessage] = []

    async def send(self, message: OutgoingMessage, *, within_s: float) -> SendResult:
        self.sent.append(message)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
