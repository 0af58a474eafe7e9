"""Answers by text: by the two numbers they come into the conversation that was texted last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from control_plane.errors import Exhausted
from control_plane.quotas.token_buckets import Rate
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels.text_kept import TextPlaceRow, note_text
from deployment_units.services.channels.text_link import TextOnLine
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.conversations import presses
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.gateway.text_answers import TextAnswers
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT, AccountUnit, account_unit
from tests.support.cards import document_of, submit
from tests.support.fakes.press_doors import FakePressDoors

ANNA = Resident(tenant=TENANT, account="anna", epoch=1)
OURS, DEV = "+442079460100", "+442079460302"


async def texted(unit: AccountUnit, conversation: bytes, sent_ms: int, *, card: str = "") -> None:
    """Anna writes to Dev, whom a text is sent."""

    def write(db, owner):  # type: ignore[no-untyped-def]
        message = NewMessage(
            id=conversation, conversation=conversation, sender="anna",
            content=pb.Content(text="Coming?", card=card).SerializeToString(),
        )  # fmt: skip
        unit.sender.send(db, owner, ANNA, message, [f"tel:{DEV}"])
        place = TextPlaceRow(
            ours=OURS, theirs=DEV, conversation=conversation, participant=f"tel:{DEV}",
            sent_ms=sent_ms,
        )  # fmt: skip
        note_text(db, owner, place)

    await unit.accounts.change(ANNA, write)


def answers_of(unit: AccountUnit) -> TextAnswers:
    return TextAnswers(unit.database, unit.accounts, unit.sender, unit.presses_in_words)


def answer(said: str = "Yes", *, sender: str = DEV, to: str = OURS, id_: str = "1") -> TextOnLine:
    return TextOnLine(id=id_, sender=sender, to=to, texts=[said])


async def test_an_answer_comes_once_into_the_conversation_that_was_texted_last(
    tmp_path: Path,
) -> None:
    async with account_unit(tmp_path) as unit:
        await texted(unit, b"a" * 16, 1)
        await texted(unit, b"b" * 16, 2)
        answers = answers_of(unit)
        assert [await answers.take(answer()) for _ in range(2)] == [200, 200]
        found, _ = unit.accounts.read(
            ANNA,
            lambda db, owner: conversations.messages(
                db, owner, after=0, most=10, conversation=b"b" * 16
            ),
        )
    _, got = found
    assert (got.sender, got.via) == (f"tel:{DEV}", "anna")
    assert pb.Content.FromString(got.content).text == "Yes"


@pytest.mark.parametrize(
    "text",
    [
        answer(sender="+442079460999"),
        answer(to="+442079460101"),
        answer(" \x00\n"),
    ],
    ids=["nobody texted them", "to another number", "it says nothing"],
)
async def test_what_answers_nothing_is_told_so(tmp_path: Path, text: TextOnLine) -> None:
    async with account_unit(tmp_path) as unit:
        await texted(unit, b"a" * 16, 1)
        answers = answers_of(unit)
        assert await answers.take(text) == 404


async def test_the_number_of_a_button_presses_it_and_is_no_message(tmp_path: Path) -> None:
    doors = FakePressDoors({"anna"})
    async with account_unit(tmp_path, press_doors=doors) as unit:
        card = json.dumps(document_of(actions=[submit("Yes", id="yes")]))
        await texted(unit, b"a" * 16, unit.wall_ms(), card=card)
        answers = answers_of(unit)
        assert [await answers.take(answer("1")) for _ in range(2)] == [200, 200]
        assert await answers.take(answer("2, maybe", id_="2")) == 200
        found, _ = unit.accounts.read(
            ANNA, lambda db, owner: conversations.messages(db, owner, after=0, most=10)
        )
        pressed = unit.accounts.read(ANNA, lambda db, owner: presses.to_hand_on(db, owner, most=10))
    assert [pb.Content.FromString(one.content).text for one in found] == ["Coming?", "2, maybe"]
    assert [(one.viewer, one.action) for one in pressed] == [(f"tel:{DEV}", "yes")]


async def test_who_texts_too_much_waits_and_nobody_else(tmp_path: Path) -> None:
    async with account_unit(tmp_path) as unit:
        await texted(unit, b"a" * 16, 1)
        now = [0.0]
        answers = TextAnswers(
            unit.database, unit.accounts, unit.sender, unit.presses_in_words,
            clock=lambda: now[0], rate=Rate(per_s=1.0, burst=2.0),
        )  # fmt: skip
        assert [await answers.take(answer(id_=one)) for one in "12"] == [200, 200]
        with pytest.raises(Exhausted):
            await answers.take(answer(id_="3"))
        assert await answers.take(answer(sender="+442079460303")) == 404  # has no conversation
        now[0] = 1.0
        assert await answers.take(answer(id_="3")) == 200
