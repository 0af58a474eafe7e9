"""Conversations as messages of homeport.api.communication.v1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from control_plane.errors import InvalidInput
from deployment_units.services.conversations.handling import (
    NEVER_ELSEWHERE,
    USUAL,
    Handling,
    MessageClass,
    Urgency,
    decoded,
)
from deployment_units.services.conversations.message import Conversation, KeptMessage
from deployment_units.services.conversations.press import KeptPress, PressState
from homeport.api.communication.v1 import conversation_pb2 as pb

T = TypeVar("T")
MOST_MS = 253_402_300_799_999  # the end of the year 9999
_CLASSES = {
    pb.MESSAGE_CLASS_CHAT: MessageClass.CHAT,
    pb.MESSAGE_CLASS_NOTICE: MessageClass.NOTICE,
    pb.MESSAGE_CLASS_CODE: MessageClass.CODE,
    pb.MESSAGE_CLASS_SECRET: MessageClass.SECRET,
}
_URGENCIES = {pb.URGENCY_NORMAL: Urgency.NORMAL, pb.URGENCY_URGENT: Urgency.URGENT}
CHANNELS = {
    pb.CHANNEL_IN_APP: "in_app",
    pb.CHANNEL_MAIL: "mail",
    pb.CHANNEL_TEXT: "text",
    pb.CHANNEL_PUSH: "push",
}
_TO_CLASS = {said: number for number, said in _CLASSES.items()}
_TO_URGENCY = {said: number for number, said in _URGENCIES.items()}
TO_CHANNEL = {said: number for number, said in CHANNELS.items()}
STATES = {
    PressState.KEPT: pb.PRESS_STATE_WAITING,
    PressState.WAITING: pb.PRESS_STATE_WAITING,
    PressState.DONE: pb.PRESS_STATE_DONE,
    PressState.SUPERSEDED: pb.PRESS_STATE_SUPERSEDED,
    PressState.REFUSED: pb.PRESS_STATE_REFUSED,
}


def message_to_proto(
    message: KeptMessage, *, superseded: bool = False, pressed: Iterable[KeptPress] = ()
) -> pb.Message:
    """pressed: by the account whose copy it is."""
    made = pb.Message(
        id=message.id,
        conversation=message.conversation,
        position=message.position,
        sender=message.sender,
        content=pb.Content.FromString(message.content),
        replaces=message.replaces,
        revision=message.revision,
        superseded=superseded,
        presses=map(press_to_proto, pressed),
        via=message.via,
    )
    made.keep_time.FromMilliseconds(message.kept_ms)
    if message.handling:
        made.handling.CopyFrom(handling_to_proto(decoded(message.handling)))
    return made


def press_to_proto(press: KeptPress) -> pb.Press:
    made = pb.Press(
        id=press.id, action=press.action, revision=press.revision, state=STATES[press.state]
    )
    made.press_time.FromMilliseconds(press.pressed_ms)
    return made


def handling_to_proto(handling: Handling) -> pb.Handling:
    made = pb.Handling()
    if handling.message_class is not USUAL.message_class:
        made.message_class = _TO_CLASS[handling.message_class]
    if handling.urgency is not USUAL.urgency:
        made.urgency = _TO_URGENCY[handling.urgency]
    if handling.channel:
        made.channel = TO_CHANNEL[handling.channel]
    if handling.expires_ms is not None:
        made.expire_time.FromMilliseconds(handling.expires_ms)
    return made


def handling_of(message: pb.Handling, field: str = "handling") -> Handling:
    """Raises InvalidInput."""
    found = Handling(
        message_class=_named(_CLASSES, message.message_class, f"{field}.message_class")
        or MessageClass.CHAT,
        urgency=_named(_URGENCIES, message.urgency, f"{field}.urgency") or Urgency.NORMAL,
        channel=_named(CHANNELS, message.channel, f"{field}.channel") or "",
        expires_ms=_expiry(message, field),
    )
    if found.message_class in NEVER_ELSEWHERE and not found.channel:
        raise InvalidInput(
            f"{field}.channel", f"a {found.message_class} names the channel that it goes over"
        )
    return found


def conversation_to_proto(conversation: Conversation) -> pb.Conversation:
    return pb.Conversation(
        id=conversation.id,
        members=conversation.members,
        last=conversation.last,
        seen=[pb.Seen(device=device, position=at) for device, at in conversation.seen],
    )


def _named(known: dict[Any, T], value: int, field: str) -> T | None:
    """None: it is not said."""
    if not value:
        return None
    found = known.get(value)
    if found is None:
        raise InvalidInput(field, f"{field} is {value}, which this unit does not know")
    return found


def _expiry(message: pb.Handling, field: str) -> int | None:
    if not message.HasField("expire_time"):
        return None
    time = message.expire_time
    at_ms: int = time.seconds * 1_000 + time.nanos // 1_000_000
    if not 0 < at_ms <= MOST_MS:
        raise InvalidInput(f"{field}.expire_time", f"{field}.expire_time is no time of a message")
    return at_ms
