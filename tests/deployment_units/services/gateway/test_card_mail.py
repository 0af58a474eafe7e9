"""Cards go by mail with links for whoever can press, and without for others."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.identifiers.identifier import Identifier
from control_plane.identifiers.uris import read_uri
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.cards.action_tokens import (
    ActionGrant,
    ActionTokens,
    TokenKey,
    TokenRefusal,
    claimed_by,
)
from deployment_units.services.channels.channel import Channel
from deployment_units.services.channels.port import OutgoingMessage
from deployment_units.services.contacts import book
from deployment_units.services.conversations.card_links import keys_of_links
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.gateway.card_mail import LINK_MS, CardLetter, with_card
from deployment_units.services.profiles import kept as profiles
from deployment_units.services.profiles.profile import Mode
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import delivery_pb2
from tests.support.account_units import TENANT
from tests.support.cards import document_of, submit, text_block
from tests.support.fakes.scripted_channel import TAKEN, ScriptedChannel
from tests.support.linked_units import LinkedUnit, enter, linked_units

CARD = document_of(
    text_block("New harvest"),
    actions=[submit("Order <now>", id="order"), submit("Sold out", isEnabled=False)],
)
PICTURED = document_of(
    {
        "type": "Container",
        "items": [{"type": "Image", "url": "https://talk.example/a.png", "altText": "a cup"}],
    },
)
MAIL = OutgoingMessage(message_id="1", attempt_id="1-1", address="anna@mail.example", text="A card")
GRANT = ActionGrant(
    tenant=TENANT, account="anna", message=bytes(16), revision=1, expires_ms=1_000_000
)
ANNA = Resident(tenant=TENANT, account="anna", epoch=1)


def test_both_parts_have_a_link_for_each_button_that_can_be_pressed() -> None:
    key = TokenKey(number=1, secret=bytes(32))
    letter = CardLetter(
        tenant=TENANT, account="anna", card=json.dumps(CARD), key=key, grant=GRANT,
        pages="https://u.talk.example/a/",
    )  # fmt: skip
    made, lost = with_card(MAIL, letter)
    found = [
        re.findall(r"https://u\.talk\.example/a/([\w-]+)", one) for one in (made.text, made.html)
    ]
    assert found[0] == found[1]
    (token,) = found[0]
    read = ActionTokens(key).read(token, now_ms=1)
    assert isinstance(read, ActionGrant)
    assert (read.action, claimed_by(token)) == ("order", read)
    assert made.text.startswith("A card\n\nNew harvest\n")
    assert "Order &lt;now&gt;" in made.html
    assert lost == ()


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        pytest.param(CARD, ("buttons",), id="nobody-can-press"),
        pytest.param({"type": "Newer"}, ("card",), id="of-another-version"),
        pytest.param(PICTURED, ("image",), id="no-image-is-fetched-for-a-mail"),
    ],
)
def test_without_a_key_nothing_leads_anywhere(card: object, expected: tuple[str, ...]) -> None:
    letter = CardLetter(tenant=TENANT, account="anna", card=json.dumps(card))
    made, lost = with_card(MAIL, letter)
    assert lost == expected
    assert "href" not in made.html
    assert made.text.startswith("A card")


@pytest.fixture
async def units(tmp_path: Path) -> AsyncIterator[list[LinkedUnit]]:
    """anna, who wants mail, lives in the first one."""
    async with linked_units(tmp_path, "london", "paris") as both:
        unit = both[0]
        unit.channels[Channel.MAIL] = ScriptedChannel(Channel.MAIL, TAKEN)
        await enter(unit, "anna")

        def furnish(db: sqlite3.Connection, owner: int) -> None:
            address = read_uri("mailto:anna@mail.example")
            assert isinstance(address, Identifier)
            profiles.add_identifier(db, owner, address, "")
            db.execute("UPDATE identifiers SET proved_ms = 1 WHERE owner = ?", (owner,))
            profiles.set_preferred(db, owner, [Mode.MAIL])
            book.change(db, owner, add=["roastery"], remove=[], now_ms=1)

        await unit.unit.accounts.change(ANNA, furnish)
        yield both


async def token_of_card(unit: LinkedUnit) -> str:
    """Of the link in the mail by which a card comes to anna."""
    request = pb.DeliverRequest(
        conversation=b"c" * 16, id=b"1" * 16, members=["anna"],
        content=pb.Content(text="A card", card=json.dumps(CARD)),
    )  # fmt: skip
    await unit.unit.conversations.Deliver(request, unit.unit.by_introduction("anna", "roastery"))
    await unit.settled()
    channel = unit.channels[Channel.MAIL]
    assert isinstance(channel, ScriptedChannel)
    (mail,) = channel.sent
    (token,) = re.findall(r"https://london\.talk\.example/a/([\w-]+)", mail.text)
    return str(token)


async def test_the_key_moves_with_the_account_and_is_its_own(units: list[LinkedUnit]) -> None:
    london, paris = units
    token = await token_of_card(london)
    now_ms = london.unit.wall_ms()

    def read(unit: LinkedUnit, at_ms: int) -> ActionGrant | TokenRefusal | None:
        keys = unit.unit.database.read(lambda db: keys_of_links(db, TENANT, "anna"))
        return ActionTokens(*keys).read(token, now_ms=at_ms) if keys else None

    assert read(paris, now_ms) is None
    state = await read_state(london.unit.state, TENANT, "anna")
    await replace_state(paris.unit.state, TENANT, "anna", 2, state)
    for unit in units:
        grant = read(unit, now_ms)
        assert isinstance(grant, ActionGrant)
        assert (grant.account, grant.message, grant.action) == ("anna", b"1" * 16, "order")
        assert read(unit, now_ms + LINK_MS) is TokenRefusal.EXPIRED
    await london.unit.state.forget(TENANT, "anna", 1)
    await london.unit.state.delete_gone()
    assert isinstance(read(london, now_ms), ActionGrant)  # as one of its own


async def test_who_has_no_account_is_shown_the_card_without_links(units: list[LinkedUnit]) -> None:
    await token_of_card(units[0])
    channel = units[0].channels[Channel.MAIL]
    assert isinstance(channel, ScriptedChannel)
    units[0].channels[Channel.TEXT] = ScriptedChannel(Channel.TEXT, TAKEN)
    content = pb.Content(text="A card", card=json.dumps(CARD)).SerializeToString()

    def put(db: sqlite3.Connection, owner: int) -> None:
        """As an application's reply does."""
        message = NewMessage(id=b"2" * 16, conversation=b"d" * 16, sender="anna", content=content)
        members = ["mailto:carla@mail.example", "tel:+442079460302"]
        units[0].unit.sender.send(db, owner, ANNA, message, members)

    await units[0].unit.accounts.change(ANNA, put)
    await units[0].settled()
    mail = channel.sent[-1]
    assert mail.address == "carla@mail.example"
    assert "New harvest" in mail.html
    assert "/a/" not in mail.html + mail.text
    listed = await units[0].deliveries.ListDeliveries(
        delivery_pb2.ListDeliveriesRequest(message=b"2" * 16), units[0].unit.by_ticket("anna")
    )
    lost = {one.recipient: list(one.attempts[0].lost) for one in listed.deliveries}
    assert lost == {"mailto:carla@mail.example": ["buttons"], "tel:+442079460302": ["card"]}
