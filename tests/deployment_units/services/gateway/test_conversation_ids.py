"""An id of a conversation is no place to wait for others: who uses one first, or knows it, keeps
nothing from anybody, and gets into nobody else's conversation."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import AlreadyExists
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.linked_units import LinkedUnit, enter, linked_units

TALK = b"conversation-one"


@pytest.fixture
async def units(tmp_path: Path) -> AsyncIterator[list[LinkedUnit]]:
    """anna and mallory live in london, ben in paris."""
    async with linked_units(tmp_path, "london", "paris") as both:
        for account in ("anna", "mallory"):
            await enter(both[0], account)
        await enter(both[1], "ben")
        yield both


async def talks_of(unit: LinkedUnit, account: str) -> dict[tuple[str, ...], bytes]:
    """Ids of an account's conversations, by their other members."""
    _, epoch = unit.directory.homes[account]
    listed = await unit.unit.conversations.ListConversations(
        pb.ListConversationsRequest(), unit.unit.by_ticket(account, epoch)
    )
    return {tuple(one.members): one.id for one in listed.conversations}


async def test_a_member_who_is_there_first_keeps_nothing_from_anybody(
    units: list[LinkedUnit],
) -> None:
    london, paris = units
    # mallory knows the id, and begins a conversation of it with ben before anna's message is there
    await london.send("mallory", 1, "here I wait", "ben")
    await london.settled()
    await london.send("anna", 2, "to all", "ben", "mallory")
    await london.settled()
    assert await london.deliveries_of("anna", 2) == {"ben": "HANDED_OVER", "mallory": "HANDED_OVER"}
    talks = await talks_of(paris, "ben")
    assert talks[("mallory",)] == TALK
    place = talks["anna", "mallory"]
    assert place != TALK
    assert await paris.read("ben", place) == [("anna", "to all")]
    # ... and what ben answers there goes on with anna's conversation, and with no other
    await paris.send("ben", 3, "from ben", talk=place)
    await paris.settled()
    assert await london.read("anna") == [("anna", "to all"), ("ben", "from ben")]
    assert await london.read("mallory") == [("mallory", "here I wait")]
    theirs = (await talks_of(london, "mallory"))["anna", "ben"]
    assert await london.read("mallory", theirs) == [("anna", "to all"), ("ben", "from ben")]
    await london.send("anna", 4, "more")
    await london.settled()
    assert (await paris.read("ben", place))[-1] == ("anna", "more")


async def test_who_is_no_member_begins_one_of_its_own(units: list[LinkedUnit]) -> None:
    london, paris = units
    await london.send("anna", 1, "for ben", "ben")
    await london.settled()
    await london.send("mallory", 2, "let me in", "anna", "ben")
    await london.send("mallory", 3, "and me", talk=TALK)
    await london.settled()
    assert await paris.read("ben") == [("anna", "for ben")]
    assert await london.read("anna") == [("anna", "for ben")]
    for unit, account, others in (
        (london, "anna", ("ben", "mallory")),
        (paris, "ben", ("anna", "mallory")),
    ):
        place = (await talks_of(unit, account))[others]
        assert [text for _, text in await unit.read(account, place)] == ["let me in", "and me"]


async def test_a_place_is_found_again_after_the_account_moved(units: list[LinkedUnit]) -> None:
    london, paris = units
    await london.send("mallory", 1, "here I wait", "ben")
    await london.settled()
    await london.send("anna", 2, "to all", "ben", "mallory")
    await london.settled()
    state = await read_state(paris.unit.state, TENANT, "ben")
    await replace_state(london.unit.state, TENANT, "ben", 2, state)
    london.directory.homes["ben"] = ("london", 2)
    place = (await talks_of(london, "ben"))["anna", "mallory"]
    await london.send("anna", 3, "once more")
    await london.settled()
    assert await london.read("ben", place) == [("anna", "to all"), ("anna", "once more")]
    await london.send("ben", 4, "here", talk=place)
    await london.settled()
    assert (await london.read("anna"))[-1] == ("ben", "here")


async def test_the_same_again_is_the_same_and_another_under_its_id_is_refused(
    units: list[LinkedUnit],
) -> None:
    london, paris = units
    await london.send("mallory", 1, "here I wait", "ben")
    await london.settled()
    request = pb.DeliverRequest(
        conversation=TALK, id=b"7" * 16, members=["ben", "mallory"], content=pb.Content(text="hi")
    )
    for _ in range(3):
        await paris.unit.conversations.Deliver(request, paris.unit.by_introduction("ben", "anna"))
    place = (await talks_of(paris, "ben"))["anna", "mallory"]
    assert len(await paris.read("ben", place)) == 1
    request.members.remove("mallory")
    with pytest.raises(AlreadyExists):
        await paris.unit.conversations.Deliver(request, paris.unit.by_introduction("ben", "anna"))


async def test_who_foresees_the_id_of_a_mail_does_not_keep_it_out(units: list[LinkedUnit]) -> None:
    london, _ = units
    carla = "mailto:carla@mail.example"
    await london.send("mallory", 1, "here I wait", "anna")
    written = NewMessage(
        id=b"9" * 16, conversation=TALK, sender=carla, via="anna",
        content=pb.Content(text="by mail").SerializeToString(),
    )  # fmt: skip
    anna = Resident(tenant=TENANT, account="anna", epoch=1)

    def take_in(db: sqlite3.Connection, owner: int) -> None:
        """As mail does, whose ids are made of what is in it."""
        london.unit.sender.send(db, owner, anna, written, [carla])

    await london.unit.accounts.change(anna, take_in)
    place = (await talks_of(london, "anna"))[(carla,)]
    assert await london.read("anna", place) == [(carla, "by mail")]
    assert await london.read("anna") == [("mallory", "here I wait")]
