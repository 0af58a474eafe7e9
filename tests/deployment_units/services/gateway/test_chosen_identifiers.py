"""From the chosen identifier to the chosen one: to another unit, by mail and by text; whoever has a
message sees the identifier that was chosen, and none of the sender's others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.mail_message import mail_of
from deployment_units.services.contacts import book
from deployment_units.services.identities import kept as identities
from deployment_units.services.profiles import kept as profiles
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.fakes.scripted_channel import TAKEN, THERE, ScriptedChannel
from tests.support.linked_units import LinkedUnit, enter, linked_units
from tests.support.own_identifiers import furnish

TALK = b"conversation-one"
ACCOUNT = "a-4711"  # says nothing of who it is
WORK, PRIVATE = "mailto:anna@northwind.example", "mailto:anna@mail.example"
NUMBER = "tel:+442079460301"
BEN, BEN_HOME = "mailto:ben@contoso.example", "mailto:ben@mail.example"
CARLA, DEV = "mailto:carla@mail.example", "tel:+442079460302"


@pytest.fixture
async def units(tmp_path: Path) -> AsyncIterator[list[LinkedUnit]]:
    """Anna lives in one, Ben in the other."""
    async with linked_units(tmp_path, "london", "oslo") as made:
        london, oslo = made
        for unit in made:
            unit.channels[Channel.MAIL] = ScriptedChannel(Channel.MAIL, TAKEN)
            unit.channels[Channel.TEXT] = ScriptedChannel(Channel.TEXT, THERE)
        await enter(london, ACCOUNT)
        await enter(oslo, "ben")
        await furnish(london.unit, ACCOUNT, "@anna", WORK, PRIVATE, NUMBER)
        await furnish(oslo.unit, "ben", BEN, BEN_HOME)
        yield made


async def write(unit: LinkedUnit, from_: str, *members: str, **at: str) -> None:
    request = pb.SendMessageRequest(
        conversation=TALK, id=bytes(16), members=members, from_identifier=from_,
        to_identifiers=at, content=pb.Content(text="hello"),
    )  # fmt: skip
    await unit.unit.conversations.SendMessage(request, unit.unit.by_ticket(ACCOUNT))
    await unit.settled()


def sent(unit: LinkedUnit, channel: Channel) -> ScriptedChannel:
    found = unit.channels[channel]
    assert isinstance(found, ScriptedChannel)
    return found


async def test_another_unit_has_what_was_chosen_of_its_account_alone(
    units: list[LinkedUnit],
) -> None:
    london, oslo = units
    await write(london, WORK, "ben", CARLA, ben=BEN)
    ask = pb.ListMessagesRequest(conversation=TALK)
    listed = await oslo.unit.conversations.ListMessages(ask, oslo.unit.by_ticket("ben"))
    content = listed.messages[0].content
    assert (content.from_identifier, dict(content.to_identifiers)) == (WORK, {"ben": BEN})
    ben = Resident(tenant=TENANT, account="ben", epoch=1)
    known = oslo.unit.accounts.read(ben, lambda db, n: identities.history(db, n, [WORK], TALK))
    assert known.knows(WORK, BEN)
    assert known.thread == BEN


@pytest.mark.parametrize(
    ("from_", "shown"),
    [(WORK, "anna@northwind.example"), ("@anna", "@anna"), (NUMBER, "+442079460301")],
)
async def test_a_mail_is_from_the_chosen_identifier_and_names_no_other(
    units: list[LinkedUnit], from_: str, shown: str
) -> None:
    london, _ = units
    anna = Resident(tenant=TENANT, account=ACCOUNT, epoch=1)
    await london.unit.accounts.change(anna, lambda db, n: profiles.set_name(db, n, "Anna Berg"))
    await write(london, from_, CARLA)
    (message,) = sent(london, Channel.MAIL).sent
    assert (message.sender_name, message.address) == (shown, "carla@mail.example")
    mail = mail_of(message, host="talk.example", now_ms=0).decode()
    for other in (WORK, PRIVATE, "@anna", NUMBER):
        if other != from_:
            assert other.removeprefix("mailto:").removeprefix("tel:") not in mail, other
    assert "Anna Berg" not in mail


async def test_a_text_goes_to_the_number_that_is_written_to(units: list[LinkedUnit]) -> None:
    london, _ = units
    await write(london, "@anna", DEV)
    (message,) = sent(london, Channel.TEXT).sent
    assert message.address == "+442079460302"
    assert "northwind" not in str(message)


@pytest.mark.parametrize(
    ("at", "expected"),
    [(BEN, "ben@contoso.example"), (BEN_HOME, "ben@mail.example"), ("", "ben@contoso.example")],
)
async def test_of_several_addresses_the_chosen_one_is_taken(
    units: list[LinkedUnit], at: str, expected: str
) -> None:
    london, oslo = units
    ben = Resident(tenant=TENANT, account="ben", epoch=1)
    await oslo.unit.accounts.change(
        ben, lambda db, n: book.change(db, n, add=[ACCOUNT], remove=[], now_ms=1)
    )
    await write(london, WORK, "ben", **({"ben": at} if at else {}))
    await oslo.settled()
    await oslo.pass_time(3_600.0)
    assert [one.address for one in sent(oslo, Channel.MAIL).sent][:1] == [expected]
