"""Presses: each counts once, whoever repeats it and wherever the card's account lives; what does
not count leaves nothing; what was pressed is shown, and moves with the account."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import InvalidInput, NotFound, PermissionDenied, Unavailable
from control_plane.sqlite.schema import Schema, migrate
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations import kept, presses
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.conversations.press import KeptPress
from deployment_units.services.conversations.press_judging import NothingPressed
from deployment_units.services.state import owners
from deployment_units.services.state.parts import prepare
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT, AccountUnit, account_unit, an_issuer
from tests.support.cards import document_of, submit
from tests.support.fakes.press_doors import FakePressDoors

TALK = b"conversation-one"
CARD = b"c" * 16
WAITING, DONE, SUPERSEDED = (
    pb.PRESS_STATE_WAITING, pb.PRESS_STATE_DONE, pb.PRESS_STATE_SUPERSEDED,
)  # fmt: skip
AMOUNT = {"type": "Input.Number", "id": "amount", "label": "Bags", "min": 1, "max": 9}
BUTTONS = [
    submit("Order", id="order", data={"sku": "yirga"}),
    submit("Mine", id="mine", once="card", associatedInputs="none"),
    submit("More", id="more", once="repeat", associatedInputs="none"),
    submit("Off", id="off", isEnabled=False),
]


def id_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def card_text(buttons: list[Any]) -> str:
    return json.dumps(document_of(AMOUNT, actions=buttons))


@pytest.fixture
def doors() -> FakePressDoors:
    return FakePressDoors({"roastery"})


@pytest.fixture
async def unit(tmp_path: Path, doors: FakePressDoors) -> AsyncIterator[AccountUnit]:
    """Where Anna, Ben and the roastery live, which has sent both a card."""
    async with account_unit(tmp_path / "u", press_doors=doors) as one:
        for name in ("anna", "ben", "roastery"):
            await put(one, name, members={"anna", "ben", "roastery"} - {name})
        yield one


async def put(
    unit: AccountUnit, account: str, *, members: set[str], number: int = 1, epoch: int = 1,
    buttons: list[Any] = BUTTONS, answers: bytes = b"", sender: str = "roastery",
) -> None:  # fmt: skip
    """Keeps a revision of the card, or that it was taken back, in an account's copy."""
    card = card_text(buttons) if buttons else ""
    message = NewMessage(
        id=CARD if number == 1 else id_of(number),
        conversation=TALK,
        sender=sender,
        content=pb.Content(text="an offer", card=card, answers=answers).SerializeToString(),
        replaces=b"" if number == 1 else CARD,
        revision=number,
        answers=answers,
    )
    resident = Resident(tenant=TENANT, account=account, epoch=epoch)
    await unit.accounts.change(
        resident, lambda db, owner: kept.keep(db, owner, message, members, now_ms=0)
    )


async def click(
    unit: AccountUnit, account: str, press: int, action: str = "order", *, revision: int = 0,
    inputs: Mapping[str, str] = {"amount": "2"}, epoch: int = 1,
) -> pb.ClickResponse:  # fmt: skip
    request = pb.ClickRequest(
        message=CARD, action=action, revision=revision, press=id_of(press),
        inputs=inputs if action == "order" else {},
    )  # fmt: skip
    return await unit.conversations.Click(request, unit.by_ticket(account, epoch))


def kept_for(unit: AccountUnit, account: str) -> list[KeptPress]:
    """The presses in an account's copy that are to be handed on."""

    def read(db: Any) -> list[KeptPress]:
        owner = owners.find(db, TENANT, account)
        assert owner is not None
        return presses.to_hand_on(db, owner.number, most=99)

    return unit.database.read(read)


async def shown(unit: AccountUnit, account: str, epoch: int = 1) -> list[tuple[str, int]]:
    """Action and state of each press, as the message shows them."""
    found = await unit.conversations.GetMessage(
        pb.GetMessageRequest(id=CARD), unit.by_ticket(account, epoch)
    )
    return [(one.action, one.state) for one in found.message.presses]


