"""What a chat shows of a message, a card and a press, in lines. Nothing that somebody wrote moves a
cursor or turns what stands around it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from console.cli.chat.labels import ME
from console.cli.chat.session import Acted, Pressed, Sent
from console.cli.views.conversations import (
    mail_document,
    mail_notes,
    sender_shown,
    sent_document,
)
from control_plane.printable import printable, printable_lines
from deployment_units.services.cards.card import Card
from deployment_units.services.cards.text_form import to_text
from homeport.api.communication.v1 import conversation_pb2 as pb

_NOBODY: Mapping[str, str] = {}
_STATES = {
    "waiting": "kept; no answer yet, and it may take as long as it takes",
    "done": "done",
    "superseded": "not pressed: the card has changed; look at it again",
    "refused": "nobody takes presses of that card any more",
}


def message_lines(
    message: pb.Message,
    card: Card | None,
    *,
    me: str,
    labels: Mapping[str, str] = _NOBODY,
    zone: tzinfo | None = None,
) -> str:
    """The message, each line ended. card: the one in it that can be answered. labels: what members
    are called; others by their ids. zone: of times; None: the machine's."""
    kept = datetime.fromtimestamp(message.keep_time.seconds, zone)
    label = labels.get(message.sender, message.sender)
    named = sender_shown(label, message.content.from_identifier)
    who = ME if message.sender == me else printable(named)
    notes = ["changed"] if message.replaces else []
    notes += map(printable, mail_notes(message.sender, mail_document(message)))
    noted = f" ({'; '.join(notes)})" if notes else ""
    head = f"{kept:%H:%M} {who}{noted}: "
    if card is None:
        first, *rest = printable_lines(message.content.text).splitlines() or [""]
        lines = [f"{head}{first}", *(f"      {one}" for one in rest)]
    else:
        shown = to_text(card, answerable=message.sender != me)
        lines = [head.rstrip(), *(f"      {one}".rstrip() for one in shown.splitlines())]
    return "".join(f"{one}\n" for one in lines)


def acted_line(acted: Acted, labels: Mapping[str, str] = _NOBODY) -> str:
    """What became of what was typed, without a line end; empty: it is seen anyhow."""
    match acted:
        case Pressed():
            return f"[{printable(acted.title)}] {_STATES.get(acted.state, 'unknown')}"
        case Sent():
            away = ", ".join(printable(labels.get(one, one)) for one in acted.answer.elsewhere)
            return f"kept; on its way to {away}" if away else ""
        case _:
            return printable(acted.why)


def acted_document(acted: Acted) -> dict[str, Any]:
    """The same for programs."""
    match acted:
        case Sent():
            return {"did": "sent", **sent_document(acted.answer)}
        case Pressed():
            return {
                "did": "pressed", "action": acted.action, "state": acted.state,
                "message": acted.message.hex(), "press": acted.press.hex(),
            }  # fmt: skip
        case _:
            return {"did": "nothing", "why": acted.why}


def card_in(message: pb.Message) -> Any:
    """The document of its card; None: it has none that can be read."""
    try:
        return json.loads(message.content.card) if message.content.card else None
    except ValueError:
        return None
