"""Publishing: what is sent to an application's account becomes events of the feeds.

Messages are read on from a kept position, presses and refused replies are marked when they are in
the feeds. Between publishing and marking the unit may die: then they are published once more, and
the feed log, which knows an event by source and id, drops the repeat.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256

from control_plane.errors import ServiceError
from control_plane.faultpoints import passing
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.applications import kept
from deployment_units.services.applications.events import (
    message_event,
    press_event,
    refused_event,
)
from deployment_units.services.applications.kept import Place
from deployment_units.services.applications.port import DataSharing, FeedEvent
from deployment_units.services.applications.residents import Residents, Send
from deployment_units.services.cards.card import Card, CardAction
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations import presses
from deployment_units.services.conversations.card_checks import CardChecks
from deployment_units.services.conversations.members import is_uri
from deployment_units.services.conversations.message import KeptMessage, NewMessage
from deployment_units.services.conversations.press import KeptPress, PressState
from deployment_units.services.conversations.press_judging import card_in
from deployment_units.services.conversations.requests import content_of
from deployment_units.services.conversations.revisions import at_revision
from deployment_units.services.state import owners
from homeport.api.communication.v1 import conversation_pb2 as pb

log = logging.getLogger(__name__)

MAX_WHY = 500  # characters
MOST = 30  # of messages, of presses and of refusals that are published together
MOST_PASSED = 300  # of its own messages that are read over again after a restart


@dataclass(slots=True)
class _Batch:
    """What is to be published of one account, as of one commit. owner: whose rows they are;
    noted: the position that is kept; position: of its messages up to which it goes, None: there are
    no more; pressed: with the messages that show the cards."""

    owner: int
    noted: int
    position: int | None = None
    messages: list[KeptMessage] = field(default_factory=list)
    pressed: list[tuple[KeptPress, KeptMessage | None]] = field(default_factory=list)
    refusals: list[FeedEvent] = field(default_factory=list)
    more: bool = False

    @property
    def events(self) -> int:
        """How many there are to be published, or refused."""
        return len(self.messages) + len(self.pressed) + len(self.refusals)


class Publishing:
    """Of one unit. send: as of replies; it says why a press was not taken. most_passed: see
    MOST_PASSED."""

    def __init__(
        self,
        accounts: Accounts,
        residents: Residents,
        sharing: DataSharing,
        checks: CardChecks,
        send: Send,
        *,
        most_passed: int = MOST_PASSED,
    ) -> None:
        self._most_passed = most_passed
        self._accounts = accounts
        self._residents = residents
        self._sharing = sharing
        self._checks = checks
        self._send = send
        self.counts: Counter[str] = Counter()  # published, refused: events
        # By owner, whose numbers and positions are never used again: up to where messages were
        # read that are its own. They are not published, and not worth a transaction each.
        self._passed: dict[int, int] = {}

    async def publish(self, resident: Resident, application: str) -> bool:
        """Publishes some of what waits; whether there is more. Raises ServiceError where it is to
        be tried again."""
        batch = self._accounts.read(
            resident,
            lambda db, owner: _waiting(
                db, owner, resident.account, application, passed=self._passed.get(owner, 0)
            ),
        )
        position = batch.position
        if not batch.events and (position or 0) - batch.noted <= self._most_passed:
            if position is not None:
                self._passed[batch.owner] = position
            return batch.more
        events = [_of_message(resident, application, one) for one in batch.messages]
        refused: dict[int, str] = {}
        for number, (press, message) in enumerate(batch.pressed):
            action = await self._action(resident, press, message)
            if message is None or action is None:
                refused[number] = "its card is not there any more"
                continue
            events.append(
                press_event(
                    tenant=resident.tenant,
                    application=application,
                    conversation=message.conversation,
                    press=press,
                    action=action,
                )
            )
        events += batch.refusals
        answers = await self._sharing.publish(resident.tenant, events) if events else []
        passing("feeds.published.after")
        sent = iter(answers[len(batch.messages) :])
        for number in range(len(batch.pressed)):
            if number not in refused and (why := next(sent)):
                refused[number] = why
        for event, why in zip(events, answers, strict=True):
            if why:
                log.error("%s of %s to %s is refused: %s", event.type, event.id, application, why)
        await self._residents.change(
            resident,
            lambda db, owner: self._published(db, owner, resident, batch, refused),
            grows=False,
        )
        self.counts["refused"] += (gone := sum(map(bool, answers)))
        self.counts["published"] += len(answers) - gone
        return batch.more

    def _published(
        self,
        db: sqlite3.Connection,
        owner: int,
        resident: Resident,
        batch: _Batch,
        refused: dict[int, str],
    ) -> None:
        if batch.position is not None:
            kept.advance(db, owner, Place.MESSAGES, batch.position)
        for number, (press, message) in enumerate(batch.pressed):
            state = PressState.REFUSED if number in refused else PressState.WAITING
            presses.become(db, owner, press.viewer, press.id, state)
            if number not in refused:
                continue
            viewer = owners.find(db, resident.tenant, press.viewer)
            if viewer is not None:
                presses.become(db, viewer.number, press.viewer, press.id, state)
            if message is not None:
                self._say_refused(db, owner, resident, press, message, refused[number])
        kept.published(db, owner, [one.id for one in batch.refusals])

    def _say_refused(
        self,
        db: sqlite3.Connection,
        owner: int,
        resident: Resident,
        press: KeptPress,
        card: KeptMessage,
        why: str,
    ) -> None:
        """Where the viewer lives, and whoever pressed by mail, hears of it by a message."""
        text = f"What was pressed was not taken: {why[:MAX_WHY]}"
        content = pb.Content(text=text, in_reply_to=card.root, answers=press.id)
        made = NewMessage(
            id=sha256(b"homeport press refused" + press.id + press.viewer.encode()).digest()[:16],
            conversation=card.conversation,
            sender=resident.account,
            content=content_of(content, refused=True),
            answers=press.id,
            refused=True,
        )
        db.execute("SAVEPOINT refused")
        try:
            self._send(db, owner, resident, made)
        except ServiceError as error:  # the conversation is over, or its outbox full
            db.execute("ROLLBACK TO refused")
            log.warning("nobody is told that a press was not taken: %s", error)
        db.execute("RELEASE refused")

    async def _action(
        self, whose: Resident, press: KeptPress, message: KeptMessage | None
    ) -> CardAction | None:
        if message is None:
            return None
        card: Card = await self._checks.card(whose, card_in(message))
        return card.action(press.action)


def _waiting(
    db: sqlite3.Connection, owner: int, account: str, application: str, *, passed: int
) -> _Batch:
    batch = _Batch(owner=owner, noted=kept.position(db, owner, Place.MESSAGES) or 0)
    after = max(batch.noted, passed)
    page, more = conversations.messages(db, owner, after=after, most=MOST)
    if page:
        batch.position = page[-1].position
        batch.messages = [one for one in page if one.sender != account]
    waiting = presses.to_hand_on(db, owner, most=MOST)
    batch.pressed = [(one, at_card(db, owner, account, one)) for one in waiting]
    refusals = kept.refusals(db, owner, most=MOST)
    batch.refusals = [
        refused_event(application=application, instruction=instruction, flaws=flaws)
        for instruction, flaws in refusals
    ]
    batch.more = more or len(waiting) == MOST or len(refusals) == MOST
    return batch


def at_card(
    db: sqlite3.Connection, owner: int, account: str, press: KeptPress
) -> KeptMessage | None:
    """The message of the account with the card that was pressed, in the revision that was; None: it
    is gone."""
    root = conversations.find(db, owner, press.message, bringer=account)
    if root is None or press.revision == 1:
        return root
    found = at_revision(db, owner, root, press.revision)
    return None if found is None else conversations.find(db, owner, found, bringer=account)


def _of_message(resident: Resident, application: str, message: KeptMessage) -> FeedEvent:
    content = pb.Content.FromString(message.content)
    anybody = is_uri(message.sender) or content.HasField("by_mail")
    return message_event(
        tenant=resident.tenant,
        application=application,
        conversation=message.conversation,
        message=message.id,
        sender=message.sender,
        text=content.text,
        in_reply_to=content.in_reply_to,
        verified=content.by_mail.verified if anybody else None,
        caused_by=content.caused_by,
    )
