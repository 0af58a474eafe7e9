"""Presses of a card of an application at another unit, over sockets: each arrives once, whatever is
lost on the way, and is answered, or refused with a word why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from deployment_units.services.applications.handing_on import HandingOn
from deployment_units.services.applications.port import CLICK_FEED
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.application_units import (
    TALK,
    ApplicationUnit,
    application_unit,
    offers_and_orders,
    until,
)
from tests.support.fakes.data_sharing import FakeDataSharing
from tests.support.linked_units import FakeDirectory, enter, linked_unit


@asynccontextmanager
async def two_units(folder: Path, sharing: FakeDataSharing) -> AsyncIterator[list[ApplicationUnit]]:
    """Anna's unit, and that of the roastery, with a card in their conversation."""
    directory = FakeDirectory()
    async with AsyncExitStack() as stack:
        units = []
        for name, at_home, known in (
            ("a", "anna", FakeDataSharing({})),
            ("b", "roastery", sharing),
        ):
            unit = await stack.enter_async_context(
                application_unit(folder / name, known, unit_id=name, issuer=directory.issuer)
            )
            linked = await stack.enter_async_context(linked_unit(unit, directory))
            unit.agent.handing_on = HandingOn(unit.accounts, unit.residents, linked.peers)
            await enter(linked, at_home)
            units.append(unit)
        request = pb.SendMessageRequest(
            conversation=TALK, id=bytes(15) + b"1", content=pb.Content(text="hello"),
            members=["roastery"],
        )  # fmt: skip
        await units[0].conversations.SendMessage(request, units[0].by_ticket("anna"))
        yield units


async def press(unit: ApplicationUnit, card: bytes, id_: bytes, action: str = "order") -> bytes:
    request = pb.ClickRequest(message=card, action=action, press=id_)
    answer = await unit.conversations.Click(request, unit.by_ticket("anna"))
    return bytes(answer.press)


async def states(unit: ApplicationUnit, account: str, card: bytes) -> list[int]:
    """Of the account's own presses, as the unit keeps them."""
    shown = {one.id: one for one in await unit.read(account)}[card]
    return [one.state for one in shown.presses]


async def test_a_press_is_handed_on_once_and_done_when_it_is_answered(tmp_path: Path) -> None:
    sharing = FakeDataSharing({"roastery": "coffee"}, offers_and_orders)
    async with two_units(tmp_path, sharing) as (here, _):
        card = (await here.card("anna")).id
        assert [await press(here, card, one * 16) for one in (b"p", b"p", b"q")] == [b"p" * 16] * 3

        async def ordered() -> bool:
            return "ordered 1" in [one.content.text for one in await here.read("anna")]

        await until(ordered)
        assert await states(here, "anna", card) == [pb.PRESS_STATE_DONE]
        assert [one.id for one in sharing.of(CLICK_FEED)] == [(b"p" * 16).hex()]


async def test_a_press_that_its_feed_refuses_is_refused_where_it_was_made(tmp_path: Path) -> None:
    sharing = FakeDataSharing({"roastery": "coffee"}, offers_and_orders)
    sharing.refused = {(b"p" * 16).hex(): "the event has 17 KiB"}
    async with two_units(tmp_path, sharing) as (here, _):
        card = (await here.card("anna")).id
        await press(here, card, b"p" * 16)

        async def told() -> bool:
            return await states(here, "anna", card) == [pb.PRESS_STATE_REFUSED]

        await until(told)
        *_, why = await here.read("anna")
        assert why.content.text == "What was pressed was not taken: the event has 17 KiB"
        assert (why.sender, why.content.in_reply_to) == ("roastery", card)
        request = pb.ClickRequest(message=card, action="order", press=b"q" * 16)
        again = await here.conversations.Click(request, here.by_ticket("anna"))
        assert again.state == pb.PRESS_STATE_REFUSED
