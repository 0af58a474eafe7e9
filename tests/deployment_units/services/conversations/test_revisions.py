"""Revisions: a copy shows the newest revision of a message whatever order they come in, only what
the same sender wrote in the same conversation is replaced, and all of it moves with the account."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import AlreadyExists, InvalidInput, NotFound
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.cards.card import MAX_BYTES
from deployment_units.services.conversations import kept, presses
from deployment_units.services.conversations.message import KeptMessage, NewMessage
from deployment_units.services.conversations.revisions import NothingToReplace, superseded
from deployment_units.services.state import owners
from deployment_units.services.state.owners import OwnerState
from deployment_units.services.state.parts import prepare
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT, AccountUnit, account_unit, an_issuer
from tests.support.cards import coffee_card, document_of, submit

OWNER = 1
TALK, OTHER = b"conversation-one", b"conversation-two"
ROOT = b"r" * 16


def id_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture
def db() -> sqlite3.Connection:
    one = sqlite3.connect(":memory:", isolation_level=None)
    prepare(one, [owners.SCHEMA], [kept.PART, presses.PART])
    owners.add(one, "t", "anna", epoch=1, state=OwnerState.LIVE, now_ms=0)
    return one


def revision(
    number: int, *, told: bool = True, sender: str = "ben", conversation: bytes = TALK
) -> NewMessage:
    """told: as another copy is told of it, else as its sender's copy numbers it."""
    return NewMessage(
        id=ROOT if number == 1 else id_of(number),
        conversation=conversation,
        sender=sender,
        content=str(number).encode(),
        replaces=b"" if number == 1 else ROOT,
        revision=number if told else 0,
    )


def keep(db: sqlite3.Connection, message: NewMessage) -> KeptMessage:
    return kept.keep(db, OWNER, message, ["ben"], now_ms=0)


@pytest.mark.parametrize("order", list(itertools.permutations([1, 2, 3])))
def test_the_newest_is_shown_in_whatever_order_they_come(
    db: sqlite3.Connection, order: tuple[int, ...]
) -> None:
    for number in order:
        keep(db, revision(number))
        keep(db, revision(number))
    for number in order:
        found = kept.shown(db, OWNER, revision(number).id)
        assert found is not None
        assert found.content == b"3"
    page, _ = kept.messages(db, OWNER, after=0, most=9)
    old = superseded(db, OWNER, page)
    assert {one.id for one in page} - old == {id_of(3)}


def test_the_senders_copy_counts(db: sqlite3.Connection) -> None:
    made = [keep(db, revision(number, told=False)).revision for number in (1, 5, 6, 5)]
    assert made == [1, 2, 3, 2]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"sender": "eve"}, id="of-another-sender"),
        pytest.param({"conversation": OTHER}, id="of-another-conversation"),
    ],
)
def test_what_is_somebody_elses_is_not_replaced(
    db: sqlite3.Connection, other: dict[str, object]
) -> None:
    keep(db, revision(1))
    with pytest.raises(NothingToReplace):
        keep(db, revision(2, told=False, **other))
    keep(db, revision(2, **other))  # another copy may be told so; it changes nothing
    shown = kept.shown(db, OWNER, ROOT)
    assert shown is not None
    assert shown.content == b"1"
    page, _ = kept.messages(db, OWNER, after=0, most=9)
    assert superseded(db, OWNER, page) == frozenset()


def test_a_revision_is_not_replaced_itself(db: sqlite3.Connection) -> None:
    keep(db, revision(1))
    second = keep(db, revision(2))
    with pytest.raises(NothingToReplace):
        keep(
            db,
            NewMessage(
                id=id_of(3), conversation=TALK, sender="ben", content=b"3", replaces=second.id
            ),
        )


def test_one_id_is_one_revision(db: sqlite3.Connection) -> None:
    keep(db, revision(1))
    keep(db, revision(2))
    with pytest.raises(AlreadyExists):
        keep(db, NewMessage(id=id_of(2), conversation=TALK, sender="ben", content=b"2"))


