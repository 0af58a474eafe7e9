"""Conversations as messages of homeport.api.communication.v1."""

from __future__ import annotations

from collections.abc import Iterable

from deployment_units.services.conversations.message import Conversation, KeptMessage
from deployment_units.services.conversations.press import KeptPress, PressState
from homeport.api.communication.v1 import conversation_pb2 as pb

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
    )
    made.keep_time.FromMilliseconds(message.kept_ms)
    return made


def press_to_proto(press: KeptPress) -> pb.Press:
    made = pb.Press(
        id=press.id, action=press.action, revision=press.revision, state=STATES[press.state]
    )
    made.press_time.FromMilliseconds(press.pressed_ms)
    return made


def conversation_to_proto(conversation: Conversation) -> pb.Conversation:
    return pb.Conversation(
        id=conversation.id,
        members=conversation.members,
        last=conversation.last,
        seen=[pb.Seen(device=device, position=at) for device, at in conversation.seen],
    )
