"""What stands above a mail: names that may be known, one subject a conversation, and the mails that
it follows."""

from __future__ import annotations

import email
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.mail_message import mail_of
from deployment_units.services.channels.port import OutgoingMessage
from deployment_units.services.conversations.handling import Handling, MessageClass, encoded
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.gateway.mail_headers import message_id_of
from deployment_units.services.profiles import kept as profiles
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.fakes.scripted_channel import TAKEN, THERE, ScriptedChannel
from tests.support.linked_units import LinkedUnit, enter, linked_units

ANNA = Resident(tenant=TENANT, account="anna", epoch=1)
CARLA, DEV = "mailto:carla@mail.example", "mailto:dev@northwind.example"
TALK = b"conversation-one"


class Mailing:
    """Anna's unit, and the mails that left it, by recipient."""

    def __init__(self, unit: LinkedUnit) -> None:
        self.unit = unit
        self.mail = ScriptedChannel(Channel.MAIL, TAKEN)
        self.text = ScriptedChannel(Channel.TEXT, THERE)
        unit.channels.update({Channel.MAIL: self.mail, Channel.TEXT: self.text})

    async def write(
        self, number: int, text: str, *members: str, handling: Handling | None = None,
        by: str = "anna", by_mail: pb.ByMail | None = None, in_reply_to: bytes = b"",
    ) -> None:  # fmt: skip
        content = pb.Content(text=text, by_mail=by_mail, in_reply_to=in_reply_to)
        message = NewMessage(
            id=number.to_bytes(16, "big"), conversation=TALK, sender=by,
            via="" if by == "anna" else "anna", content=content.SerializeToString(),
            handling=encoded(handling) if handling else "",
        )  # fmt: skip
        sender = self.unit.unit.sender
        await self.unit.unit.accounts.change(
            ANNA, lambda db, owner: sender.send(db, owner, ANNA, message, members)
        )
        await self.unit.settled()

    def last(self, to: str = "carla@mail.example") -> OutgoingMessage:
        return [one for one in self.mail.sent if one.address == to][-1]

    async def change(self, sql: str, *values: object) -> None:
        def work(db: sqlite3.Connection, owner: int) -> None:
            db.execute(sql, (owner, *values))

        await self.unit.unit.accounts.change(ANNA, work)


@pytest.fixture
async def mailing(tmp_path: Path) -> AsyncIterator[Mailing]:
    async with linked_units(tmp_path, "london") as (unit,):
        await enter(unit, "anna")
        yield Mailing(unit)


def id_of(number: int, to: str = CARLA) -> str:
    return message_id_of(number.to_bytes(16, "big"), "anna", to)


async def test_the_name_of_the_profile_else_the_handle_else_the_id(mailing: Mailing) -> None:
    await mailing.write(1, "one", CARLA)
    assert mailing.last().sender_name == "anna"
    await mailing.change("INSERT INTO handles (owner, handle, state) VALUES (?, 'lost1', 'lost')")
    await mailing.write(2, "two")
    assert mailing.last().sender_name == "anna"
    await mailing.change("INSERT INTO handles (owner, handle, state) VALUES (?, 'anna1', 'held')")
    await mailing.write(3, "three")
    assert mailing.last().sender_name == "@anna1"
    await mailing.unit.unit.accounts.change(
        ANNA, lambda db, owner: profiles.set_name(db, owner, "Anna Berg")
    )
    await mailing.write(4, "four")
    assert mailing.last().sender_name == "Anna Berg"


@pytest.mark.parametrize(
    ("verified", "shown"),
    [(True, "carla@mail.example"), (False, "carla@mail.example (unverified)")],
    ids=["verified", "unverified"],
)
async def test_somebody_without_an_account_is_named_by_the_address(
    mailing: Mailing, verified: bool, shown: str
) -> None:
    mail = pb.ByMail(address="carla@mail.example", verified=verified)
    await mailing.write(1, "from me", CARLA, DEV, by=CARLA, by_mail=mail)
    assert mailing.last("dev@northwind.example").sender_name == shown