def test_messages_of_before_there_were_revisions_are_the_first() -> None:
    row = [7, ROOT, TALK, "ben", b"x", 1]
    assert kept.PART.upgraded(1, "messages", row) == [("messages", [*row, b"", 1, "", ""])]
    assert kept.PART.upgraded(1, "seen", [TALK, "phone", 1]) == [("seen", [TALK, "phone", 1])]


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[AccountUnit]:
    async with account_unit(tmp_path / "u") as one:
        for name in ("anna", "ben"):
            resident = Resident(tenant=TENANT, account=name, epoch=1)
            await one.accounts.change(resident, lambda db, owner: None)
        yield one


def request(number: int, text: str, replaces: bytes = b"") -> pb.SendMessageRequest:
    return pb.SendMessageRequest(
        conversation=TALK, id=id_of(number), members=["ben"], content=pb.Content(text=text),
        replaces=replaces,
    )  # fmt: skip


async def listed(unit: AccountUnit, account: str, epoch: int = 1) -> list[tuple[str, int, bool]]:
    """Text and revision of each message, and whether there is a later one."""
    ask = pb.ListMessagesRequest(conversation=TALK)
    page = await unit.conversations.ListMessages(ask, unit.by_ticket(account, epoch))
    return [(one.content.text, one.revision, one.superseded) for one in page.messages]


async def test_everybodys_copy_shows_the_same_and_takes_it_along(tmp_path: Path) -> None:
    issuer = an_issuer()
    async with (
        account_unit(tmp_path / "old", "old", issuer) as old,
        account_unit(tmp_path / "new", "new", issuer) as new,
    ):
        for name in ("anna", "ben"):
            resident = Resident(tenant=TENANT, account=name, epoch=1)
            await old.accounts.change(resident, lambda db, owner: None)
        send = old.conversations.SendMessage
        await send(request(1, "helo"), old.by_ticket("anna"))
        second = await send(request(2, "hello", id_of(1)), old.by_ticket("anna"))
        assert (second.message.replaces, second.message.revision) == (id_of(1), 2)
        told = [("helo", 1, True), ("hello", 2, False)]
        assert await listed(old, "anna") == await listed(old, "ben") == told
        await replace_state(new.state, TENANT, "ben", 2, await read_state(old.state, TENANT, "ben"))
        assert await listed(new, "ben", 2) == told
        for number in (1, 2):
            found = await new.conversations.GetMessage(
                pb.GetMessageRequest(id=id_of(number)), new.by_ticket("ben", 2)
            )
            assert found.message.content.text == "hello"
        with pytest.raises(NotFound):
            await new.conversations.GetMessage(
                pb.GetMessageRequest(id=id_of(3)), new.by_ticket("ben", 2)
            )


async def test_a_card_comes_checked_and_people_send_none(unit: AccountUnit) -> None:
    def delivery(number: int, card: str) -> pb.DeliverRequest:
        return pb.DeliverRequest(
            conversation=TALK, id=id_of(number), members=["ben"],
            content=pb.Content(text="an offer", card=card),
        )  # fmt: skip

    call = unit.by_introduction("ben", "roastery")
    good = json.dumps(document_of(actions=[submit()], speak="aloud"))
    for _ in range(2):
        await unit.conversations.Deliver(delivery(1, good), call)
    found = await unit.conversations.GetMessage(
        pb.GetMessageRequest(id=id_of(1)), unit.by_ticket("ben")
    )
    kept_card = found.message.content.card
    assert json.loads(kept_card)["actions"][0]["id"] == "action-1"
    assert "aloud" not in kept_card
    await unit.conversations.Deliver(delivery(1, kept_card), call)  # as its check left it: the same
    no_ids = document_of(actions=[submit("x") for _ in range(400)])
    assert len(json.dumps(no_ids, separators=(",", ":"))) < MAX_BYTES
    for bad in (
        "{}",
        json.dumps(document_of({"type": "Media"})),
        json.dumps(no_ids, separators=(",", ":")),
    ):
        with pytest.raises(InvalidInput, match="card"):
            await unit.conversations.Deliver(delivery(2, bad), call)
    people = request(3, "an offer")
    people.content.card = json.dumps(coffee_card().document)
    with pytest.raises(InvalidInput, match="applications"):
        await unit.conversations.SendMessage(people, unit.by_ticket("anna"))
