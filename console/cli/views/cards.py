"""What a card is, or what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from console.cli.markup import escape
from console.cli.tables import Table, facts, fold, whole
from control_plane.printable import number_of
from deployment_units.services.cards.card import Card, CardFlaw
from deployment_units.services.cards.replies import Reply

if TYPE_CHECKING:
    from rich.console import RenderableType

# Terminals that know them shut texts off by themselves; others show them as boxes.
_ISOLATES = dict.fromkeys(range(0x2066, 0x206A))


def document_of(found: Card | Reply | list[CardFlaw]) -> dict[str, Any]:
    """For programs."""
    if isinstance(found, list):
        flaws = [
            {"pointer": one.pointer, "reason": one.reason.value, "message": one.message}
            for one in found
        ]
        return {"accepted": False, "flaws": flaws}
    if isinstance(found, Reply):
        messages = [
            {
                "conversation": one.conversation,
                "replaces": one.replaces,
                "card": None if one.card is None else _card(one.card),
            }
            for one in found.parts
        ]
        return {"accepted": True, "messages": messages}
    return {"accepted": True, **_card(found)}


def checked(document: dict[str, Any]) -> RenderableType:
    """What `document_of` gave, for people."""
    from rich.console import Group

    if not document["accepted"]:
        return flaws_table(document["flaws"])
    if "messages" in document:
        count = number_of(len(document["messages"]), "message")
        cards = [one["card"] for one in document["messages"] if one["card"]]
        return Group(f"a reply of {count} that may be sent", *map(card_view, cards))
    return card_view(document)


def rendered(content: str) -> RenderableType:
    """What a card looks like."""
    from rich.text import Text

    return Text(content.translate(_ISOLATES).rstrip("\n"))


def _card(card: Card) -> dict[str, Any]:
    return {
        "actions": [
            {
                "id": one.id,
                "title": one.title,
                "once": one.once.value,
                "enabled": one.enabled,
                "inputs": list(one.inputs),
            }
            for one in card.actions
        ],
        "inputs": [
            {"id": one.id, "kind": one.kind.value, "name": one.name, "required": one.required}
            for one in card.inputs.values()
        ],
    }


def flaws_table(flaws: list[dict[str, str]]) -> Table:
    """What is wrong with a card, and where."""
    found = Table(whole("at"), whole("reason"), fold("what is wrong"))
    for one in flaws:
        found.add_row(escape(one["pointer"] or "the whole"), one["reason"], escape(one["message"]))
    return found


def card_view(card: dict[str, Any]) -> Table:
    """The buttons and inputs of a card that may be shown."""
    found = facts()
    found.add_row("card", "may be shown")
    for one in card["actions"]:
        how = {"viewer": "once by everybody", "card": "once", "repeat": "again and again"}
        pressed = how[one["once"]] if one["enabled"] else "not available"
        sends = f", sends {', '.join(one['inputs'])}" if one["inputs"] else ""
        found.add_row("button", escape(f"{one['title']} ({one['id']}): {pressed}{sends}"))
    for one in card["inputs"]:
        needed = ", required" if one["required"] else ""
        found.add_row("input", escape(f"{one['name']} ({one['id']}): {one['kind']}{needed}"))
    return found
