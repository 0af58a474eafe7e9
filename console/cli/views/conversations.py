"""Conversations, for people and programs. Ids are hexadecimal."""

from __future__ import annotations

from typing import Any

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, whole
from console.cli.views.times import time_text
from homeport.api.communication.v1 import conversation_pb2 as pb


def message_document(message: pb.Message) -> dict[str, Any]:
    return {
        "conversation": message.conversation.hex(),
        "position": message.position,
        "id": message.id.hex(),
        "sender": message.sender,
        "text": message.content.text,
        "kept": time_text(message.keep_time.ToMilliseconds()),
    }


def sent_document(sent: pb.SendMessageResponse) -> dict[str, Any]:
    return {
        **message_document(sent.message),
        "kept_for": list(sent.kept_for),
        "elsewhere": list(sent.elsewhere),
    }


def messages_view(documents: list[dict[str, Any]]) -> Table:
    table = Table(whole("kept"), fold("sender"), fold("text"))
    for one in documents:
        table.add_row(escape(one["kept"]), escape(one["sender"]), escape(one["text"]))
    return table


def sent_view(document: dict[str, Any]) -> Table:
    table = Table(whole("conversation"), fold("kept for"), fold("elsewhere"))
    table.add_row(
        document["conversation"],
        escape(", ".join(document["kept_for"])) or "–",
        escape(", ".join(document["elsewhere"])) or "–",
    )
    return table


def conversation_document(conversation: pb.Conversation) -> dict[str, Any]:
    return {
        "conversation": conversation.id.hex(),
        "members": list(conversation.members),
        "last": conversation.last,
        "seen": {one.device: one.position for one in conversation.seen},
    }


def conversations_view(documents: list[dict[str, Any]]) -> Table:
    table = Table(whole("conversation"), fold("with"), number("last"))
    for one in documents:
        members = escape(", ".join(one["members"]))
        table.add_row(one["conversation"], members, str(one["last"]))
    return table
