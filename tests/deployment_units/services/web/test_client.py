"""The web client in real browsers: somebody signs in by a link, two talk live, a card is shown, and
nothing of it is stopped by the policy or leaves the unit."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deployment_units.services.accounts.entry import Resident
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import delivery_pb2, profile_pb2
from tests.support.browsers import ENTER, Browsers, Window, browsers
from tests.support.web_units import WAIT_S, WebUnit, web_unit

pytestmark = [pytest.mark.slow]
CARD: dict[str, Any] = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "body": [
        {"type": "TextBlock", "text": "**Yirgacheffe**, new harvest", "size": "Large"},
        {
            "type": "TextBlock",
            "wrap": True,
            "text": "Washed, from Gedeb. [More about it](https://roastery.example/yirga)",
        },
        {"type": "Image", "url": "https://roastery.example/bag.png", "altText": "a blue bag"},
        {"type": "FactSet", "facts": [
            {"title": "Bag", "value": "250 g"}, {"title": "Price", "value": "£11.50"},
        ]},
        {"type": "TextBlock", "text": "<script>document.title='owned'</script>"},
        {"type": "Input.Number", "id": "amount", "label": "Bags", "min": 1, "max": 9, "value": 2,
         "isRequired": True, "errorMessage": "One to nine"},
    ],
    "actions": [
        {"type": "Action.Submit", "id": "order", "title": "Order", "style": "positive"},
        {"type": "Action.Submit", "id": "later", "title": "Not now", "associatedInputs": "none"},
        {"type": "Action.OpenUrl", "title": "About it", "url": "https://roastery.example/yirga"},
    ],
}  # fmt: skip


class Names:
    """What accounts call themselves; see MemberNames."""

    def __init__(self, known: dict[str, str]) -> None:
        self.known = known

    async def name(self, viewer: Resident, account: str) -> str:
        return self.known[account]


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[WebUnit]:
    async with web_unit(tmp_path / "u", "anna", "ben", "carla") as one:
        one.unit.names.known |= {
            "@ben": ["ben"], "ben": ["ben"], "carla": ["carla"], "nina": ["nina"],
            "anna": ["anna"],
            "roastery": ["roastery"],
        }  # fmt: skip
        yield one


@pytest.fixture
async def opened() -> AsyncIterator[Browsers]:
    async with browsers() as one:
        yield one


async def signed_in(window: Window, unit: WebUnit, account: str) -> None:
    await window.go(f"{unit.url}/client/#ticket={unit.ticket(account)}")
    await window.sees(f"signs you in as {account} of talk", "#sign-in-form")
    assert "ticket" not in await window.run("return location.href")
    await window.click("#sign-in-form button")
    await window.until("!document.getElementById('client').hidden")


async def deliver_card(unit: WebUnit, card: Any) -> None:
    """From an application to anna."""
    content = pb.Content(text="Yirgacheffe, new harvest", card=json.dumps(card))
    request = pb.DeliverRequest(
        conversation=(2).to_bytes(16, "big"), id=os.urandom(16), members=["anna"], content=content
    )
    context = unit.unit.by_introduction("anna", "roastery")
    await unit.unit.conversations.Deliver(request, context)  # type: ignore[arg-type]


async def first_press(unit: WebUnit) -> pb.Press | None:
    """Of anna's first message from the application."""
    listed = await unit.unit.conversations.ListMessages(
        pb.ListMessagesRequest(conversation=(2).to_bytes(16, "big")),
        unit.unit.by_ticket("anna"),  # type: ignore[arg-type]
    )
    return next(iter(listed.messages[0].presses), None)


async def test_two_talk_live(unit: WebUnit, opened: Browsers) -> None:
    async with opened.window() as anna, opened.window() as ben:
        await signed_in(anna, unit, "anna")
        await signed_in(ben, unit, "ben")
        await anna.click("#new")
        await anna.type("#to", "@ben")
        await anna.type("#composer-text", f"Are you coming <b>tomorrow</b>?{ENTER}")
        await anna.sees("Are you coming <b>tomorrow</b>?", "#messages .mine")
        await ben.sees("tomorrow", "#conversations .is-unread")
        await ben.click("#conversations a")
        await ben.sees("Are you coming <b>tomorrow</b>?", "#messages")
        await ben.type("#composer-text", f"Yes\ue008{ENTER}\ue000and early{ENTER}")
        await anna.sees("Yes\nand early", "#messages .message:not(.mine)")
        # After another page: what was kept, and still signed in.
        await anna.go(f"{unit.url}/client/")
        await anna.click("#conversations a")
        await anna.sees("and early", "#messages")
        assert await ben.run("return document.querySelectorAll('.unread').length") == 0
        assert await anna.complaints() == await ben.complaints() == []
        await anna.click("#sign-out")
        await anna.sees("You are signed out", "#sign-in-form")
        await anna.go(f"{unit.url}/client/")
        await anna.sees("sign-in link", "#sign-in-form")


