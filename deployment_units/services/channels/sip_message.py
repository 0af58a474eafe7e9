"""SipMessage: text messages as SIP's own (RFC 3428), through the unit's call server.

What is known of one is the status that the far side answered with, and no more: 200 is its word
that the text is there. What left and was not answered may have arrived, so it is not sent again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from control_plane.errors import InvalidInput
from control_plane.identifiers.identifier import Flaw, IdentifierKind
from control_plane.identifiers.uris import read_uri
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import OutgoingMessage, SendOutcome, SendResult
from deployment_units.services.channels.text_link import outcome_of

MOST_BYTES = 1_300  # of one over UDP: RFC 3428, 8
MOST_TEXTS = 10


class SendSip(Protocol):
    """Of a call server. The status of the far side, 408 where it said nothing; None: there is no
    call server right now, and nothing was sent. target, shown: E.164."""

    def __call__(
        self, target: str, shown: str | None, text: str, *, within_s: float
    ) -> Awaitable[int | None]: ...


class SipMessage:
    """send: of the unit's call server; number: ours, +44…, from which texts go; clock: monotonic
    seconds."""

    channel = Channel.TEXT
    knows_duplicates = False

    def __init__(self, send: SendSip, *, number: str, clock: Callable[[], float]) -> None:
        self._send = send
        self._number = number
        self._clock = clock

    async def send(self, message: OutgoingMessage, *, within_s: float) -> SendResult:
        """See OutgoingChannel. A text in several messages is there when all are."""
        address = message.address
        to = read_uri(f"tel:{address}" if address.startswith("+") else address)
        if isinstance(to, Flaw) or to.kind is not IdentifierKind.PHONE:
            raise InvalidInput("address", "address: is no number, as tel:+442079460018")
        texts = list(message.texts or (message.text,))
        whole = "".join(texts)
        if len(whole.encode()) <= MOST_BYTES:
            texts = [whole]
        if len(texts) > MOST_TEXTS or any(len(one.encode()) > MOST_BYTES for one in texts):
            raise InvalidInput("text", f"text: has more than {MOST_BYTES:,} bytes")
        until = self._clock() + within_s
        result = SendResult(SendOutcome.NOT_NOW, "there is no call server right now")
        for number, text in enumerate(texts):
            left = max(until - self._clock(), 0.0)
            result = _result(await self._send(to.normal, self._number, text, within_s=left))
            if result.outcome is not SendOutcome.DELIVERED:
                if number:  # some of it is there, and would be again
                    return SendResult(SendOutcome.UNKNOWN, f"a part of it: {result.words}")
                return result
        return result


def _result(status: int | None) -> SendResult:
    if status is None:
        return SendResult(SendOutcome.NOT_NOW, "there is no call server right now")
    if status == 408:
        return SendResult(SendOutcome.UNKNOWN, "no answer from the far side")
    return SendResult(outcome_of(status), f"{status} from the far side")