async def test_a_press_counts_once_however_often_it_is_made(
    unit: AccountUnit, doors: FakePressDoors
) -> None:
    answers = await asyncio.gather(*(click(unit, "anna", press) for press in (1, 1, 2, 3)))
    assert {(one.state, one.press) for one in answers} == {(WAITING, id_of(1))}
    assert [(one.viewer, one.number, one.inputs) for one in kept_for(unit, "roastery")] == [
        ("anna", 1, '{"amount":"2"}')
    ]
    assert kept_for(unit, "anna") == []
    assert doors.told == [(TENANT, "roastery")] * 4
    await click(unit, "ben", 1)
    assert [one.viewer for one in kept_for(unit, "roastery")] == ["anna", "ben"]
    assert await shown(unit, "anna") == [("order", WAITING)]
    listed = await unit.conversations.ListMessages(
        pb.ListMessagesRequest(conversation=TALK), unit.by_ticket("anna")
    )
    assert [one.action for one in listed.messages[0].presses] == ["order"]


async def test_who_is_first_has_it_where_one_press_is_for_all(unit: AccountUnit) -> None:
    assert (await click(unit, "anna", 1, "mine")).state == WAITING
    assert (await click(unit, "ben", 2, "mine")).state == DONE
    assert [one.viewer for one in kept_for(unit, "roastery")] == ["anna"]
    assert await shown(unit, "ben") == []


async def test_what_may_be_repeated_is_counted(unit: AccountUnit) -> None:
    for press in (1, 2, 2, 3, 4, 2):
        assert (await click(unit, "anna", press, "more")).press == id_of(press)
    assert [one.number for one in kept_for(unit, "roastery")] == [1, 2, 3, 4]


async def test_an_old_card_is_superseded_and_what_was_pressed_stays_so(unit: AccountUnit) -> None:
    await click(unit, "anna", 1)
    for account in ("anna", "ben", "roastery"):
        await put(
            unit, account, members={"anna", "ben", "roastery"} - {account}, number=2,
            buttons=BUTTONS[:2], answers=id_of(1),
        )  # fmt: skip
    again = await click(unit, "anna", 2, revision=1)
    assert (again.state, again.press) == (DONE, id_of(1))
    late = await click(unit, "ben", 3, revision=1)
    assert (late.state, late.current.revision) == (SUPERSEDED, 2)
    gone = await click(unit, "ben", 4, "more", revision=1)
    assert gone.state == SUPERSEDED
    assert (await click(unit, "ben", 5, revision=2)).state == WAITING


async def test_a_card_that_was_taken_back_takes_no_press(unit: AccountUnit) -> None:
    await put(unit, "anna", members={"ben", "roastery"}, number=2, buttons=[])
    assert (await click(unit, "anna", 1, revision=1)).state == SUPERSEDED
    assert kept_for(unit, "roastery") == []


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        pytest.param({"action": "nothing"}, NothingPressed, id="no-such-button"),
        pytest.param({"action": "off"}, NothingPressed, id="a-button-that-is-off"),
        pytest.param({"revision": 9}, NothingPressed, id="a-revision-to-come"),
        pytest.param({"message": id_of(77)}, NotFound, id="no-such-message"),
        pytest.param({"message": b"x"}, InvalidInput, id="no-id"),
        pytest.param({"press": b"x"}, InvalidInput, id="no-id-of-the-press"),
        pytest.param({"action": ""}, InvalidInput, id="no-action"),
        pytest.param({"inputs": {"amount": "10"}}, InvalidInput, id="too-many-bags"),
        pytest.param({"inputs": {"bags": "1"}}, InvalidInput, id="an-input-that-is-none"),
        pytest.param({"inputs": dict.fromkeys(map(str, range(501)), "")}, InvalidInput, id="many"),
    ],
)
async def test_what_is_wrong_leaves_nothing(
    unit: AccountUnit, change: dict[str, Any], kind: type[Exception]
) -> None:
    good = {"message": CARD, "action": "order", "press": id_of(1), "inputs": {"amount": "1"}}
    with pytest.raises(kind):
        await unit.conversations.Click(pb.ClickRequest(**good | change), unit.by_ticket("anna"))
    assert kept_for(unit, "roastery") == []
    assert await shown(unit, "anna") == []