async def test_names_are_found_and_who_is_not_there_is_said(
    unit: WebUnit, opened: Browsers
) -> None:
    async with opened.window() as anna:
        await signed_in(anna, unit, "anna")
        await anna.click("#new")
        await anna.until("document.activeElement.id === 'to'")
        await anna.type("#to", "@mallory")
        await anna.type("#composer-text", f"hello{ENTER}")
        await anna.sees("mallory", "#composer-error")
        assert await anna.run("return document.getElementById('composer-text').value") == "hello"
        await anna.run("document.getElementById('to').value = ''")
        await anna.type("#to", "@ben, carla@mail.example; +44 20 7946 0302")
        await anna.click("#send")
        await anna.sees("hello", "#messages .mine")
        await anna.sees("@ben", "#title")
        listed = await unit.unit.conversations.ListConversations(
            pb.ListConversationsRequest(),
            unit.unit.by_ticket("anna"),  # type: ignore[arg-type]
        )
        (talk,) = listed.conversations
        assert list(talk.members) == ["ben", "mailto:carla@mail.example", "tel:+442079460302"]
        await anna.go(f"{unit.url}/client/")  # by the same names after another page
        await anna.sees("@ben, carla@mail.example", "#conversations")


async def test_a_mail_says_that_anybody_may_have_written_it(
    unit: WebUnit, opened: Browsers
) -> None:
    mail = pb.ByMail(address="mallory@mail.example", attachments=["winmail.dat"])
    content = pb.Content(text="I am Ben", by_mail=mail)
    request = pb.DeliverRequest(
        conversation=b"c" * 16, id=b"m" * 16, members=["anna"], content=content
    )
    sender = unit.unit.by_introduction("anna", "ben")
    await unit.unit.conversations.Deliver(request, sender)  # type: ignore[arg-type]
    async with opened.window() as anna:
        await signed_in(anna, unit, "anna")
        await anna.click("#conversations a")
        said = (
            "by mail from mallory@mail.example, unverified · attached and not opened: winmail.dat"
        )
        await anna.sees(said, "#messages .meta")


async def test_people_are_shown_by_the_names_that_they_give_themselves(
    unit: WebUnit, opened: Browsers
) -> None:
    """Beside what tells them apart, for a name is anybody's; and one's own."""
    unit.unit.conversations.names = Names({"ben": "Ben Carter", "carla": ""})
    request = profile_pb2.UpdateProfileRequest(name="Anna B.")
    await unit.unit.profiles.UpdateProfile(request, unit.unit.by_ticket("anna"))  # type: ignore[arg-type]
    async with opened.window() as anna, unit.browser("ben") as ben:
        await ben.call("SendMessage", {
            "conversation": base64.b64encode(bytes(16)).decode(),
            "id": base64.b64encode(bytes(16)).decode(),
            "members": ["anna", "carla"], "content": {"text": "hello"},
        })  # fmt: skip
        await signed_in(anna, unit, "anna")
        await anna.sees("Anna B.", "#me")
        await anna.sees("Ben Carter, carla", "#conversations")
        await anna.until("document.querySelector('#conversations time')")
        await anna.click("#conversations a")
        await anna.sees("Ben Carter", "#messages .name")
        await anna.sees("ben, carla", "#subtitle")
        # Escape leads back to the list, and arrows through it.
        await anna.type("#messages", "\ue00c")
        await anna.until("document.activeElement.closest('#conversations')")
        assert await anna.complaints() == []


async def test_earlier_messages_come_from_the_newest_back(unit: WebUnit, opened: Browsers) -> None:
    sender = unit.unit.by_introduction("anna", "ben")
    for number in range(1, 421):
        content = pb.Content(text=f"number {number}.")
        request = pb.DeliverRequest(
            conversation=b"c" * 16, id=number.to_bytes(16, "big"), members=["anna"],
            content=content,
        )  # fmt: skip
        await unit.unit.conversations.Deliver(request, sender)  # type: ignore[arg-type]
    async with opened.window() as anna:
        await signed_in(anna, unit, "anna")
        await anna.click("#conversations a")
        await anna.sees("number 420.", "#messages")
        # How many pages that takes depends on what had come when it was opened.
        await anna.until(
            "(document.querySelector('.earlier')?.click(), "
            "document.querySelectorAll('#messages .message').length === 420)"
        )
        await anna.sees("number 1.", "#messages")
        await anna.until("!document.querySelector('.earlier')")


