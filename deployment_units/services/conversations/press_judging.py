"""What becomes of a press by what one account's copy says: which card is shown, who pressed what
before. Inside the transaction that keeps it."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import NamedTuple

from control_plane.errors import InvalidInput, NotFound, Refused
from deployment_units.services.cards.card import Card
from deployment_units.services.cards.clicks import CardMessage, Verdict, judge_click
from deployment_units.services.cards.inputs import check_inputs
from deployment_units.services.conversations import kept, presses
from deployment_units.services.conversations.card_checks import told
from deployment_units.services.conversations.message import KeptMessage
from deployment_units.services.conversations.press import NewPress
from homeport.api.communication.v1 import conversation_pb2 as pb


class NothingPressed(Refused):
    """The card has no such button, or it cannot be pressed."""

    reason = "NOT_PRESSABLE"


class ReadCard(NamedTuple):
    """A card as it was read beforehand. text: as it is kept; empty: there is none."""

    text: str
    card: Card


class OtherCard(Exception):
    """The message shows another card than the one that was read: this one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """shown: what the presser sees of the message now."""

    verdict: Verdict
    shown: KeptMessage
    card: Card


def judge(
    db: sqlite3.Connection,
    judging: int,
    viewing: int,
    viewer: str,
    press: NewPress,
    read: ReadCard,
    *,
    author: str | None = None,
) -> Judged:
    """judging: the owner whose copy knows what was pressed; viewing: the one whose copy says what
    is shown; author: of the message, where that is known. Raises NotFound, NothingPressed where
    there never was a card, OtherCard."""
    shown = kept.shown(db, viewing, press.message, bringer=author)
    if shown is None:
        raise NotFound("the account has no such message")
    check_author(db, viewing, press.message, author or press.author)
    text = card_in(shown)
    if text != read.text:
        raise OtherCard(text)
    if not text and not shown.replaces:
        raise NothingPressed("there is no card in this message")
    verdict = judge_click(
        CardMessage(
            card=read.card,
            revision=shown.revision,
            viewers=frozenset({viewer}),
            withdrawn=not text,
        ),
        press.revision or shown.revision,
        press.action,
        viewer,
        presses.that_count(db, judging, shown.root, shown.sender, press.action, viewer, press.id),
        press=press.id,
    )
    return Judged(verdict=verdict, shown=shown, card=read.card)


def check_author(db: sqlite3.Connection, owner: int, message: bytes, author: str) -> None:
    """Whether it is known whose card is meant: ids of messages are of whoever brings them, and
    another one's may be the same. Raises NothingPressed."""
    if not author and len(kept.of_id(db, owner, message)) > 1:
        raise NothingPressed(
            "several senders have brought a message with this id; say whose card it is (sender)"
        )


def card_in(message: KeptMessage) -> str:
    """The card of a message as JSON; empty: it has none."""
    found: str = pb.Content.FromString(message.content).card
    return found


def inputs_of(card: Card, press: NewPress) -> str:
    """What was filled in for an action that can be pressed, as JSON. Raises InvalidInput."""
    action = card.action(press.action)
    assert action is not None
    values = check_inputs(card, action, press.inputs)
    if isinstance(values, list):
        raise InvalidInput("inputs", f"what was filled in will not do: {told(values)}")
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))
