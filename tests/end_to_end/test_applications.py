"""An application in its sandbox that is written to, through real processes: a message, a card, a
press that is made twice with the unit killed behind it, one order; hours later another card, and a
press of that. The second with the sample application, which takes a minute to be built."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import grpc
import pytest

from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.datasharing.v1 import (
    feed_pb2,
    feed_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
)
from tests.support.answering_guest import CARD, ORDERED, answering_guest, answering_manifest
from tests.support.answering_stack import CALL_S, AnsweringStack, Person, answering_stack, built

TALK = b"conversation-one"
HELLO, ORDER, PRESS = b"m" * 16, b"o" * 16, b"p" * 16
SHIPPED = "roastery.order.shipped"
TELL = {
    "rule": "shipped",
    "watch": {
        "o": {"feed": "homeport.card.clicked", "key": "event.data.press"},
        "s": {"feed": SHIPPED, "key": "event.data.order"},
    },
    "join": {"within": "48h", "consume": "recent"},
    "when": 'o.data.application == "roastery"',
    "do": [
        {
            "invoke": {
                "application": "roastery",
                "action": "tell-shipped",
                "config": {
                    "conversation": "o.data.conversation",
                    "order": "s.data.order",
                    "carrier": "s.data.carrier",
                },
                "deadline": "1h",
            }
        }
    ],
}


@pytest.mark.timeout(600)
async def test_a_message_a_card_a_press_and_one_order(tmp_path: Path) -> None:
    async with answering_stack(tmp_path, "roastery") as stack:
        with stack.sharing():
            await stack.set_up(answering_manifest(), answering_guest())
            platform = stack.platform()
            try:
                anna = Person(stack, "anna")
                async with stack.agent(fault_point="click.kept.after"):
                    await enter(stack)
                    await anna.write(TALK, HELLO, "Good morning", ["roastery"])
                    _, offer = await anna.waits_for(TALK, 2)
                    assert offer.content.in_reply_to == HELLO
                    assert json.loads(offer.content.card) == CARD
                    twice = [
                        asyncio.create_task(anna.click(offer.id, "order", PRESS, amount="2"))
                        for _ in range(2)
                    ]
                async with stack.agent():
                    answers = await asyncio.gather(*twice)
                    assert {one.press for one in answers} == {PRESS}
                    _, before, ordered = await anna.waits_for(TALK, 3)
                    assert ordered.content.text == ORDERED
                    assert (ordered.replaces, ordered.revision) == (offer.id, 2)
                    assert before.superseded
                    assert [one.state for one in before.presses] == [pb.PRESS_STATE_DONE]
                    late = await anna.click(offer.id, "order", b"q" * 16, amount="1")
                    assert late.press == PRESS
                    assert await stack.outcomes() == [
                        ("answers.roastery.message", "done"), ("answers.roastery.click", "done"),
                    ]  # fmt: skip
                await anna.close()
            finally:
                platform.kill()


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_hours_later_another_feed_brings_a_card_that_is_pressed_once(tmp_path: Path) -> None:
    manifest, content = await asyncio.to_thread(built, "roastery")
    async with answering_stack(tmp_path, "roastery") as stack:
        with stack.sharing():
            await stack.set_up(manifest, content, TELL)
            platform = stack.platform()
            try:
                await platform.ready()
                anna = Person(stack, "anna")
                async with stack.agent():
                    await enter(stack)
                    await anna.write(TALK, HELLO, "Good morning", ["roastery"])
                    _, offer = await anna.waits_for(TALK, 2)
                    await anna.click(offer.id, "order-antigua", ORDER, amount="1")
                    *_, ordered = await anna.waits_for(TALK, 3)
                    assert ordered.content.text == "Ordered: 1 × Antigua, 12 €."
                async with stack.sharing_channel() as channel:
                    await ship(channel)
                async with stack.agent():  # while nobody was there, it shipped
                    *_, card = await anna.waits_for(TALK, 4)
                    for press in (PRESS, b"q" * 16, PRESS):
                        answer = await anna.click(card.id, "return", press)
                        assert answer.press == PRESS
                    *_, bye = await anna.waits_for(TALK, 5)
                    assert bye.content.text == "Return recorded."
                    rules = [one for one, _ in await stack.outcomes()]
                    assert rules == [
                        "answers.roastery.message", "answers.roastery.click", "shipped",
                        "answers.roastery.click",
                    ]  # fmt: skip
                await anna.close()
            finally:
                platform.kill()


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_card_of_a_version_that_was_rolled_back_is_pressed_all_the_same(
    tmp_path: Path,
) -> None:
    async with answering_stack(tmp_path, "roastery") as stack:
        with stack.sharing():
            await stack.set_up(answering_manifest(), answering_guest())
            platform = stack.platform()
            try:
                anna = Person(stack, "anna")
                async with stack.agent():
                    await enter(stack)
                    await stack.submit(answering_manifest("2.0.0"), answering_guest())
                    await anna.write(TALK, HELLO, "Good morning", ["roastery"])
                    _, offer = await anna.waits_for(TALK, 2)
                    request = registry_pb2.RollbackApplicationRequest(application="roastery")
                    async with stack.sharing_channel() as channel:
                        registry = registry_pb2_grpc.ApplicationRegistryStub(channel)
                        now = await registry.RollbackApplication(request, timeout=CALL_S)
                    assert now.version == "1.0.0"
                    answer = await anna.click(offer.id, "order", PRESS, amount="2")
                    assert answer.press == PRESS
                    *_, ordered = await anna.waits_for(TALK, 3)
                    assert ordered.content.text == ORDERED
                    by = [one["version"] for one in await stack.outcome_data()]
                    assert by == ["2.0.0", "1.0.0"]
                await anna.close()
            finally:
                platform.kill()


async def enter(stack: AnsweringStack) -> None:
    roastery = Person(stack, "roastery")
    await roastery.enter()
    await roastery.close()


async def ship(channel: grpc.aio.Channel) -> None:
    request = feed_pb2.PublishEventRequest()
    request.event.id, request.event.source = "s1", "/roastery"
    request.event.spec_version, request.event.type = "1.0", SHIPPED
    request.event.text_data = json.dumps({"order": ORDER.hex(), "carrier": "a bicycle"})
    await feed_pb2_grpc.FeedServiceStub(channel).PublishEvent(request, timeout=CALL_S)
