"""OutcomeFollower: outcomes of an application become messages of its account, each once.

One transaction sends all messages of a reply and notes up to where outcomes are followed; ids of
messages come of the instruction, so an outcome that is read twice makes the same ones. A reply that
is refused sends nothing, and its flaws are kept until they are in the feed where its author finds
them.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from functools import partial

from control_plane.errors import (
    AlreadyExists,
    InvalidInput,
    NotFound,
    PermissionDenied,
)
from control_plane.faultpoints import passing
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.applications import kept
from deployment_units.services.applications.kept import Place
from deployment_units.services.applications.port import (
    DONE,
    InstructionOutcome,
    OutcomePage,
    PublishedCause,
)
from deployment_units.services.applications.residents import Residents, Send
from deployment_units.services.cards import replies
from deployment_units.services.cards.card import CardFlaw, CardFlawReason
from deployment_units.services.cards.card_text import card_text
from deployment_units.services.cards.replies import (
    ApplicationOutcome,
    OpenConversation,
    Reply,
    is_reply,
    named,
    read_reply,
)
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations import presses
from deployment_units.services.conversations.card_checks import CardChecks
from deployment_units.services.conversations.message import ID_BYTES, NewMessage
from deployment_units.services.conversations.requests import content_of
from homeport.api.communication.v1 import conversation_pb2 as pb

log = logging.getLogger(__name__)

MOST_AT_ONCE = 20  # outcomes of one transaction
_REFUSING = (AlreadyExists, InvalidInput, NotFound, PermissionDenied)


class OutcomeFollower:
    """Of one unit. send: see Send."""

    def __init__(
        self,
        accounts: Accounts,
        residents: Residents,
        checks: CardChecks,
        send: Send,
    ) -> None:
        self._accounts = accounts
        self._residents = residents
        self._checks = checks
        self._send = send

    def position(self, resident: Resident) -> int | None:
        """Up to where its outcomes are followed; None: nowhere yet. Raises StaleEpoch."""
        return self._accounts.read(
            resident, lambda db, owner: kept.position(db, owner, Place.OUTCOMES)
        )

    async def follow(self, resident: Resident, application: str, page: OutcomePage) -> int:
        """Takes in a page of outcomes; how many were replies. Raises ServiceError where it is to be
        tried again; then some of the page may have been taken in."""
        if page.trimmed:
            log.error("outcomes of %s are gone that were not read yet: too old", application)
        mine = [one for one in page.outcomes if _concerns(one, application)]
        taken = 0
        while taken < len(mine):
            some = mine[taken : taken + MOST_AT_ONCE]
            taken += len(some)
            read = [(one, await self._checks.run(resident, partial(_read, one))) for one in some]
            passing("reply.kept.before")
            position = page.position if taken == len(mine) else None
            await self._residents.change(
                resident,
                partial(self._take_in, resident=resident, read=read, position=position),
                grows=True,
            )
            passing("reply.kept.after")
        return len(mine)

    async def note(self, resident: Resident, position: int) -> None:
        """Notes that outcomes were followed up to there. Raises ServiceError."""
        await self._residents.change(
            resident,
            lambda db, owner: kept.advance(db, owner, Place.OUTCOMES, position),
            grows=False,
        )

    def _take_in(
        self,
        db: sqlite3.Connection,
        owner: int,
        *,
        resident: Resident,
        read: Sequence[tuple[InstructionOutcome, Reply | list[CardFlaw]]],
        position: int | None,
    ) -> None:
        for outcome, reply in read:
            db.execute("SAVEPOINT reply")
            try:
                self._reply(db, owner, resident, outcome, reply)
            except _REFUSING as error:
                db.execute("ROLLBACK TO reply")
                reason = CardFlawReason.CONVERSATION
                flaw = CardFlaw(pointer="", reason=reason, message=error.message)
                _refuse(db, owner, outcome, [flaw])
            db.execute("RELEASE reply")
        if position is not None:
            kept.advance(db, owner, Place.OUTCOMES, position)

    def _reply(
        self,
        db: sqlite3.Connection,
        owner: int,
        resident: Resident,
        outcome: InstructionOutcome,
        reply: Reply | list[CardFlaw],
    ) -> None:
        if isinstance(reply, list):
            _refuse(db, owner, outcome, reply)
            return
        made = named(_whole(resident, outcome), reply, open_talks(db, owner, resident, reply))
        flaws = [one for one in made if isinstance(one, CardFlaw)]
        if flaws:
            _refuse(db, owner, outcome, flaws)
            return
        pressed = [one for one in map(_press, outcome.causes) if one is not None]
        messages = [
            _message(resident, one, pressed[0] if pressed else b"", outcome.instruction)
            for one in made
            if not isinstance(one, CardFlaw)
        ]
        for message in messages:
            self._send(db, owner, resident, message)
        for press in pressed:
            presses.answered(db, owner, press, resident.account)


def open_talks(
    db: sqlite3.Connection, owner: int, resident: Resident, reply: Reply
) -> dict[str, OpenConversation]:
    """The conversations that a reply names and the account is part of, with the messages that it
    names."""
    messages = {
        name: conversations.find(db, owner, id_, bringer=resident.account)
        or conversations.find(db, owner, id_)
        for name in reply.messages
        if (id_ := id_from(name)) is not None
    }
    found: dict[str, OpenConversation] = {}
    for name in reply.conversations:
        id_ = id_from(name)
        if id_ is None or conversations.members_of(db, owner, id_) is None:
            continue
        inside = {
            key: one for key, one in messages.items() if one is not None and one.conversation == id_
        }
        own = {
            key
            for key, one in inside.items()
            if one.sender == resident.account and not one.replaces
        }
        found[name] = OpenConversation(messages=frozenset(inside), own=frozenset(own))
    return found


def id_from(text: str) -> bytes | None:
    """An id as events have it; None: it is none."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return None
    return found if len(found) == ID_BYTES and found.hex() == text else None


