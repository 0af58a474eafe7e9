"""Letters: an invitation to somebody who has no account, by mail or as a text message.

Sent apart from conversations, so that the inviter is not shown whether there was one: that would
tell which addresses have accounts. An answer to the mail comes to the inviter like any other.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from control_plane.errors import InvalidInput
from deployment_units.services.channels import mail_kept
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import (
    OutgoingChannel,
    OutgoingMessage,
    SendOutcome,
    SendResult,
)
from deployment_units.services.channels.reply_tokens import ReplyOwner
from deployment_units.services.invites.invite import InviteRow, talk_of
from deployment_units.services.invites.wording import letter_subject, letter_text, short_letter

SEND_S = 20.0
_CHANNELS = {"mailto:": Channel.MAIL, "tel:": Channel.TEXT}
DONE = frozenset({SendOutcome.HANDED_OVER, SendOutcome.DELIVERED, SendOutcome.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Of one unit. channels: over which it sends; host: the domain of its mail; number: from which
    texts are sent; client: the address of the web client, each empty: there is none; new_key: 32
    random bytes."""

    channels: Mapping[Channel, OutgoingChannel]
    host: str
    number: str
    client: str
    new_key: Callable[[], bytes]

    def channel_of(self, row: InviteRow) -> OutgoingChannel | None:
        """None: this unit sends nothing to such an address."""
        scheme = row.uri[: row.uri.find(":") + 1]
        return self.channels.get(_CHANNELS[scheme]) if scheme in _CHANNELS else None

    def compose(
        self, db: sqlite3.Connection, owner: int, account: str, inviter: str, row: InviteRow
    ) -> OutgoingMessage:
        """inviter: what the account is called. Inside the transaction that notes that it goes."""
        address = row.uri.partition(":")[2]
        if not row.uri.startswith("mailto:"):
            text = short_letter(inviter, row, self.client)
            return OutgoingMessage(
                message_id=f"invite-{row.id}", attempt_id=f"invite-{row.id}-{row.tries}",
                address=address, text=text, texts=(text,), reply_address=self.number,
            )  # fmt: skip
        whose = ReplyOwner(conversation=talk_of(row.id), participant=row.uri, address=address)
        return OutgoingMessage(
            message_id=f"invite-{row.id}",
            attempt_id=f"invite-{row.id}-{row.tries}",
            address=address,
            text=letter_text(inviter, row, self.client),
            subject=letter_subject(row),
            sender_name=inviter,
            reply_address=mail_kept.address_for_replies(
                db, owner, whose, account=account, host=self.host, new_key=self.new_key
            ),
        )

    async def send(self, channel: OutgoingChannel, message: OutgoingMessage) -> SendResult:
        """Ends within SEND_S, or little later."""
        try:
            async with asyncio.timeout(SEND_S + 5.0):
                return await channel.send(message, within_s=SEND_S)
        except InvalidInput as error:
            return SendResult(SendOutcome.REFUSED, error.message)
        except TimeoutError:
            return SendResult(SendOutcome.UNKNOWN, "the channel did not answer in time")
