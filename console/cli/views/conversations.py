"""Conversations, for people and programs. Ids are hexadecimal."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from console.cli.markup import escape
from console.cli.tables import Table, fold, number, whole
from console.cli.views.times import time_text
from homeport.api.communication.v1 import conversation_pb2 as pb

_STATES = {
    pb.PRESS_STATE_WAITING: "waiting",
    pb.PRESS_STATE_DONE: "done",
    pb.PRESS_STATE_SUPERSEDED: "superseded",
    pb.PRESS_STATE_REFUSED: "refused",
}


def message_document(message: pb.Message) -> dict[str, Any]:
    return {
        "conversation": message.conversation.hex(),
        "position": message.position,
        "id": message.id.hex(),
        "sender": message.sender,
        "from": message.content.from_identifier or None,
        "to": dict(message.content.to_identifiers),
        "via": message.via or None,
        "by_mail": mail_document(message),
        "text": message.content.text,
        "card": json.loads(message.content.card) if message.content.card else None,
        "revision": message.revision,
        "replaces": message.replaces.hex() or None,
        "superseded": message.superseded,
        "presses": [
            {"action": one.action, "press": one.id.hex(), "state": _state(one.state)}
            for one in message.presses
        ],
        "kept": time_text(message.keep_time.ToMilliseconds()),
    }


def mail_document(message: pb.Message) -> dict[str, Any] | None:
    """What is known of the mail that a message was; None: it was none."""
    if not message.content.HasField("by_mail"):
        return None
    mail = message.content.by_mail
    return {
        "address": mail.address or None,
        "verified": mail.verified,
        "subject": mail.subject,
        "attachments": list(mail.attachments),
        "lost": list(mail.lost),
    }


def mail_notes(sender: str, mail: dict[str, Any] | None) -> list[str]:
    """What whoever reads a message has to know of the mail that it was: that anybody may have
    written it in the sender's name, and what came with it."""
    if mail is None:
        return []
    by_address = sender.startswith("mailto:")
    notes = ["by mail"] if mail["verified"] and not by_address else []
    if not mail["verified"]:
        other = mail["address"] and unquote(sender.removeprefix("mailto:")) != mail["address"]
        notes = [f"by mail from {mail['address']}, unverified" if other else "by mail, unverified"]
    if mail["attachments"]:
        notes.append(f"attached and not opened: {', '.join(mail['attachments'])}")
    return notes


def sender_shown(sender: str, from_: str | None) -> str:
    """By what a message names its sender: the identifier as which it was written, if one was
    chosen."""
    if not from_:
        return sender
    return from_ if from_.startswith("@") else unquote(from_.partition(":")[2])


def sent_document(sent: pb.SendMessageResponse) -> dict[str, Any]:
    return {
        **message_document(sent.message),
        "kept_for": list(sent.kept_for),
        "elsewhere": list(sent.elsewhere),
    }


def messages_view(documents: list[dict[str, Any]]) -> Table:
    """Each below its id. A message that was replaced is not shown, and a card stands as numbered
    text in place of the text that stands for it."""
    table = Table(whole("message, kept"), fold("sender"), fold("text"))
    for one in documents:
        if not one["superseded"]:
            named = sender_shown(one["sender"], one["from"])
            who = "\n".join([named, *mail_notes(one["sender"], one["by_mail"])])
            kept = f"{one['id']}\n[dim]{escape(one['kept'])}[/]"
            table.add_row(kept, escape(who), escape(_shown(one)))
    return table


def clicked_document(clicked: pb.ClickResponse, action: str) -> dict[str, Any]:
    return {
        "action": action,
        "press": clicked.press.hex(),
        "state": _state(clicked.state),
        "message": message_document(clicked.current),
    }


def clicked_view(document: dict[str, Any]) -> str:
    said = {
        "waiting": "pressed; the answer comes as a message",
        "done": "pressed before, and answered",
        "superseded": "the card has changed since; look at it, and press again",
    }
    return escape(said.get(document["state"], document["state"]))


def _state(state: pb.PressState.ValueType) -> str:
    return _STATES.get(state, "unknown")


def _shown(document: dict[str, Any]) -> str:
    from deployment_units.services.cards.profile import check
    from deployment_units.services.cards.text_form import to_text

    card = check(document["card"]) if document["card"] else []
    if isinstance(card, list):
        return str(document["text"])
    lines = [to_text(card).rstrip()]
    lines += [f"{one['action']}: {one['state']}" for one in document["presses"]]
    return "\n".join(lines)


def sent_view(document: dict[str, Any]) -> Table:
    table = Table(whole("message, conversation"), fold("kept for"), fold("elsewhere"))
    table.add_row(
        f"{document['id']}\n{document['conversation']}",
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