def _concerns(outcome: InstructionOutcome, application: str) -> bool:
    """Whether it is to become messages: performed by the application, as a reply or in place of
    one."""
    if outcome.application != application or outcome.status != DONE:
        return False
    return is_reply(outcome.output) or (outcome.output is None and _answers(outcome))


def _answers(outcome: InstructionOutcome) -> bool:
    """Whether it is of a rule that is made of `answers` in the manifest."""
    return outcome.rule.startswith(f"answers.{outcome.application}.")


def _read(outcome: InstructionOutcome) -> Reply | list[CardFlaw]:
    if outcome.output is None:
        return [
            CardFlaw(
                pointer="",
                reason=CardFlawReason.TOO_LARGE,
                message="the reply has more than 16 KiB; send fewer messages, or smaller cards",
            )
        ]
    return read_reply(outcome.output)


def _refuse(
    db: sqlite3.Connection, owner: int, outcome: InstructionOutcome, flaws: Sequence[CardFlaw]
) -> None:
    log.warning(
        "a reply of %s to %s is refused: %s", outcome.application, outcome.instruction, flaws[0]
    )
    kept.refuse(db, owner, outcome.instruction, flaws)


def _whole(resident: Resident, outcome: InstructionOutcome) -> ApplicationOutcome:
    return ApplicationOutcome(
        tenant=resident.tenant,
        application=outcome.application,
        instruction=outcome.instruction,
        time_ms=outcome.time_ms,
        output=outcome.output,
    )


def _press(cause: PublishedCause) -> bytes | None:
    return id_from(cause.id)


def _message(
    resident: Resident,
    one: replies.NewMessage | replies.Replace,
    answers: bytes,
    instruction: str,
) -> NewMessage:
    """A message of a reply to an instruction. Raises InvalidInput for a text that no message may
    have."""
    conversation = id_from(one.conversation)
    assert conversation is not None
    replaces = id_from(one.message) if isinstance(one, replies.Replace) else None
    before = id_from(one.in_reply_to) if isinstance(one, replies.NewMessage) else None
    content = pb.Content(text=one.text, in_reply_to=before or b"", answers=answers)
    return NewMessage(
        id=one.id,
        conversation=conversation,
        sender=resident.account,
        content=content_of(
            content, card=card_text(one.card) if one.card else "", caused_by=instruction
        ),
        replaces=replaces or b"",
        answers=answers,
    )
