"""As which identifier a message is written, and at which its members: one's own proved ones alone,
and everybody is told of theirs alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import InvalidInput
from deployment_units.services.identities.kept import NotYourIdentifier
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import AccountUnit, account_unit
from tests.support.own_identifiers import furnish

TALK = b"conversation-one"
WORK, PRIVATE = "mailto:anna@northwind.example", "mailto:anna@mail.example"
BEN, CARLA, DEV = "mailto:ben@contoso.example", "@carla", "tel:+442079460302"


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[AccountUnit]:
    async with account_unit(tmp_path / "u") as one:
        await furnish(one, "anna", "@anna", WORK)
        await furnish(one, "anna", PRIVATE, proved=False)
        await furnish(one, "ben", BEN)
        await furnish(one, "carla", CARLA)
        yield one


def request(
    number: int, from_: str = "", *members: str, replaces: int = 0, text: str = "hello",
    **at: str,
) -> pb.SendMessageRequest:  # fmt: skip
    return pb.SendMessageRequest(
        conversation=TALK, id=number.to_bytes(16, "big"), members=members,
        content=pb.Content(text=text), from_identifier=from_, to_identifiers=at,
        replaces=replaces.to_bytes(16, "big") if replaces else b"",
    )  # fmt: skip


async def send(unit: AccountUnit, asked: pb.SendMessageRequest, by: str = "anna"):
    return await unit.conversations.SendMessage(asked, unit.by_ticket(by))


async def seen(unit: AccountUnit, account: str) -> list[tuple[str, dict[str, str]]]:
    """From which identifier each message is, and at which whom it is to, as the account has it."""
    ask = pb.ListMessagesRequest(conversation=TALK)
    listed = await unit.conversations.ListMessages(ask, unit.by_ticket(account))
    return [
        (one.content.from_identifier, dict(one.content.to_identifiers)) for one in listed.messages
    ]


async def test_each_member_is_told_of_what_was_chosen_of_it_alone(unit: AccountUnit) -> None:
    sent = await send(unit, request(1, WORK, "ben", "carla", DEV, ben=BEN, carla=CARLA))
    assert dict(sent.message.content.to_identifiers) == {"ben": BEN, "carla": CARLA}
    assert await seen(unit, "anna") == [(WORK, {"ben": BEN, "carla": CARLA})]
    assert await seen(unit, "ben") == [(WORK, {"ben": BEN})]
    assert await seen(unit, "carla") == [(WORK, {"carla": CARLA})]


@pytest.mark.parametrize(
    "not_hers", [PRIVATE, BEN, "@ben", "mailto:nobody@northwind.example", "tel:+442079460301"]
)
async def test_what_is_not_proved_or_anothers_cannot_be_written_as(
    unit: AccountUnit, not_hers: str
) -> None:
    with pytest.raises(NotYourIdentifier):
        await send(unit, request(1, not_hers, "ben"))
    assert await seen(unit, "ben") == []


async def test_it_is_read_in_normal_form(unit: AccountUnit) -> None:
    await send(unit, request(1, "MAILTO:anna@NORTHWIND.example", "ben", ben="@BEN"))
    assert await seen(unit, "ben") == [(WORK, {"ben": "@ben"})]


async def test_what_was_sent_may_be_sent_again_when_its_identifier_is_gone(
    unit: AccountUnit,
) -> None:
    first = await send(unit, request(1, WORK, "ben"))
    await furnish(unit, "anna", WORK)
    unit.directory.away = True

    def lose(db, owner):
        db.execute("UPDATE identifiers SET proved_ms = NULL WHERE owner = ?", (owner,))

    from_anna = unit.callers.resident(unit.by_ticket("anna").invocation_metadata() or ())
    await unit.accounts.change(from_anna, lose)
    assert await send(unit, request(1, WORK, "ben")) == first
    with pytest.raises(NotYourIdentifier):
        await send(unit, request(2, WORK, "ben"))


async def test_a_revision_is_from_whom_the_message_was(unit: AccountUnit) -> None:
    await send(unit, request(1, WORK, "ben", ben=BEN))
    await send(unit, request(2, replaces=1, text="hello again"))
    await send(unit, request(3, "@anna", replaces=1, text="and again"))
    assert await seen(unit, "ben") == [(WORK, {"ben": BEN}), (WORK, {"ben": BEN}), ("@anna", {})]


async def test_what_nothing_is_said_of_is_as_before(unit: AccountUnit) -> None:
    await send(unit, request(1, "", "ben"))
    assert await seen(unit, "ben") == [("", {})]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (request(1, WORK, "ben", carla=CARLA), "to_identifiers"),
        (request(1, WORK, DEV, **{DEV: "tel:+442079460399"}), f'to_identifiers["{DEV}"]'),
        (request(1, WORK, "ben", ben="mailto:"), 'to_identifiers["ben"]'),
        (request(1, "anna", "ben"), "from_identifier"),
        (request(1, WORK, "ben", **{f"a{n}": "@a" for n in range(65)}), "to_identifiers"),
    ],
)
async def test_what_is_wrong_is_named(unit: AccountUnit, asked, field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        await send(unit, asked)
    assert error.value.field == field


async def test_the_content_of_a_request_says_nothing_of_it(unit: AccountUnit) -> None:
    asked = request(1, "", "ben")
    asked.content.from_identifier = BEN
    asked.content.to_identifiers["ben"] = CARLA
    await send(unit, asked)
    assert await seen(unit, "ben") == [("", {})]


async def test_of_what_another_unit_brings_the_accounts_own_is_kept(unit: AccountUnit) -> None:
    content = pb.Content(
        text="hi", from_identifier="@zoe", to_identifiers={"ben": BEN, "carla": CARLA}
    )
    brought = pb.DeliverRequest(
        conversation=TALK, id=(1).to_bytes(16, "big"), members=["ben", "carla"], content=content
    )
    await unit.conversations.Deliver(brought, unit.by_introduction("ben", viewer="zoe"))
    assert await seen(unit, "ben") == [("@zoe", {"ben": BEN})]


async def test_who_has_no_account_writes_as_itself_alone(unit: AccountUnit) -> None:
    content = pb.Content(text="hi", from_identifier=WORK)
    brought = pb.DeliverRequest(
        conversation=TALK, id=(1).to_bytes(16, "big"), members=["ben", DEV], author=DEV,
        content=content,
    )  # fmt: skip
    await unit.conversations.Deliver(brought, unit.by_introduction("ben", viewer="anna"))
    assert await seen(unit, "ben") == [("", {})]
