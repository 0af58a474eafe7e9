"""Deliveries to people without an account: over the channel that they have, again where that cannot
double them, and with what the other side said."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.message_links import linked
from deployment_units.services.channels.port import OutgoingMessage, SendResult
from deployment_units.services.conversations import kept as conversations
from deployment_units.services.gateway.composing import Composed
from deployment_units.services.gateway.route import RouteStep
from deployment_units.services.state import owners
from homeport.api.communication.v1 import conversation_pb2
from homeport.api.communication.v1 import delivery_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.fakes.scripted_channel import (
    LATER,
    NEVER,
    SILENT,
    TAKEN,
    THERE,
    ScriptedChannel,
)
from tests.support.linked_units import LinkedUnit, enter, linked_units

pb_content = conversation_pb2.Content
CARLA, DEV = "mailto:carla@mail.example", "tel:+442079460302"


@pytest.fixture
async def london(tmp_path: Path) -> AsyncIterator[LinkedUnit]:
    async with linked_units(tmp_path, "london") as (unit,):
        await enter(unit, "anna")
        yield unit


async def sent(unit: LinkedUnit, channel: ScriptedChannel, *members: str) -> None:
    unit.channels[channel.channel] = channel
    await unit.send("anna", 1, "hello there", *members)
    await unit.settled()


async def test_what_messages_say_is_not_read_where_deliveries_are_listed(
    london: LinkedUnit,
) -> None:
    await sent(london, ScriptedChannel(Channel.MAIL, TAKEN), CARLA)
    read: set[str] = set()

    def noted(action: int, table: str | None, column: str | None, *more: object) -> int:
        if action == sqlite3.SQLITE_READ and table == "messages":
            read.add(column or "")
        return sqlite3.SQLITE_OK

    london.unit.database.reader.set_authorizer(noted)
    listed = await london.deliveries.ListDeliveries(
        pb.ListDeliveriesRequest(), london.unit.by_ticket("anna")
    )
    london.unit.database.reader.set_authorizer(None)
    assert [one.recipient for one in listed.deliveries] == [CARLA]
    assert "id" in read
    assert "content" not in read


async def test_each_over_the_channel_it_has_with_its_own_state(london: LinkedUnit) -> None:
    mail, text = ScriptedChannel(Channel.MAIL, TAKEN), ScriptedChannel(Channel.TEXT, THERE)
    london.channels[Channel.TEXT] = text
    await sent(london, mail, CARLA, DEV)
    assert await london.deliveries_of("anna", 1) == {CARLA: "HANDED_OVER", DEV: "DELIVERED"}
    (mailed,), (texted,) = mail.sent, text.sent
    assert (mailed.address, mailed.text.strip()) == ("carla@mail.example", "hello there")
    assert mailed.reply_address.startswith("reply+")
    assert mailed.reply_address.endswith("@talk.example")
    assert (texted.address, texted.texts) == ("+442079460302", ("hello there",))
    listed = await london.deliveries.ListDeliveries(
        pb.ListDeliveriesRequest(), london.unit.by_ticket("anna")
    )
    assert {one.attempts[0].evidence for one in listed.deliveries} == {TAKEN.words, THERE.words}


async def test_what_was_not_taken_is_sent_again_under_its_id(london: LinkedUnit) -> None:
    mail = ScriptedChannel(Channel.MAIL, LATER, SILENT, TAKEN)
    await sent(london, mail, CARLA)
    for _ in range(4):
        await london.pass_time(300.0)
    assert await london.deliveries_of("anna", 1) == {CARLA: "HANDED_OVER"}
    assert len(mail.sent) == 3
    assert len({one.message_id for one in mail.sent}) == 1
    assert len({one.attempt_id for one in mail.sent}) == 3


async def test_what_may_have_arrived_is_not_sent_again_where_it_would_be_twice(
    london: LinkedUnit,
) -> None:
    text = ScriptedChannel(Channel.TEXT, SILENT, THERE, duplicates=False)
    await sent(london, text, DEV)
    for _ in range(4):
        await london.pass_time(3_600.0)
    assert await london.deliveries_of("anna", 1) == {DEV: "UNKNOWN"}
    assert len(text.sent) == 1


async def test_refused_for_good_and_no_such_channel_end_it(london: LinkedUnit) -> None:
    mail = ScriptedChannel(Channel.MAIL, NEVER)
    await sent(london, mail, CARLA, DEV)
    assert await london.deliveries_of("anna", 1) == {CARLA: "UNDELIVERABLE", DEV: "UNDELIVERABLE"}
    london.channels[Channel.TEXT] = ScriptedChannel(Channel.TEXT, THERE)
    again = pb.RedriveRequest(message=bytes(15) + b"\x01", recipient=DEV)
    await london.deliveries.Redrive(again, london.unit.by_ticket("anna"))
    await london.settled()
    assert (await london.deliveries_of("anna", 1))[DEV] == "DELIVERED"


async def test_what_is_driven_anew_goes_under_another_id(london: LinkedUnit) -> None:
    text = ScriptedChannel(Channel.TEXT, NEVER, NEVER, THERE, duplicates=False)
    await sent(london, text, DEV)
    again = pb.RedriveRequest(message=bytes(15) + b"\x01", recipient=DEV)
    for state in ("UNDELIVERABLE", "DELIVERED"):
        assert (await london.deliveries.Redrive(again, london.unit.by_ticket("anna"))).redriven
        await london.settled()
        assert await london.deliveries_of("anna", 1) == {DEV: state}
    assert len({one.attempt_id for one in text.sent}) == 3


@pytest.mark.parametrize(
    ("content", "recipient", "expected"),
    [
        pytest.param(pb_content(text="hello"), CARLA, [], id="nothing"),
        pytest.param(
            pb_content(html="<p>hello <img src=x alt=you></p>"), CARLA, ["formatting", "image"],
            id="html-as-text",
        ),
        pytest.param(pb_content(text="“hello”"), DEV, ["typography"], id="text-in-segments"),
    ],
)  # fmt: skip
async def test_what_was_lost_stands_with_the_attempt_also_when_it_was_made_again(
    london: LinkedUnit, content: conversation_pb2.Content, recipient: str, expected: list[str]
) -> None:
    for channel in (Channel.MAIL, Channel.TEXT):
        london.channels[channel] = ScriptedChannel(channel, LATER, TAKEN)
    request = conversation_pb2.SendMessageRequest(
        conversation=b"c" * 16, id=b"7" * 16, content=content, members=[recipient]
    )
    await london.unit.conversations.SendMessage(request, london.unit.by_ticket("anna"))
    await london.settled()
    await london.pass_time(300.0)
    listed = await london.deliveries.ListDeliveries(
        pb.ListDeliveriesRequest(), london.unit.by_ticket("anna")
    )
    (delivery,) = listed.deliveries
    assert [list(one.lost) for one in delivery.attempts] == [expected] * 2


@pytest.mark.parametrize(
    ("text", "messages", "lost"),
    [
        pytest.param("roast " * 76, 3, [], id="three-go-whole"),
        pytest.param("roast " * 77, 1, ["length"], id="four-are-cut-to-one"),
        pytest.param("жар " * 51, 1, ["length"], id="of-ucs2-too"),
    ],
)
async def test_a_text_of_too_many_messages_is_one_with_a_link(
    london: LinkedUnit, text: str, messages: int, lost: list[str]
) -> None:
    sms = london.channels[Channel.TEXT] = ScriptedChannel(Channel.TEXT, LATER, THERE)
    await london.send("anna", 1, text, DEV)
    await london.settled()
    await london.pass_time(300.0)
    assert await london.deliveries_of("anna", 1) == {DEV: "DELIVERED"}
    first, again = sms.sent
    assert first.texts == again.texts  # the same link
    assert len(again.texts) == messages
    listed = await london.deliveries.ListDeliveries(
        pb.ListDeliveriesRequest(), london.unit.by_ticket("anna")
    )
    assert list(listed.deliveries[0].attempts[-1].lost) == lost
    if not lost:
        assert "".join(again.texts) == text
        return
    found = re.search(r"\.\.\. https://london\.talk\.example/m/(\S+)$", again.texts[0])
    assert found is not None
    link = london.unit.database.read(lambda db: linked(db, found[1], now_ms=london.unit.wall_ms()))
    assert link is not None
    assert (link.account, link.position) == ("anna", 1)


@pytest.mark.parametrize(
    ("length", "messages", "state"),
    [
        pytest.param(1_530, 10, "DELIVERED", id="ten-go-whole"),
        pytest.param(1_535, 0, "UNDELIVERABLE", id="eleven-do-not-go"),
    ],
)
async def test_a_code_is_shown_on_no_page(
    london: LinkedUnit, length: int, messages: int, state: str
) -> None:
    sms = london.channels[Channel.TEXT] = ScriptedChannel(Channel.TEXT, THERE)
    handling = conversation_pb2.Handling(
        message_class=conversation_pb2.MESSAGE_CLASS_CODE, channel=conversation_pb2.CHANNEL_TEXT
    )
    request = conversation_pb2.SendMessageRequest(
        conversation=b"c" * 16, id=bytes(15) + b"\x01",
        content=pb_content(text="4711 " * (length // 5)),
        members=[DEV], handling=handling,
    )  # fmt: skip
    await london.unit.conversations.SendMessage(request, london.unit.by_ticket("anna"))
    await london.settled()
    assert await london.deliveries_of("anna", 1) == {DEV: state}
    sent = [text for one in sms.sent for text in one.texts]
    assert len(sent) == messages
    assert "".join(sent) == ("4711 " * (length // 5) if messages else "")


@pytest.mark.parametrize("words", [77, 255, 256])
async def test_without_pages_nothing_is_cut(london: LinkedUnit, words: int) -> None:
    await london.send("anna", 1, "roast " * words, DEV)
    composer = replace(london.composer, message_pages="")
    step = RouteStep(channel=Channel.TEXT, address=DEV[4:], at_ms=0, deadline_ms=1)

    def compose(db: sqlite3.Connection) -> Composed:
        owner = owners.find(db, TENANT, "anna")
        assert owner is not None
        message = conversations.at(db, owner.number, 1)
        assert message is not None
        return composer.compose(db, owner, message, DEV, step, 1)

    if words > 255:
        with pytest.raises(InvalidInput, match="10 text messages without one"):
            await london.unit.database.transact(compose)
        return
    composed = await london.unit.database.transact(compose)
    assert "".join(composed.message.texts) == "roast " * words
    assert composed.lost == ()


class Dying(ScriptedChannel):
    """The unit ends while it sends: nothing is noted."""

    async def send(self, message: OutgoingMessage, *, within_s: float) -> SendResult:
        raise KeyError("the unit dies here")


@pytest.mark.parametrize(
    ("duplicates", "expected", "sends"),
    [
        pytest.param(True, "HANDED_OVER", 1, id="made-again-where-it-is-known"),
        pytest.param(False, "UNKNOWN", 0, id="shown-as-unknown-where-it-is-not"),
    ],
)
async def test_an_attempt_of_which_nothing_was_noted(
    london: LinkedUnit, duplicates: bool, expected: str, sends: int
) -> None:
    await sent(london, Dying(Channel.MAIL, TAKEN), CARLA)
    mail = ScriptedChannel(Channel.MAIL, TAKEN, duplicates=duplicates)
    london.channels[Channel.MAIL] = mail
    await london.pass_time(120.0)
    assert await london.deliveries_of("anna", 1) == {CARLA: expected}
    assert len(mail.sent) == sends
