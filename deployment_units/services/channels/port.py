"""OutgoingChannel: the port through which a unit hands a message to one way of delivering.

What the other side says is a result and no error: it is evidence, and goes into the delivery.
Adapters: `mail_out`, `text_link`, `push`, and one in the tests' fakes, under one contract suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from deployment_units.services.channels.channel import Channel


class SendOutcome(StrEnum):
    """What became of handing a message over, as far as is known at once."""

    HANDED_OVER = "handed_over"  # somebody else took charge of it
    DELIVERED = "delivered"  # the end answered
    REFUSED = "refused"  # for good; the same again will be refused again
    NOT_NOW = "not_now"  # surely not taken; later it may be
    UNKNOWN = "unknown"  # it left, and no answer came


class SendResult(NamedTuple):
    """words: the other side's own, or ours where it said nothing. channel_up: what it says of the
    channel itself, whoever is written to: False: it is not there, or lets nothing in; None: nothing
    of it, as where a telephone is off or somebody's own service is silent."""

    outcome: SendOutcome
    words: str
    channel_up: bool | None = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A message as one channel sends it, converted. message_id: of the message for this recipient,
    [A-Za-z0-9-], the same at every attempt, by which channels that know duplicates know them;
    attempt_id: of one attempt, likewise. texts: where a channel has more than one message for it.
    answers_to: message_ids of messages that it follows, the oldest first, and, with an '@', the
    Message-IDs of others' mails. automatic: a program wrote it;
    passed_on: it came to an account, which sends it on: to itself, or to other members."""

    message_id: str
    attempt_id: str
    address: str
    text: str
    html: str = ""
    texts: tuple[str, ...] = ()
    subject: str = ""
    sender_name: str = ""
    reply_address: str = ""
    answers_to: tuple[str, ...] = ()
    automatic: bool = False
    passed_on: bool = False


class OutgoingChannel(Protocol):
    """One adapter. knows_duplicates: whether a message whose outcome is unknown may be sent again
    under its id without being shown twice."""

    channel: Channel
    knows_duplicates: bool

    async def send(self, message: OutgoingMessage, *, within_s: float) -> SendResult:
        """Ends within so many seconds, whatever the other side does. Raises InvalidInput where
        the message cannot be sent over this channel at all."""
        ...
