"""Conversations as messages of homeport.api.communication.v1."""

from __future__ import annotations

from deployment_units.services.conversations.message import Conversation, KeptMessage
from homeport.api.communication.v1 import conversation_pb2 as pb


def message_to_proto(message: KeptMessage, *, superseded: bool = False) -> pb.Message:
    made = pb.Message(
        id=message.id,
        conversation=message.conversation,
        position=message.position,
        sender=message.sender,
        content=pb.Content.FromString(message.content),
        replaces=message.replaces,
        revision=message.revision,
        superseded=superseded,
    )
    made.keep_time.FromMilliseconds(message.kept_ms)
    return made


def conversation_to_proto(conversation: Conversation) -> pb.Conversation:
    return pb.Conversation(
        id=conversation.id,
        members=conversation.members,
        last=conversation.last,
        seen=[pb.Seen(device=device, position=at) for device, at in conversation.seen],
    )
