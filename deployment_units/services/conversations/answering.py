"""AnswerPresses: answers in words that press a button of a card, by text or by mail.

Whoever answers is a member of the conversation: the account that was sent the card here, or
somebody without an account, whom the account of the card's application writes to. What they press
is judged and kept like any other press. Words that press nothing, or nothing any more, stay words:
whoever took them in keeps them as a message, so that nothing that people say is lost.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import partial

from control_plane.errors import Conflict, InvalidInput, NotFound
from deployment_units.services.accounts.accounts import Accounts
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.cards.answers import Answered, read_answer
from deployment_units.services.conversations import kept
from deployment_units.services.conversations.card_checks import Bringer, CardChecks
from deployment_units.services.conversations.clicking import Clicking
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.conversations.press import NewPress, PressState
from deployment_units.services.conversations.press_judging import NothingPressed, card_in

MAX_ANSWER = 1_024  # characters; nobody answers a card with more
LOOKED_THROUGH = 20  # messages of a conversation, for the last one that was sent
_NOT_PRESSED = (Conflict, InvalidInput, NotFound, NothingPressed)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerInWords:
    """id: 16 bytes, of the message that it is where it presses nothing, and of the press; the same
    for the same answer. participant: whose it is. answers: the message that it names; empty: the
    last one that was kept by `sent_ms` (Unix ms) and is not the participant's own."""

    id: bytes
    conversation: bytes
    participant: str
    text: str
    answers: bytes = b""
    sent_ms: int = 0


class AnswerPresses:
    """Of one unit."""

    def __init__(self, accounts: Accounts, clicking: Clicking, checks: CardChecks) -> None:
        self._accounts = accounts
        self._clicking = clicking
        self._checks = checks

    async def press(self, resident: Resident, answer: AnswerInWords) -> bool:
        """Whether it is a press that is kept, now or before. resident: the account that took it in.
        Raises ServiceError where that cannot be told now."""
        if len(answer.text) > MAX_ANSWER:
            return False
        message = self._accounts.read(
            resident, partial(_answered, account=resident.account, answer=answer)
        )
        text = "" if message is None else card_in(message)
        if message is None or not text:
            return False
        whose = Bringer(resident.tenant, answer.participant)
        card = await self._checks.card(whose, text)
        read = await self._checks.run(whose, lambda: read_answer(card, answer.text))
        if not isinstance(read, Answered):
            return False
        press = NewPress(
            id=answer.id,
            message=message.root,
            author=message.sender,
            action=read.action.id,
            revision=message.revision,
            inputs=read.inputs,
        )
        try:
            if answer.participant == resident.account:
                clicked = await self._clicking.click(resident, press)
            else:
                clicked = await self._clicking.take(resident, answer.participant, press)
        except _NOT_PRESSED:
            return False
        return clicked.state is not PressState.SUPERSEDED


def _answered(
    db: sqlite3.Connection, owner: int, *, account: str, answer: AnswerInWords
) -> KeptMessage | None:
    """The message that is answered; None: there is none, or the answer is kept as words already.
    Whoever has no account is sent cards by the account that took the answer in, and nobody else."""
    if kept.find(db, owner, answer.id, bringer=account) is not None:
        return None
    found: KeptMessage | None
    if answer.answers:
        named = kept.of_id(db, owner, answer.answers)
        there = (one for one in named if one.conversation == answer.conversation)
        found = next((one for one in there if one.sender != answer.participant), None)
    else:
        found = kept.last_to(
            db, owner, answer.conversation, answer.participant,
            by_ms=answer.sent_ms, looked_through=LOOKED_THROUGH,
        )  # fmt: skip
    if found is not None and account not in (found.sender, answer.participant):
        return None
    return found
