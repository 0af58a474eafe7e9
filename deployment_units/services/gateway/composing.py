"""Composing: a message as one channel takes it, inside the transaction that notes the attempt.

Answers come back to where the message says: by mail to an address of the account's for that
conversation and recipient, by text to the unit's number.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from control_plane.errors import InvalidInput
from deployment_units.services.cards.action_tokens import ActionGrant
from deployment_units.services.channels import mail_kept, push_kept
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.message_links import link_to
from deployment_units.services.channels.port import OutgoingMessage
from deployment_units.services.channels.reply_tokens import ReplyOwner
from deployment_units.services.channels.text_kept import TextPlaceRow, note_text
from deployment_units.services.conversations.card_checks import Bringer, CardChecks
from deployment_units.services.conversations.card_links import key_for_links
from deployment_units.services.conversations.handling import NEVER_ELSEWHERE, decoded
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.gateway.card_mail import (
    LINK_MS,
    CardLetter,
    WrittenCard,
    with_card,
)
from deployment_units.services.gateway.convert.converting import (
    MOST_TEXT_MESSAGES,
    Content,
    Converted,
    TooLong,
    convert,
)
from deployment_units.services.gateway.convert.text_html import text_to_html
from deployment_units.services.gateway.mail_headers import (
    followed,
    message_id_of,
    name_of_sender,
    subject_of,
)
from deployment_units.services.gateway.read_html import ReadHtml
from deployment_units.services.gateway.route import RouteStep
from deployment_units.services.state.owners import Owner
from homeport.api.communication.v1 import conversation_pb2 as pb

TEXT_MESSAGES = 3  # of one message
AT_ONCE = 2_000  # characters of a text that are written as HTML on the event loop


class Composed(NamedTuple):
    """A message that is to be sent once `Composer.finish` has put its card into it; None: it has
    none, or the channel shows none. lost: of what was written, a word for each kind. by_mail: it
    has HTML, of its card, else of its text. whose: in whose turn."""

    message: OutgoingMessage
    letter: CardLetter | None
    lost: tuple[str, ...]
    by_mail: bool
    whose: Bringer


@dataclass(frozen=True, slots=True, kw_only=True)
class Composer:
    """Of one unit. host: the domain of our mail; number: from which texts are sent, E.164; either
    empty: there is none. pages, message_pages: address before the token of the page of a button,
    of a message; empty: there are none. checks: reads cards. new_key: 32 random bytes; wall_ms:
    Unix ms. html: what was read of messages that are HTML alone."""

    host: str = ""
    number: str = ""
    pages: str = ""
    message_pages: str = ""
    checks: CardChecks
    new_key: Callable[[], bytes]
    wall_ms: Callable[[], int]
    html: ReadHtml = field(default_factory=ReadHtml)

    async def prepare(self, owner: Owner, message: KeptMessage) -> None:
        """Reads beforehand what costs too much to be read in `compose`, in the account's turn."""
        content = pb.Content.FromString(message.content)
        if content.html and not content.text.strip():
            whose = Bringer(owner.tenant, owner.account)
            await self.html.prepare(content.html, self.checks, whose)

    def compose(
        self,
        db: sqlite3.Connection,
        owner: Owner,
        message: KeptMessage,
        recipient: str,
        step: RouteStep,
        attempt: int,
    ) -> Composed:
        """attempt: its number. Raises InvalidInput where the channel shows nothing of it."""
        content = pb.Content.FromString(message.content)
        made = self._converted(db, owner, message, recipient, step, content)
        reader = recipient or owner.account
        one = message_id_of(message.id, message.bringer, reader)
        sender = name_of_sender(db, owner, message)
        outgoing = OutgoingMessage(
            message_id=one,
            attempt_id=f"{one}-{attempt}",
            address=_address(db, owner, step),
            text=made.text,
            html=made.html,
            texts=tuple(part.text for part in made.messages.segments) if made.messages else (),
            subject=subject_of(db, owner, message, sender),
            sender_name=sender,
            reply_address=self._reply_address(db, owner, message, recipient, step),
            answers_to=followed(db, owner, message, reader),
            passed_on=bool(message.via) or not recipient,
        )
        whose, by_mail = Bringer(owner.tenant, owner.account), step.channel is Channel.MAIL
        letter, lost = None, made.lost
        if content.card and by_mail:
            letter = self._letter(db, owner, message, recipient, content.card)
        elif content.card:
            lost = (*lost, "card")
        return Composed(outgoing, letter, lost, by_mail, whose)

    def _converted(
        self,
        db: sqlite3.Connection,
        owner: Owner,
        message: KeptMessage,
        recipient: str,
        step: RouteStep,
        content: pb.Content,
    ) -> Converted:
        """A text that takes too many messages is cut to one, with a link to the page that shows all
        of it. Where there are no pages, and of a code or a secret, which is shown on none, it goes
        whole, in as many messages as telephones put together. Raises as `compose`."""
        written = Content(text=content.text, html=content.html)
        try:
            return convert(
                written,
                step.channel,
                most_messages=TEXT_MESSAGES,
                read=self.html.of,
                writes_html=False,
            )
        except TooLong:
            secret = decoded(message.handling).message_class in NEVER_ELSEWHERE
            if not self.message_pages or secret:
                return convert(
                    written, step.channel, most_messages=MOST_TEXT_MESSAGES, read=self.html.of
                )
        token = link_to(
            db,
            owner,
            message.position,
            recipient,
            now_ms=self.wall_ms(),
            new_key=self.new_key,
        )
        link = f"{self.message_pages}{token}"
        return convert(written, step.channel, link=link, read=self.html.of)

    async def finish(self, composed: Composed) -> Composed:
        """The message as it is sent, its card, or its text as HTML, written apart from the event
        loop where that takes long."""
        message, letter, lost, by_mail, whose = composed
        if not by_mail:
            return composed
        if letter is None and len(message.text) <= AT_ONCE:
            written = _written(message, None)
        else:
            written = await self.checks.run(whose, lambda: _written(message, letter))
        return composed._replace(message=written.message, letter=None, lost=(*lost, *written.lost))

    def _letter(
        self, db: sqlite3.Connection, owner: Owner, message: KeptMessage, recipient: str, card: str
    ) -> CardLetter:
        """With links where the account itself is sent a card of somebody else's, which it can
        press."""
        letter = CardLetter(tenant=owner.tenant, account=owner.account, card=card)
        if recipient or not self.pages or message.sender == owner.account:
            return letter
        now_ms = self.wall_ms()
        until_ms = now_ms + LINK_MS
        grant = ActionGrant(
            tenant=owner.tenant,
            account=owner.account,
            message=message.id,
            revision=message.revision,
            author=message.sender,
            expires_ms=until_ms,
        )
        key = key_for_links(db, owner, now_ms=now_ms, until_ms=until_ms, new_key=self.new_key)
        return replace(letter, key=key, grant=grant, pages=self.pages)

    def _reply_address(
        self,
        db: sqlite3.Connection,
        owner: Owner,
        message: KeptMessage,
        recipient: str,
        step: RouteStep,
    ) -> str:
        if step.channel is Channel.TEXT:
            place = TextPlaceRow(
                ours=self.number,
                theirs=step.address,
                conversation=message.conversation,
                participant=recipient or owner.account,
                sent_ms=self.wall_ms(),
            )
            note_text(db, owner.number, place)
            return self.number
        if step.channel is not Channel.MAIL:
            return ""
        whose = ReplyOwner(
            conversation=message.conversation,
            participant=recipient or owner.account,
            address=step.address,
        )
        return mail_kept.address_for_replies(
            db, owner.number, whose, account=owner.account, host=self.host, new_key=self.new_key
        )


def _address(db: sqlite3.Connection, owner: Owner, step: RouteStep) -> str:
    """Whole, as the channel takes it. Raises InvalidInput."""
    if step.channel is not Channel.PUSH:
        return step.address
    found = push_kept.address_of(db, owner.number, step.address)
    if found is None:
        raise InvalidInput("address", "the push address was removed")
    return found


def _written(message: OutgoingMessage, letter: CardLetter | None) -> WrittenCard:
    """The mail with its card, if it has one, and with HTML. Blocks."""
    written = WrittenCard(message, ()) if letter is None else with_card(message, letter)
    if written.message.html:
        return written
    made = replace(written.message, html=text_to_html(written.message.text))
    return written._replace(message=made)