async def test_what_people_send_has_no_buttons_and_a_text_neither(
    unit: AccountUnit, doors: FakePressDoors
) -> None:
    with pytest.raises(NothingPressed, match="own"):
        await click(unit, "roastery", 1)
    doors.applications = set()
    with pytest.raises(NothingPressed, match="no application"):
        await click(unit, "anna", 1)
    doors.applications = None
    with pytest.raises(Unavailable):
        await click(unit, "anna", 1)
    doors.applications = {"roastery"}
    await unit.conversations.SendMessage(
        pb.SendMessageRequest(
            conversation=TALK, id=id_of(50), content=pb.Content(text="no card in it")
        ),
        unit.by_ticket("anna"),
    )
    with pytest.raises(NothingPressed, match="no card"):
        await unit.conversations.Click(
            pb.ClickRequest(message=id_of(50), action="order", press=id_of(1)),
            unit.by_ticket("ben"),
        )
    assert kept_for(unit, "roastery") == []


async def test_a_card_of_an_account_elsewhere_is_pressed_here_and_handed_on(
    tmp_path: Path, doors: FakePressDoors
) -> None:
    issuer = an_issuer()
    async with (
        account_unit(tmp_path / "near", "near", issuer, press_doors=doors) as near,
        account_unit(tmp_path / "far", "far", issuer, press_doors=doors) as far,
    ):
        await put(near, "anna", members={"ben", "roastery"})
        await put(far, "roastery", members={"anna", "ben"})
        for _ in range(2):
            assert (await click(near, "anna", 1, "mine")).state == WAITING
        (waits,) = kept_for(near, "anna")
        assert doors.told == [(TENANT, "anna")] * 2
        request = pb.DeliverPressRequest(
            message=waits.message, action=waits.action, revision=waits.revision, press=waits.id,
            inputs=json.loads(waits.inputs),
        )  # fmt: skip
        call = far.by_introduction("roastery", "anna")
        for _ in range(2):
            assert (await far.conversations.DeliverPress(request, call)).state == WAITING
        (taken,) = kept_for(far, "roastery")
        assert (taken.viewer, taken.action, taken.id) == ("anna", "mine", id_of(1))
        theirs = pb.DeliverPressRequest(message=CARD, action="mine", revision=1, press=id_of(2))
        other = far.by_introduction("roastery", "ben")
        assert (await far.conversations.DeliverPress(theirs, other)).state == DONE
        for shown_is in (far.by_ticket("roastery"), far.by_introduction("roastery")):
            with pytest.raises(PermissionDenied):
                await far.conversations.DeliverPress(request, shown_is)
        doors.applications = set()
        with pytest.raises(NothingPressed):
            await far.conversations.DeliverPress(request, call)


async def test_a_press_that_is_brought_is_of_a_card_that_was_sent_to_who_pressed(
    unit: AccountUnit,
) -> None:
    """Whoever is introduced to an application may bring presses: not of what others were sent, and
    not of a card of their own making."""
    own = pb.DeliverRequest(
        conversation=b"conversation-two", id=id_of(60), members=["roastery"],
        content=pb.Content(text="pay me", card=card_text(BUTTONS)),
    )  # fmt: skip
    call = unit.by_introduction("roastery", "mallory")
    await unit.conversations.Deliver(own, call)
    said = set()
    for message in (CARD, id_of(60), id_of(61)):
        press = pb.DeliverPressRequest(message=message, action="mine", revision=1, press=id_of(1))
        with pytest.raises(NotFound) as refused:
            await unit.conversations.DeliverPress(press, call)
        said.add(str(refused.value))
    assert len(said) == 1  # and nobody is told which messages there are
    assert kept_for(unit, "roastery") == []