async def test_a_card_is_shown_and_nothing_of_it_runs_or_is_fetched(
    unit: WebUnit, opened: Browsers
) -> None:
    async with opened.window() as anna:
        await signed_in(anna, unit, "anna")
        await deliver_card(unit, CARD)
        await anna.click("#conversations a")
        for text in ("Yirgacheffe, new harvest", "(roastery.example)", "a blue bag", "250 g"):
            await anna.sees(text, "#messages .card")
        await anna.sees("<script>document.title='owned'</script>", "#messages .card")
        await anna.sees("About it ↗ roastery.example", "#messages .card button")
        assert await anna.run("return document.querySelectorAll('.card img').length") == 0
        assert "owned" not in await anna.run("return document.title")
        fetched = await anna.run(
            "return performance.getEntriesByType('resource').map(x => new URL(x.name).host)"
        )
        assert set(fetched) == {unit.server.address}
        # What was filled in stays when something else comes.
        await anna.type(".card input[type=number]", "\ue003\ue0177")
        async with unit.browser("carla") as carla:
            name = base64.b64encode(bytes(16)).decode()
            await carla.call("SendMessage", {
                "conversation": name, "id": name, "members": ["anna"], "content": {"text": "hello"},
            })  # fmt: skip
        await anna.sees("hello", "#conversations")
        value = await anna.run("return document.querySelector('.card input').value")
        assert value.endswith("7")
        assert await anna.run("return document.activeElement.type") == "number"  # the focus, too
        assert await anna.complaints() == []


async def test_a_button_counts_once_and_waits_for_as_long_as_it_takes(
    unit: WebUnit, opened: Browsers
) -> None:
    async with opened.window() as anna:
        await signed_in(anna, unit, "anna")
        await deliver_card(unit, CARD)
        await anna.click("#conversations a")
        await anna.type(".card input[type=number]", "\ue003\ue017")  # what is needed is not there
        await anna.click(".card button.style-positive")
        await anna.sees("One to nine", "#messages .card")
        assert await anna.run("return document.querySelector('.pressed')") is None
        await anna.type(".card input[type=number]", "3")
        await anna.click(".card button.style-positive")
        waits = "You pressed “Order”; roastery has not answered yet"
        await anna.sees(waits, "#messages .pressed")
        await anna.until("document.querySelector('.card button').disabled")
        # It is shown before it is kept.
        async with asyncio.timeout(WAIT_S):
            while not (press := await first_press(unit)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert (press.action, press.state) == ("order", pb.PRESS_STATE_WAITING)
        await anna.go(f"{unit.url}/client/")  # and after another page
        await anna.click("#conversations a")
        await anna.sees(waits, "#messages .pressed")
        assert await anna.run("return document.querySelector('.card button').disabled")
        # The answer may come hours later, and says what it answers.
        content = pb.Content(text="Three bags, on Tuesday", answers=press.id)
        answer = pb.DeliverRequest(
            conversation=(2).to_bytes(16, "big"), id=os.urandom(16), members=["anna"],
            content=content,
        )  # fmt: skip
        context = unit.unit.by_introduction("anna", "roastery")
        await unit.unit.conversations.Deliver(answer, context)  # type: ignore[arg-type]
        await anna.sees("“Order” is done", "#messages .pressed")
        await anna.sees("Three bags", "#messages")
        assert await anna.complaints() == []


async def test_a_message_says_what_became_of_it(unit: WebUnit, opened: Browsers) -> None:
    async with opened.window() as anna:
        await signed_in(anna, unit, "anna")
        await anna.click("#new")
        await anna.type("#to", "nina")
        await anna.type("#composer-text", f"hello{ENTER}")
        await anna.sees("on its way to nina", "#messages .mine")
        listed = await unit.unit.conversations.ListConversations(
            pb.ListConversationsRequest(),
            unit.unit.by_ticket("anna"),  # type: ignore[arg-type]
        )
        one = await unit.unit.conversations.ListMessages(
            pb.ListMessagesRequest(conversation=listed.conversations[0].id),
            unit.unit.by_ticket("anna"),  # type: ignore[arg-type]
        )
        known = delivery_pb2.Delivery(
            message=one.messages[0].id, recipient="nina", words="no such account",
            state=delivery_pb2.DELIVERY_STATE_UNDELIVERABLE,
            attempts=[delivery_pb2.Attempt(number=1, lost=["formatting", "image"])],
        )  # fmt: skip
        unit.deliveries.known = [known]
        await anna.sees(
            "could not be delivered to nina (no such account) without formatting, image",
            "#messages .mine",
        )
        assert await anna.complaints() == []


async def test_a_ticket_that_ends_leads_back_to_signing_in(unit: WebUnit, opened: Browsers) -> None:
    async with opened.window() as anna:
        await signed_in(anna, unit, "anna")
        unit.unit.now += 4_000
        await anna.sees("Your ticket is over", "#sign-in-form")
