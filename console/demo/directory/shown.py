"""What Anna's client would show of her conversations, for the picture of them."""

from __future__ import annotations

import json

from console.demo.directory.demo_stack import DemoStack
from console.demo.directory.picture import Bubble
from homeport.api.communication.v1 import conversation_pb2 as pb

WHOSE = "anna"


def bubbles_of(stack: DemoStack) -> list[Bubble]:
    """All messages, in the order in which they came to her; what took the place of a card behind
    it."""
    with stack.person(WHOSE) as person:
        found = [one for about in person.conversations() for one in person.messages(about.id)]
    found.sort(key=lambda one: one.position)
    pressed = {press.action for one in found for press in one.presses}
    return [_bubble(one, pressed) for one in found]


def _bubble(message: pb.Message, pressed: set[str]) -> Bubble:
    card = json.loads(message.content.card) if message.content.card else {}
    actions = card.get("actions", [])
    via = "a card" if card else ""
    return Bubble(
        sender=message.sender,
        via="in the place of its card" if message.replaces else via,
        text=message.content.text,
        own=message.sender == WHOSE,
        buttons=tuple(str(one["title"]) for one in actions),
        pressed=next((str(one["title"]) for one in actions if one.get("id") in pressed), ""),
    )
