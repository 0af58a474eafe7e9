"""Answers in words: what presses a button does so once, for whoever's answer it is; all else stays
words, and leaves no press."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.errors import Unavailable
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations import kept, presses
from deployment_units.services.conversations.answering import MAX_ANSWER, AnswerInWords
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.conversations.press import KeptPress
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT, AccountUnit, account_unit
from tests.support.cards import document_of, submit
from tests.support.fakes.press_doors import FakePressDoors

TALK, CARD, ANSWER = b"conversation-one", b"c" * 16, b"a" * 16
DEV = "tel:+442079460302"
ROASTERY = Resident(tenant=TENANT, account="roastery", epoch=1)
ANNA = Resident(tenant=TENANT, account="anna", epoch=1)
AMOUNT = {"type": "Input.Number", "id": "amount", "label": "Bags", "min": 1, "max": 9}
BUTTONS = [submit("Order", id="order"), submit("Not now", id="later", associatedInputs="none")]
ANSWERED = AnswerInWords(
    id=ANSWER, conversation=TALK, participant=DEV, text="1 2", sent_ms=2_000_000_000_000
)


@pytest.fixture
def doors() -> FakePressDoors:
    return FakePressDoors({"roastery"})


@pytest.fixture
async def unit(tmp_path: Path, doors: FakePressDoors) -> AsyncIterator[AccountUnit]:
    """Where Anna and the roastery live, which has sent her and Dev a card."""
    async with account_unit(tmp_path / "u", press_doors=doors) as one:
        await one.accounts.change(ANNA, lambda db, owner: None)
        await send(one, CARD, document_of(AMOUNT, actions=BUTTONS))
        yield one


async def send(
    unit: AccountUnit, id_: bytes, card: object = None, *, replaces: bytes = b""
) -> None:
    content = pb.Content(text="an offer", card=json.dumps(card) if card else "")
    message = NewMessage(
        id=id_, conversation=TALK, sender="roastery", content=content.SerializeToString(),
        replaces=replaces,
    )  # fmt: skip
    await unit.accounts.change(
        ROASTERY,
        lambda db, owner: unit.sender.send(db, owner, ROASTERY, message, ["anna", DEV]),
    )


def kept_presses(unit: AccountUnit) -> list[KeptPress]:
    return unit.accounts.read(ROASTERY, lambda db, owner: presses.to_hand_on(db, owner, most=10))


@pytest.mark.parametrize("answers", [b"", CARD], ids=["the last message", "a message it names"])
async def test_an_answer_presses_once_however_often_it_comes(
    unit: AccountUnit, doors: FakePressDoors, answers: bytes
) -> None:
    said = replace(ANSWERED, answers=answers)
    assert [await unit.presses_in_words.press(ROASTERY, said) for _ in range(2)] == [True, True]
    (press,) = kept_presses(unit)
    assert (press.viewer, press.action, press.id) == (DEV, "order", ANSWER)
    assert json.loads(press.inputs) == {"amount": "2"}
    assert set(doors.told) == {(TENANT, "roastery")}


async def test_the_account_that_was_sent_the_card_here_presses_as_itself(
    unit: AccountUnit,
) -> None:
    said = replace(ANSWERED, participant="anna", text="Not now")
    assert await unit.presses_in_words.press(ANNA, said)
    assert [(one.viewer, one.action) for one in kept_presses(unit)] == [("anna", "later")]


@pytest.mark.parametrize(
    "said",
    [
        replace(ANSWERED, text="Good morning"),
        replace(ANSWERED, text="3"),
        replace(ANSWERED, text="1 many"),
        replace(ANSWERED, text="1" + " " * MAX_ANSWER),
        replace(ANSWERED, answers=b"x" * 16),
        replace(ANSWERED, conversation=b"another-one-here", answers=CARD),
        replace(ANSWERED, sent_ms=0),
        replace(ANSWERED, participant="tel:+442079460999"),
    ],
    ids=[
        "words", "no such button", "not what it asks for", "too long", "no such message",
        "of another conversation", "before the card was sent", "no member",
    ],
)  # fmt: skip
async def test_what_presses_nothing_stays_words(unit: AccountUnit, said: AnswerInWords) -> None:
    assert not await unit.presses_in_words.press(ROASTERY, said)
    assert kept_presses(unit) == []


async def test_a_card_that_changed_or_is_not_the_last_message_is_not_pressed(
    unit: AccountUnit,
) -> None:
    await send(unit, b"d" * 16, document_of(actions=BUTTONS), replaces=CARD)
    assert not await unit.presses_in_words.press(ROASTERY, replace(ANSWERED, answers=CARD))
    await send(unit, b"e" * 16)
    assert not await unit.presses_in_words.press(ROASTERY, replace(ANSWERED, text="2"))
    assert kept_presses(unit) == []


async def test_what_is_a_message_already_presses_nothing(unit: AccountUnit) -> None:
    message = NewMessage(
        id=ANSWER, conversation=TALK, sender=DEV, via="roastery",
        content=pb.Content(text="1 2").SerializeToString(),
    )  # fmt: skip
    await unit.accounts.change(
        ROASTERY, lambda db, owner: unit.sender.send(db, owner, ROASTERY, message, ["anna", DEV])
    )
    assert not await unit.presses_in_words.press(ROASTERY, ANSWERED)
    assert kept_presses(unit) == []


async def test_while_it_is_not_known_who_answers_it_is_tried_again(
    unit: AccountUnit, doors: FakePressDoors
) -> None:
    doors.applications = None
    with pytest.raises(Unavailable):
        await unit.presses_in_words.press(ROASTERY, ANSWERED)
    kept_there = unit.accounts.read(ROASTERY, lambda db, owner: kept.find(db, owner, ANSWER))
    assert kept_there is None
