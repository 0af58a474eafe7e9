"""A unit as the agent of an application: what is sent to it is published once, its replies become
messages once, refused ones are told to their author, whatever fails in between; and it goes on at
the account's next home."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import PermissionDenied, Unavailable
from deployment_units.services.applications import kept
from deployment_units.services.applications.kept import Place
from deployment_units.services.applications.outcome_follower import OutcomeFollower
from deployment_units.services.applications.port import (
    CLICK_FEED,
    MESSAGE_FEED,
    REFUSED_FEED,
    OutcomePage,
)
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.state import owners
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT, an_issuer
from tests.support.application_units import (
    TALK,
    ApplicationUnit,
    application_unit,
    offers_and_orders,
    said,
    until,
)
from tests.support.cards import document_of, submit
from tests.support.fakes.data_sharing import FakeDataSharing

ROASTERY = {"roastery": "coffee"}


async def click(
    unit: ApplicationUnit, account: str, card: pb.Message, press: int, action: str = "order"
) -> pb.ClickResponse:
    request = pb.ClickRequest(message=card.id, action=action, press=press.to_bytes(16, "big"))
    return await unit.conversations.Click(request, unit.by_ticket(account))


def texts(messages: list[pb.Message]) -> list[str]:
    return [one.content.text for one in messages]


async def test_a_message_is_answered_with_a_card_and_a_press_of_it_once(tmp_path: Path) -> None:
    sharing = FakeDataSharing(ROASTERY, offers_and_orders)
    async with application_unit(tmp_path / "u", sharing) as unit:
        await unit.enter("anna", "ben", "roastery")
        await unit.write("anna", 1)
        card = await unit.card("anna")
        assert card.sender == "roastery"
        (received,) = sharing.of(MESSAGE_FEED)
        assert dict(received.data) == {
            "application": "coffee", "conversation": TALK.hex(), "message": f"{1:032x}",
            "sender": "acct:anna@talk", "text": "hello",
        }  # fmt: skip
        for press in (7, 7, 8):
            assert (await click(unit, "anna", card, press)).press == (7).to_bytes(16, "big")

        async def ordered() -> bool:
            return "ordered 1" in texts(await unit.read("anna"))

        await until(ordered)
        (pressed,) = sharing.of(CLICK_FEED)
        assert (pressed.source, pressed.id) == ("acct:anna@talk", f"{7:032x}")
        assert dict(pressed.data) == {
            "application": "coffee", "conversation": TALK.hex(), "message": card.id.hex(),
            "revision": 1, "action": "order", "verb": "", "data": {"sku": "yirga"},
            "viewer": "acct:anna@talk", "press": f"{7:032x}", "number": 1, "inputs": {},
        }  # fmt: skip
        shown = {one.id: one for one in await unit.read("anna")}[card.id]
        assert [one.state for one in shown.presses] == [pb.PRESS_STATE_DONE]
        assert texts(await unit.read("ben")) == texts(await unit.read("anna"))


async def test_who_writes_by_mail_or_text_may_be_somebody_else_and_the_application_hears_so(
    tmp_path: Path,
) -> None:
    sharing = FakeDataSharing(ROASTERY)
    carla = "mailto:carla@mail.example"
    async with application_unit(tmp_path / "u", sharing) as unit:
        await unit.enter("anna", "roastery")
        anna = unit.residents.find(TENANT, "anna")
        assert anna is not None
        rows = ((carla, None), (carla, False), (carla, True), ("anna", False))
        for number, (sender, by_mail) in enumerate(rows):
            said_by_mail = None if by_mail is None else pb.ByMail(verified=by_mail)
            message = NewMessage(
                id=number.to_bytes(16, "big"), conversation=TALK, sender=sender,
                via="anna" if sender == carla else "",
                content=pb.Content(text="hello", by_mail=said_by_mail).SerializeToString(),
            )  # fmt: skip
            members = [carla, "roastery"]
            await unit.accounts.change(
                anna, partial(unit.sender.send, resident=anna, message=message, members=members)
            )

        async def published() -> bool:
            return len(sharing.of(MESSAGE_FEED)) == len(rows)

        await until(published)
        heard = {one.data["message"][-1]: one.data["verified"] for one in sharing.of(MESSAGE_FEED)}
        assert heard == {"0": False, "1": False, "2": True, "3": False}


async def test_what_an_application_sends_names_its_cause_to_another_and_what_a_person_sends_none(
    tmp_path: Path,
) -> None:
    """So two applications that answer each other are one flow, whose loop is seen; and however long
    a person talks to one, there is none."""

    sharing = FakeDataSharing({"roastery": "coffee", "ben": "tea"})
    async with application_unit(tmp_path / "u", sharing) as unit:
        await unit.enter("anna", "ben", "roastery")
        forged = pb.Content(text="hello", caused_by="i-f0")
        await unit.conversations.SendMessage(
            pb.SendMessageRequest(
                conversation=TALK, id=(1).to_bytes(16, "big"), content=forged,
                members=["ben", "roastery"],
            ),
            unit.by_ticket("anna"),
        )  # fmt: skip
        sharing.say("coffee", "i-7", said({"conversation": TALK.hex(), "text": "an offer"}))

        async def heard() -> bool:
            return len(sharing.of(MESSAGE_FEED)) == 3

        await until(heard)
        causes = {
            (one.data["application"], one.data["text"]): one.caused_by
            for one in sharing.of(MESSAGE_FEED)
        }
        assert causes == {
            ("coffee", "hello"): "", ("tea", "hello"): "", ("tea", "an offer"): "i-7",
        }  # fmt: skip


async def test_hours_later_another_event_brings_another_message(tmp_path: Path) -> None:
    sharing = FakeDataSharing(ROASTERY)
    async with application_unit(tmp_path / "u", sharing) as unit:
        await unit.enter("anna", "ben", "roastery")
        await unit.write("anna", 1)
        shipped = said({"conversation": TALK.hex(), "text": "on its way"})
        sharing.say("coffee", "shipped", shipped)
        for other in (
            ("tea", "i-2", shipped, "done"),  # another application's
            ("coffee", "i-3", shipped, "failed"),
            ("coffee", "i-4", {"cups": 1}, "done"),  # no reply at all
        ):
            sharing.say(*other[:3], status=other[3])
        sharing.outcome_log.append(sharing.outcome_log[0])  # read twice
        sharing.say("coffee", "last", said({"conversation": TALK.hex(), "text": "there"}))

        async def there() -> bool:
            return "there" in texts(await unit.read("anna"))

        await until(there)
        assert texts(await unit.read("anna")) == ["hello", "on its way", "there"]


REFUSED = [
    pytest.param({"conversation": "ff" * 16, "text": "x"}, "CONVERSATION", id="elsewhere"),
    pytest.param({"conversation": "nonsense", "text": "x"}, "CONVERSATION", id="no-conversation"),
    pytest.param({"conversation": TALK.hex(), "text": "a\0b"}, "CONVERSATION", id="a-text"),
    pytest.param(
        {"conversation": TALK.hex(), "text": "x", "replaces": f"{1:032x}"}, "REPLACES",
        id="what-anna-wrote",
    ),
    pytest.param(
        {"conversation": TALK.hex(), "text": "x", "card": document_of({"type": "Media"})},
        "MEDIA", id="a-card",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("message", "reason"), REFUSED)
async def test_a_refused_reply_sends_nothing_and_its_author_reads_why(
    tmp_path: Path, message: dict[str, Any], reason: str
) -> None:
    sharing = FakeDataSharing(ROASTERY)
    async with application_unit(tmp_path / "u", sharing) as unit:
        await unit.enter("anna", "ben", "roastery")
        await unit.write("anna", 1)
        good = {"conversation": TALK.hex(), "text": "fine"}
        sharing.say("coffee", "bad", said(good, message))
        sharing.say("coffee", "good", said({"conversation": TALK.hex(), "text": "and on"}))

        async def told() -> bool:
            return bool(sharing.of(REFUSED_FEED)) and len(await unit.read("anna")) > 1

        await until(told)
        assert texts(await unit.read("anna")) == ["hello", "and on"]
        (refused,) = sharing.of(REFUSED_FEED)
        assert refused.caused_by == refused.id == "bad"
        assert (refused.id, refused.data["application"]) == ("bad", "coffee")
        assert refused.data["flaws"][0]["reason"] == reason


async def test_a_reply_of_which_the_last_message_cannot_be_sent_sends_none(
    tmp_path: Path,
) -> None:
    sharing = FakeDataSharing(ROASTERY)
    async with application_unit(tmp_path / "u", sharing, running=False) as unit:
        await unit.enter("anna", "ben", "roastery")
        await unit.write("anna", 1)
        sent: list[str] = []

        def send(db: Any, owner: int, resident: Any, message: Any) -> None:
            if sent:
                raise PermissionDenied("no more")
            sent.append(message.sender)
            unit.sender.send(db, owner, resident, message)

        follower = OutcomeFollower(unit.accounts, unit.residents, unit.checks, send)
        resident = unit.residents.find(TENANT, "roastery")
        assert resident is not None
        part = {"conversation": TALK.hex(), "text": "x"}
        sharing.say("coffee", "bad", said(part, part))
        page = OutcomePage(outcomes=tuple(sharing.outcome_log), position=1)
        await follower.follow(resident, "coffee", page)
        assert texts(await unit.read("anna")) == ["hello"]
        await unit.publishing.publish(resident, "coffee")
        assert [one.id for one in sharing.of(REFUSED_FEED)] == ["bad"]


async def test_what_fails_is_tried_again_and_what_is_in_the_feeds_is_there_once(
    tmp_path: Path,
) -> None:
    sharing = FakeDataSharing(ROASTERY, offers_and_orders)
    sharing.kept_though_failing = True
    async with application_unit(tmp_path / "u", sharing, running=False) as unit:
        await unit.enter("anna", "ben", "roastery")
        await unit.write("anna", 1)
        resident = unit.residents.find(TENANT, "roastery")
        assert resident is not None
        sharing.failing = [Unavailable("away"), Unavailable("away")]
        for _ in range(2):
            with pytest.raises(Unavailable):
                await unit.publishing.publish(resident, "coffee")
        assert not await unit.publishing.publish(resident, "coffee")
        assert len(sharing.log) == len(sharing.outcome_log) == 1
        assert await unit.publishing.publish(resident, "coffee") is False


async def test_what_the_application_itself_writes_is_passed_over_and_noted_with_what_comes_next(
    tmp_path: Path,
) -> None:
    sharing = FakeDataSharing(ROASTERY)
    async with application_unit(tmp_path / "u", sharing, running=False) as unit:
        await unit.enter("anna", "roastery")
        roastery = unit.residents.find(TENANT, "roastery")
        assert roastery is not None
        await unit.write("roastery", 1, "welcome")
        groups = unit.database.groups
        for publishing in (unit.publishing, unit.publishing, unit.new_publishing()):
            assert not await publishing.publish(roastery, "coffee")
        assert unit.database.groups == groups
        await unit.write("anna", 2)
        await unit.write("roastery", 3, "hello to you")
        assert not await unit.publishing.publish(roastery, "coffee")
        for publishing in (unit.publishing, unit.new_publishing()):  # as after a restart
            assert not await publishing.publish(roastery, "coffee")
        assert [one.id for one in sharing.of(MESSAGE_FEED)] == [f"{2:032x}-coffee"]
        for number in range(4, 44):
            await unit.write("roastery", number, "news")
        groups = unit.database.groups
        publishing = unit.new_publishing(most_passed=30)
        while await publishing.publish(roastery, "coffee"):
            pass
        assert unit.database.groups == groups + 1
        noted = unit.accounts.read(roastery, partial(kept.position, place=Place.MESSAGES))
        assert noted == 43


async def test_what_the_feed_refuses_for_good_holds_nothing_up(tmp_path: Path) -> None:
    sharing = FakeDataSharing(ROASTERY, offers_and_orders)
    async with application_unit(tmp_path / "u", sharing) as unit:
        await unit.enter("anna", "ben", "roastery")
        sharing.refused = {f"{1:032x}": "breaks its schema", f"{9:032x}": "breaks its schema"}
        await unit.write("anna", 1)
        await unit.write("anna", 2)
        card = await unit.card("anna")
        await click(unit, "anna", card, 9, "more")
        await click(unit, "anna", card, 10, "more")

        async def answered() -> bool:
            shown = {one.id: one for one in await unit.read("anna")}[card.id]
            return {one.state for one in shown.presses} == {
                pb.PRESS_STATE_REFUSED, pb.PRESS_STATE_DONE,
            }  # fmt: skip

        await until(answered)
        assert [one.id for one in sharing.of(CLICK_FEED)] == [f"{10:032x}"]


async def test_it_goes_on_where_the_account_moves_to(tmp_path: Path) -> None:
    sharing = FakeDataSharing(ROASTERY, offers_and_orders)
    issuer = an_issuer()
    old = application_unit(tmp_path / "old", sharing, unit_id="old", issuer=issuer)
    new = application_unit(tmp_path / "new", sharing, unit_id="new", issuer=issuer)
    async with old as here, new as there:
        await here.enter("anna", "ben", "roastery")
        await here.write("anna", 1)
        card = await here.card("roastery")
        sent = await read_state(here.state, TENANT, "roastery")
        # An outcome that comes while it belongs to nobody.
        sharing.say("coffee", "between", said({"conversation": TALK.hex(), "text": "between"}))
        await replace_state(there.state, TENANT, "roastery", 2, sent)
        await here.state.forget(TENANT, "roastery", 1)

        async def followed() -> bool:
            return "between" in texts(await there.read("roastery", 2))

        await until(followed)
        press = pb.DeliverPressRequest(message=card.id, action="order", revision=1, press=b"p" * 16)
        await there.conversations.DeliverPress(press, there.by_introduction("roastery", "anna", 2))

        async def ordered() -> bool:
            return "ordered 1" in texts(await there.read("roastery", 2))

        await until(ordered)
        assert len(sharing.of(MESSAGE_FEED)) == 1
        assert texts(await there.read("roastery", 2)).count("between") == 1
        # The unit that it left does not make it anew.
        assert here.database.read(lambda db: owners.find(db, TENANT, "roastery")) is None
        assert sharing.of(REFUSED_FEED) == []


async def test_an_application_without_an_address_any_more_is_left_alone(tmp_path: Path) -> None:
    sharing = FakeDataSharing(ROASTERY, offers_and_orders)
    async with application_unit(tmp_path / "u", sharing) as unit:
        await unit.enter("anna", "ben", "roastery")
        await unit.write("anna", 1)
        await unit.card("anna")
        sharing.accounts = {}

        async def unknown() -> bool:
            return not unit.answers_for(TENANT, "roastery")

        await until(unknown)
        await unit.write("anna", 2)
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert len(sharing.of(MESSAGE_FEED)) == 1


def test_a_button_of_words_alone_sends_them_as_an_object() -> None:
    from deployment_units.services.applications.events import press_event
    from deployment_units.services.conversations.press import KeptPress, PressState
    from tests.support.cards import card_of

    press = KeptPress(
        message=b"m" * 16, action="go", viewer="mailto:carla@mail.example", number=1, id=b"p" * 16,
        revision=1, inputs="{}", state=PressState.KEPT, pressed_ms=0,
    )  # fmt: skip
    action = card_of(actions=[submit(id="go", data="plain words")]).action("go")
    assert action is not None
    made = press_event(
        tenant=TENANT, application="coffee", conversation=TALK, press=press, action=action
    )
    assert (made.data["data"], made.source) == (
        {"text": "plain words"}, "mailto:carla@mail.example",
    )  # fmt: skip
