"""What is sent to an application as events of the feeds (message_feeds.manifest.yaml). Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from deployment_units.services.applications.port import (
    CLICK_FEED,
    MESSAGE_FEED,
    REFUSED_FEED,
    FeedEvent,
)
from deployment_units.services.cards.card import CardAction, CardFlaw
from deployment_units.services.conversations.press import KeptPress

MAX_TEXT = 16_384  # characters of a message that an event carries
MAX_POINTER = 1_024
MAX_SAID = 1_024  # characters of one flaw
_UNIT = "/homeport/units"  # the source of what no person sent


def member_uri(tenant: str, member: str) -> str:
    """A member of a conversation as applications see it: `acct:` with account and tenant, or the
    URI of somebody without an account."""
    if member.startswith(("mailto:", "tel:")):
        return member
    return f"acct:{quote(member, safe='')}@{tenant}"


def message_event(
    *,
    tenant: str,
    application: str,
    conversation: bytes,
    message: bytes,
    sender: str,
    text: str,
    in_reply_to: bytes = b"",
    verified: bool | None = None,
    caused_by: str = "",
) -> FeedEvent:
    """A message to an application. verified: of what came by mail or text, whether the sender is
    who they say, as far as the unit that took it in could find out; None: it came otherwise.
    caused_by: the instruction that had another application send it; empty: a person wrote it.

    One message may go to several applications, and the feed log knows an event by source and id: so
    the id names both, and is the same however often the event is made."""
    source = member_uri(tenant, sender)
    data: dict[str, Any] = {
        "application": application,
        "conversation": conversation.hex(),
        "message": message.hex(),
        "sender": source,
        "text": text[:MAX_TEXT],
    }
    if in_reply_to:
        data["in_reply_to"] = in_reply_to.hex()
    if verified is not None:
        data["verified"] = verified
    return FeedEvent(
        type=MESSAGE_FEED,
        source=source,
        id=f"{message.hex()}-{application}",
        data=data,
        caused_by=caused_by,
    )


def press_event(
    *,
    tenant: str,
    application: str,
    conversation: bytes,
    press: KeptPress,
    action: CardAction,
) -> FeedEvent:
    """A press of a card of an application. action: as the card that was pressed has it."""
    viewer = member_uri(tenant, press.viewer)
    data = {
        "application": application,
        "conversation": conversation.hex(),
        "message": press.message.hex(),
        "revision": press.revision,
        "action": press.action,
        "viewer": viewer,
        "press": press.id.hex(),
        "number": press.number,
        "inputs": json.loads(press.inputs),
        "verb": action.verb,
        "data": _data(action),
    }
    return FeedEvent(type=CLICK_FEED, source=viewer, id=press.id.hex(), data=data)


def refused_event(*, application: str, instruction: str, flaws: Sequence[CardFlaw]) -> FeedEvent:
    """A reply of which nothing was sent, for its author."""
    return FeedEvent(
        type=REFUSED_FEED,
        source=_UNIT,
        id=instruction,
        caused_by=instruction,
        data={
            "application": application,
            "instruction": instruction,
            "flaws": [
                {
                    "pointer": one.pointer[:MAX_POINTER],
                    "reason": one.reason.value,
                    "message": one.message[:MAX_SAID],
                }
                for one in flaws
            ],
        },
    )


def _data(action: CardAction) -> dict[str, Any]:
    match action.data:
        case None:
            return {}
        case str(text):
            return {"text": text}
        case data:
            return dict(data)