async def test_one_subject_in_all_mails_of_a_conversation(mailing: Mailing) -> None:
    await mailing.write(1, "\n  Beans   for Monday \nand more", CARLA)
    assert mailing.last().subject == "Beans for Monday"
    await mailing.write(2, "and milk")
    await mailing.write(3, "and tea")
    assert [one.subject for one in mailing.mail.sent[1:]] == ["Re: Beans for Monday"] * 2


@pytest.mark.parametrize(
    ("began", "answered"),
    [
        ("AW: Re[2]: Fwd: Beans", "Re: Beans"),
        ("Re [2] : Beans", "Re: Beans"),
        ("Software: an update", "Re: Software: an update"),
        ("Beans, re: Monday", "Re: Beans, re: Monday"),
    ],
)
async def test_the_subject_of_the_mail_with_which_it_began(
    mailing: Mailing, began: str, answered: str
) -> None:
    mail = pb.ByMail(subject=began, message_id="m1@mail.example")
    await mailing.write(1, "hello", CARLA, by=CARLA, by_mail=mail)
    await mailing.write(2, "an answer")
    assert mailing.last().subject == answered
    assert mailing.last().answers_to == ("m1@mail.example",)


async def test_a_long_first_line_is_cut_behind_a_word(mailing: Mailing) -> None:
    await mailing.write(1, "word " * 40, CARLA)
    assert mailing.last().subject == "word " * 14 + "word…"
    await mailing.write(2, "x")
    assert len(mailing.last().subject) <= 82


async def test_a_code_or_what_was_bound_to_a_channel_is_no_subject_elsewhere(
    mailing: Mailing,
) -> None:
    code = Handling(message_class=MessageClass.CODE, channel="text")
    phone = "tel:+442079460302"
    await mailing.write(1, "Your code is 123456", CARLA, phone, handling=code)
    await mailing.write(2, "only by text", handling=Handling(channel="text"))
    assert mailing.mail.sent == []
    await mailing.write(3, "Did it work?")
    await mailing.write(4, "And now?")
    assert [one.subject for one in mailing.mail.sent] == [
        "Re: Did it work?"[4:],
        "Re: Did it work?",
    ]


async def test_a_mail_follows_those_that_its_reader_has_or_wrote(mailing: Mailing) -> None:
    await mailing.write(1, "one", CARLA, DEV)
    assert mailing.last().answers_to == ()
    mail = pb.ByMail(message_id="m2@mail.example")
    await mailing.write(2, "two", by=CARLA, by_mail=mail)
    await mailing.write(3, "three", by=CARLA, by_mail=pb.ByMail(message_id="no-id"))
    await mailing.write(4, "four")
    assert mailing.last().answers_to == (id_of(1), "m2@mail.example")
    theirs = mailing.last("dev@northwind.example").answers_to
    assert theirs == tuple(id_of(one, DEV) for one in (1, 2, 3))


async def test_the_one_that_is_answered_comes_last_and_the_first_stays(mailing: Mailing) -> None:
    for number in range(1, 15):
        await mailing.write(number, f"message {number}", *([CARLA] if number == 1 else []))
    assert mailing.last().answers_to == tuple(id_of(one) for one in (1, *range(6, 14)))
    await mailing.write(15, "to that", in_reply_to=(9).to_bytes(16, "big"))
    followed = mailing.last().answers_to
    assert (followed[0], followed[-1], len(followed)) == (id_of(1), id_of(9), 9)


def test_long_ids_stay_as_they_are_and_none_breaks_out_of_its_field() -> None:
    message = OutgoingMessage(
        message_id=id_of(1), attempt_id="a-1", address="carla@mail.example", text="hello",
        reply_address="reply+1@talk.example",
        answers_to=("z" * 200 + "@mail.example", "a@b>\r\nBcc: mallory@mail.example", "é@b",
                    id_of(2)),
    )  # fmt: skip
    mail = email.message_from_bytes(mail_of(message, host="talk.example", now_ms=0))
    ids = [f"<{'z' * 200}@mail.example>", f"<{id_of(2)}@talk.example>"]
    assert mail["References"].split() == ids
    assert mail["In-Reply-To"] == ids[-1]
    assert "Bcc" not in mail
    alone = mail_of(replace(message, answers_to=()), host="talk.example", now_ms=0)
    assert b"References" not in alone
