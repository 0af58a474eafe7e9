"""Messages that are HTML alone are read once, apart from the event loop, and few are remembered."""

from __future__ import annotations

import threading
from pathlib import Path

from deployment_units.services.accounts.entry import Resident
from deployment_units.services.channels.channel import Channel
from deployment_units.services.conversations.card_checks import Bringer, CardChecks
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.gateway.composing import AT_ONCE
from deployment_units.services.gateway.convert.html_text import HtmlText, html_to_text
from deployment_units.services.gateway.convert.text_html import text_to_html
from deployment_units.services.gateway.read_html import ReadHtml
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.fakes.scripted_channel import TAKEN, ScriptedChannel
from tests.support.linked_units import enter, linked_units

ANNA = Bringer("talk", "anna")


class Reading:
    """Reads, and notes in which threads."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def __call__(self, html: str) -> HtmlText:
        self.threads.append(threading.get_ident())
        return html_to_text(html)


async def test_what_is_prepared_is_read_once_and_elsewhere() -> None:
    reading = Reading()
    html = ReadHtml(read=reading)
    for _ in range(2):
        await html.prepare("<p>hello</p>", CardChecks(), ANNA)
        assert html.of("<p>hello</p>").text == "hello"
    assert len(reading.threads) == 1
    assert reading.threads[0] != threading.get_ident()


async def test_few_are_remembered() -> None:
    html = ReadHtml(most_characters=3 * len("<p>1</p>1"))
    for number in range(1, 9):
        await html.prepare(f"<p>{number}</p>", CardChecks(), ANNA)
    assert len(html) == 3
    assert html.of("<p>1</p>").text == "1"  # all the same


async def test_a_message_is_prepared_before_its_mail_is_composed(tmp_path: Path) -> None:
    async with linked_units(tmp_path, "london") as (unit,):
        mail = unit.channels[Channel.MAIL] = ScriptedChannel(Channel.MAIL, TAKEN)
        await enter(unit, "anna")
        anna = Resident(tenant=TENANT, account="anna", epoch=1)
        content = pb.Content(html="<p>Coming?</p>").SerializeToString()
        message = NewMessage(id=bytes(16), conversation=bytes(16), sender="anna", content=content)
        await unit.unit.accounts.change(
            anna,
            lambda db, owner: unit.unit.sender.send(
                db, owner, anna, message, ["mailto:carla@mail.example"]
            ),
        )
        await unit.settled()
        assert mail.sent[0].text.strip() == "Coming?"
        assert mail.sent[0].html == text_to_html("Coming?")
        assert len(unit.composer.html) == 1


async def test_the_html_of_a_long_mail_is_written_as_that_of_a_short_one(tmp_path: Path) -> None:
    async with linked_units(tmp_path, "london") as (unit,):
        mail = unit.channels[Channel.MAIL] = ScriptedChannel(Channel.MAIL, TAKEN)
        await enter(unit, "anna")
        for number, text in enumerate(("short", "long " * AT_ONCE), 1):
            await unit.send("anna", number, text, "mailto:carla@mail.example")
            await unit.settled()
            assert mail.sent[-1].html == text_to_html(mail.sent[-1].text)
