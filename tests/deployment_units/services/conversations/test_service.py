"""ConversationService: copies of sender and members, who is left out and why, subscriptions that go
on where they were, and that all of it moves with the account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.errors import (
    AlreadyExists,
    InvalidInput,
    NotFound,
    PermissionDenied,
    ServiceError,
    Unauthenticated,
)
from control_plane.identity.departures import Departed
from deployment_units.services.accounts.accounts import AccountLeaving, StaleEpoch
from deployment_units.services.accounts.entry import Resident
from deployment_units.services.conversations.arrivals import (
    MAX_SUBSCRIPTIONS,
    TooManySubscriptions,
)
from deployment_units.services.state.port import read_state, replace_state
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import profile_pb2
from tests.support.account_units import NOW, TENANT, AccountUnit, account_unit, an_issuer
from tests.support.fakes.call_context import FakeContext

TALK = b"conversation-one"
WAIT_S = 10.0


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[AccountUnit]:
    async with account_unit(tmp_path / "u") as one:
        for name in ("anna", "ben", "carla"):
            await enter(one, name)
        yield one


async def enter(unit: AccountUnit, account: str, epoch: int = 1) -> None:
    """Makes it an account that the unit knows."""
    resident = Resident(tenant=TENANT, account=account, epoch=epoch)
    await unit.accounts.change(resident, lambda db, owner: None)


def id_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def request(number: int, text: str = "hello", *members: str) -> pb.SendMessageRequest:
    return pb.SendMessageRequest(
        conversation=TALK, id=id_of(number), members=members, content=pb.Content(text=text)
    )


def delivery(number: int, text: str, *members: str) -> pb.DeliverRequest:
    return pb.DeliverRequest(
        conversation=TALK, id=id_of(number), members=members, content=pb.Content(text=text)
    )


async def send(
    unit: AccountUnit, sender: str, number: int, text: str = "hello", *members: str
) -> pb.SendMessageResponse:
    return await unit.conversations.SendMessage(
        request(number, text, *members), unit.by_ticket(sender)
    )


async def read(unit: AccountUnit, account: str, epoch: int = 1) -> list[tuple[str, str]]:
    """Sender and text of each message, in order."""
    ask = pb.ListMessagesRequest(conversation=TALK, page_size=100)
    listed = await unit.conversations.ListMessages(ask, unit.by_ticket(account, epoch))
    positions = [one.position for one in listed.messages]
    assert positions == sorted(positions)
    return [(one.sender, one.content.text) for one in listed.messages]


async def close(unit: AccountUnit, account: str) -> None:
    """Nobody reaches it in-app any more."""
    closed = profile_pb2.SetReachabilityRequest(mode=profile_pb2.MODE_IN_APP)
    await unit.profiles.SetReachability(closed, unit.by_ticket(account))


async def test_everybody_who_lives_here_has_a_copy_in_one_order(unit: AccountUnit) -> None:
    sent = await send(unit, "anna", 1, "to both", "ben", "carla")
    assert (list(sent.kept_for), list(sent.elsewhere)) == (["ben", "carla"], [])
    answered = await send(unit, "ben", 2, "back")
    assert list(answered.kept_for) == ["anna", "carla"]
    for account in ("anna", "ben", "carla"):
        assert await read(unit, account) == [("anna", "to both"), ("ben", "back")]
    ask = pb.ListConversationsRequest()
    listed = await unit.conversations.ListConversations(ask, unit.by_ticket("carla"))
    assert [list(one.members) for one in listed.conversations] == [["anna", "ben"]]


async def test_a_repeat_changes_nothing(unit: AccountUnit) -> None:
    first = await send(unit, "anna", 1, "once", "ben")
    assert await send(unit, "anna", 1, "once", "ben") == first
    assert await read(unit, "ben") == [("anna", "once")]
    with pytest.raises(AlreadyExists):
        await send(unit, "anna", 1, "twice", "ben")
    with pytest.raises(AlreadyExists):
        await send(unit, "anna", 2, "to others", "ben", "carla")


async def test_who_cannot_be_reached_is_named_and_has_nothing(unit: AccountUnit) -> None:
    await close(unit, "ben")
    await read_state(unit.state, TENANT, "carla")  # it is leaving
    sent = await send(unit, "anna", 1, "hello", "ben", "carla", "nina")
    assert (list(sent.kept_for), list(sent.elsewhere)) == ([], ["ben", "carla", "nina"])
    assert await read(unit, "ben") == await read(unit, "carla") == []


async def test_a_member_whose_copy_has_other_members_keeps_nobody_from_writing(
    unit: AccountUnit,
) -> None:
    await unit.conversations.Deliver(
        delivery(9, "first", "ben", "zoe"), unit.by_introduction("ben", "eve")
    )
    sent = await send(unit, "anna", 1, "hello", "ben", "carla")
    assert (list(sent.kept_for), list(sent.elsewhere)) == (["ben", "carla"], [])


async def test_a_member_without_room_keeps_nobody_from_writing(unit: AccountUnit) -> None:
    make_room = (
        "DELETE FROM messages WHERE owner IN (SELECT owner FROM owners WHERE account = 'carla')"
    )
    for number in range(20):
        sent = await send(unit, "carla", number, "x" * 9_000, "ben")
        if not sent.kept_for:
            break
        await unit.database.transact(lambda db: db.execute(make_room))
    assert 3 < number < 12
    assert list(sent.elsewhere) == ["ben"]


async def test_a_message_from_elsewhere_is_delivered_once(unit: AccountUnit) -> None:
    deliver = unit.conversations.Deliver
    call = unit.by_introduction("anna", "zoe")
    for _ in range(2):
        await deliver(delivery(7, "hi", "anna"), call)
    assert await read(unit, "anna") == [("zoe", "hi")]
    with pytest.raises(AlreadyExists):
        await deliver(delivery(7, "ho", "anna"), call)
    refused = [
        (delivery(7, "hi", "anna"), unit.by_ticket("anna")),
        (delivery(7, "hi", "anna"), unit.by_introduction("anna")),
        (delivery(7, "hi", "ben"), call),
    ]
    for message, shown in refused:
        with pytest.raises(PermissionDenied):
            await deliver(message, shown)
    await close(unit, "anna")
    with pytest.raises(PermissionDenied):
        await deliver(delivery(8, "hi", "anna"), call)


async def test_it_is_delivered_to_an_account_that_never_did_anything(unit: AccountUnit) -> None:
    call = unit.by_introduction("nina", "anna")
    await unit.conversations.Deliver(delivery(1, "hi", "nina"), call)
    assert await read(unit, "nina") == [("anna", "hi")]


async def test_a_subscription_goes_on_where_it_was(unit: AccountUnit) -> None:
    async def follow(after: int, count: int) -> list[str]:
        ask = pb.SubscribeRequest(after=after)
        stream = unit.conversations.Subscribe(ask, unit.by_ticket("ben"))
        found: list[str] = []
        async with asyncio.timeout(WAIT_S):
            async for response in stream:
                found.append(response.message.content.text)
                if len(found) == count:
                    break
        await stream.aclose()
        return found

    for number in range(3):
        await send(unit, "anna", number, f"old {number}", "ben")
    following = asyncio.create_task(follow(1, 4))
    await asyncio.sleep(0.05)
    for number in range(3, 5):
        await send(unit, "anna", number, f"new {number}", "ben")
    assert await following == ["old 1", "old 2", "new 3", "new 4"]
    assert await follow(4, 1) == ["new 4"]
    assert len(unit.arrivals) == 0


def waiting(unit: AccountUnit, account: str) -> asyncio.Task[pb.SubscribeResponse]:
    """A subscription that waits for its first message."""
    stream = unit.conversations.Subscribe(pb.SubscribeRequest(), unit.by_ticket(account))
    return asyncio.create_task(anext(stream))


async def test_positions_beyond_all_that_there_can_be_are_behind_and_before_everything(
    unit: AccountUnit,
) -> None:
    await send(unit, "anna", 1, "hello", "ben")
    beyond, call = 2**64 - 1, unit.by_ticket("anna")
    ask = pb.ListConversationsRequest(before=beyond)
    assert len((await unit.conversations.ListConversations(ask, call)).conversations) == 1
    stream = unit.conversations.Subscribe(pb.SubscribeRequest(after=beyond), call)
    reading = asyncio.ensure_future(anext(stream))
    async with asyncio.timeout(WAIT_S):
        while not (len(unit.arrivals) or reading.done()):  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert not reading.done()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_a_subscription_ends_where_the_account_has_left_and_with_its_ticket(
    unit: AccountUnit,
) -> None:
    leaving, staying = waiting(unit, "ben"), waiting(unit, "carla")
    await asyncio.sleep(0.05)
    went = Departed(epoch=2, unit_id="v", endpoint="v:1", decided_at=NOW, over_at=NOW)
    unit.verifier.departures.note(TENANT, "ben", went)
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(StaleEpoch):
            await leaving
        unit.now += 4_000
        with pytest.raises(Unauthenticated):
            await staying


async def test_an_account_has_so_many_subscriptions(unit: AccountUnit) -> None:
    many = [waiting(unit, "ben") for _ in range(MAX_SUBSCRIPTIONS)]
    await asyncio.sleep(0.02)
    with pytest.raises(TooManySubscriptions):
        await waiting(unit, "ben")
    for one in many:
        one.cancel()
    await asyncio.gather(*many, return_exceptions=True)
    assert len(unit.arrivals) == 0


async def test_seen_and_removed(unit: AccountUnit) -> None:
    await send(unit, "anna", 1, "hello", "ben")
    call = unit.by_ticket("ben")
    mark = pb.MarkSeenRequest(conversation=TALK, device="phone", position=9)
    assert (await unit.conversations.MarkSeen(mark, call)).position == 1
    listed = await unit.conversations.ListConversations(pb.ListConversationsRequest(), call)
    assert [(one.device, one.position) for one in listed.conversations[0].seen] == [("phone", 1)]
    remove = pb.RemoveConversationRequest(conversation=TALK)
    for _ in range(2):
        assert not (await unit.conversations.RemoveConversation(remove, call)).more
    assert await read(unit, "ben") == []
    assert await read(unit, "anna") == [("anna", "hello")]
    with pytest.raises(NotFound):
        await unit.conversations.MarkSeen(mark, call)
    again = await send(unit, "anna", 2, "still there?", "ben")
    assert list(again.kept_for) == ["ben"]


async def test_conversations_move_with_the_account_and_go_on(tmp_path: Path) -> None:
    issuer = an_issuer()
    async with (
        account_unit(tmp_path / "old", "old", issuer) as old,
        account_unit(tmp_path / "new", "new", issuer) as new,
    ):
        for name in ("anna", "ben"):
            await enter(old, name)
        for number in range(50):
            await send(old, "anna", number, f"message {number}", "ben")
        before = await read(old, "ben")
        sent = await read_state(old.state, TENANT, "ben")
        with pytest.raises(AccountLeaving):
            await send(old, "ben", 99, "too late")
        await replace_state(new.state, TENANT, "ben", 2, sent)
        assert await read(new, "ben", 2) == before
        # What is sent again is known there, and what is new goes behind it.
        for number in (49, 50):
            call = new.by_introduction("ben", "anna", 2)
            await new.conversations.Deliver(delivery(number, f"message {number}", "ben"), call)
        assert await read(new, "ben", 2) == [*before, ("anna", "message 50")]


def faulty():
    def case(method: str, message, what: str, kind: type[ServiceError] = InvalidInput):
        return pytest.param(method, message, kind, id=what)

    content = pb.Content(text="x")
    for name in ("conversation", "id"):
        for size in (0, 15, 17):
            good = {"conversation": TALK, "id": id_of(1), "members": ["ben"], "content": content}
            good[name] = b"x" * size
            yield case("SendMessage", pb.SendMessageRequest(**good), f"{name} of {size} bytes")
    yield case("SendMessage", request(1, " \n", "ben"), "no text")
    yield case("SendMessage", request(1, "x" * 65_537, "ben"), "a long text")
    yield case("SendMessage", request(1, "é" * 32_769, "ben"), "a text of many bytes")
    yield case("SendMessage", request(1, "a\0b", "ben"), "a control character")
    yield case("SendMessage", request(1, "x", "anna"), "the sender as member")
    yield case("SendMessage", request(1, "x", "a/b"), "a member that is none")
    yield case("SendMessage", request(1, "x", *(f"m{n}" for n in range(65))), "many members")
    yield case("SendMessage", request(1, "x"), "no members of a new one", NotFound)
    yield case("ListMessages", pb.ListMessagesRequest(conversation=TALK, page_size=101), "a page")
    yield case("ListMessages", pb.ListMessagesRequest(), "no conversation to list")
    yield case("GetMessage", pb.GetMessageRequest(), "no message to get")
    for name in ("in_reply_to", "answers"):
        odd = request(1, "x", "ben")
        odd.content.MergeFrom(pb.Content(**{name: b"short"}))
        yield case("SendMessage", odd, f"a short {name}")
    odd = request(1, "x", "ben")
    odd.replaces = b"short"
    yield case("SendMessage", odd, "a short replaces")
    odd = request(1, "x", "ben")
    odd.replaces = id_of(7)
    yield case("SendMessage", odd, "what is not there to replace", NotFound)
    yield case("ListConversations", pb.ListConversationsRequest(page_size=1_001), "a long list")
    yield case("MarkSeen", pb.MarkSeenRequest(conversation=TALK), "no device")
    yield case("RemoveConversation", pb.RemoveConversationRequest(), "nothing to remove")


@pytest.mark.parametrize(("method", "message", "kind"), list(faulty()))
async def test_a_request_is_refused_that_has(
    unit: AccountUnit, method: str, message, kind: type[ServiceError]
) -> None:
    with pytest.raises(kind):
        await getattr(unit.conversations, method)(message, unit.by_ticket("anna"))
    ask = pb.ListConversationsRequest()
    listed = await unit.conversations.ListConversations(ask, unit.by_ticket("anna"))
    assert not listed.conversations


async def test_nobody_is_served_without_showing_a_good_ticket(unit: AccountUnit) -> None:
    service = pb.DESCRIPTOR.services_by_name["ConversationService"]
    calls = [
        FakeContext(),
        FakeContext("nonsense"),
        FakeContext(unit.issuer.issue("v", TENANT, "anna", 1, NOW, 60.0)),
        FakeContext(unit.issuer.issue("u", TENANT, "anna", 1, NOW - 100.0, 60.0)),
        FakeContext(an_issuer().issue("u", TENANT, "anna", 1, NOW, 60.0)),
    ]
    for method in service.methods:
        message = getattr(pb, method.input_type.name)()
        for call in calls:
            answer = getattr(unit.conversations, method.name)(message, call)
            with pytest.raises((Unauthenticated, PermissionDenied)):
                await (anext(answer) if method.server_streaming else answer)


async def test_a_namesake_of_another_tenant_reads_and_reaches_nothing(unit: AccountUnit) -> None:
    await send(unit, "anna", 1, "for ben alone", "ben")
    foreign = unit.by_ticket("ben", tenant="other")
    listed = await unit.conversations.ListConversations(pb.ListConversationsRequest(), foreign)
    assert not listed.conversations
    page = await unit.conversations.ListMessages(pb.ListMessagesRequest(conversation=TALK), foreign)
    assert not page.messages
    with pytest.raises(NotFound):
        await unit.conversations.SendMessage(request(2, "into it"), foreign)
    assert [text for _, text in await read(unit, "ben")] == ["for ben alone"]