async def test_what_was_pressed_moves_and_is_answered_at_the_new_home(
    tmp_path: Path, doors: FakePressDoors
) -> None:
    issuer = an_issuer()
    async with (
        account_unit(tmp_path / "old", "old", issuer, press_doors=doors) as old,
        account_unit(tmp_path / "new", "new", issuer, press_doors=doors) as new,
    ):
        await put(old, "anna", members={"ben", "roastery"})
        await click(old, "anna", 1)
        sent = await read_state(old.state, TENANT, "anna")
        await replace_state(new.state, TENANT, "anna", 2, sent)
        assert await shown(new, "anna", 2) == [("order", WAITING)]
        assert [one.id for one in kept_for(new, "anna")] == [id_of(1)]
        again = await click(new, "anna", 1, epoch=2)
        assert (again.state, again.press) == (WAITING, id_of(1))
        # Who did not send the card answers no press of it.
        for number, sender in ((2, "ben"), (3, "roastery")):
            assert await shown(new, "anna", 2) == [("order", WAITING)]
            await put(
                new, "anna", members={"ben", "roastery"}, number=number, epoch=2, sender=sender,
                answers=id_of(1),
            )  # fmt: skip
        assert await shown(new, "anna", 2) == [("order", DONE)]


async def test_a_press_is_of_the_card_of_the_sender_that_it_names(unit: AccountUnit) -> None:
    """Whoever uses the id of another's card, first or with the same button, gets none of its
    presses, and has none of its own counted for it."""
    theirs = pb.DeliverRequest(
        conversation=b"conversation-two", id=CARD, members=["anna"],
        content=pb.Content(text="pay me", card=card_text(BUTTONS)),
    )  # fmt: skip
    await unit.conversations.Deliver(theirs, unit.by_introduction("anna", "mallory"))

    async def press(number: int, sender: str) -> pb.ClickResponse:
        request = pb.ClickRequest(message=CARD, action="mine", press=id_of(number), sender=sender)
        return await unit.conversations.Click(request, unit.by_ticket("anna"))

    with pytest.raises(NothingPressed, match="say whose card it is"):
        await press(1, "")
    assert (await press(1, "mallory")).state == WAITING
    assert kept_for(unit, "roastery") == []
    (hers,) = kept_for(unit, "anna")
    assert hers.author == "mallory"
    assert (await press(2, "roastery")).state == WAITING  # the same button, and not done before
    (taken,) = kept_for(unit, "roastery")
    assert (taken.id, taken.author) == (id_of(2), "roastery")
    with pytest.raises(NotFound):
        await press(3, "ben")


def test_presses_of_an_older_homeport_count_for_the_card_of_anybody() -> None:
    assert presses.PART.upgraded(1, "presses", [b"m", "order", "anna", 1]) == [
        ("presses", [b"m", "", "order", "anna", 1])
    ]
    db = sqlite3.connect(":memory:", isolation_level=None)
    older = Schema(part=presses.PART.name, steps=presses.PART.schema.steps[:1])
    migrate(db, [owners.SCHEMA, older])
    owners.add(db, TENANT, "anna", epoch=1, state=owners.OwnerState.LIVE, now_ms=0)
    db.execute(
        "INSERT INTO presses VALUES (1, ?, 'order', 'anna', 1, ?, 1, '{}', 'waiting', 0)",
        (CARD, id_of(1)),
    )
    prepare(db, [owners.SCHEMA], [presses.PART])
    for author in ("roastery", "other"):
        (one,) = presses.that_count(db, 1, CARD, author, "order", "anna", id_of(2))
        assert (one.id, one.number) == (id_of(1), 1)
        assert len(presses.of_viewer(db, 1, CARD, author, "anna")) == 1
    db.close()
