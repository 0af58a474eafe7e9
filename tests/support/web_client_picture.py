"""Draws docs/images/web-client.png: the web client in a real browser, on conversations that are
always the same ones. `python -m tests.support.web_client_picture FOLDER` also writes how it looks
on a phone, in the dark, and with nothing in it, into the folder, to be looked at."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from deployment_units.services.accounts.entry import Resident
from homeport.api.communication.v1 import conversation_pb2 as pb
from homeport.api.communication.v1 import delivery_pb2, profile_pb2
from tests.support.browsers import Window, browsers
from tests.support.web_units import WebUnit, web_unit

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "web-client.png"
NAMES = {"anna": "Anna", "ben": "Ben Carter", "carla": "Carla", "roastery": "Gedeb Roastery"}
CARD: dict[str, Any] = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "body": [
        {"type": "TextBlock", "text": "**Yirgacheffe**, new harvest", "size": "Large"},
        {"type": "TextBlock", "wrap": True, "text": "Washed, from Gedeb: jasmine and bergamot."},
        {"type": "FactSet", "facts": [
            {"title": "Bag", "value": "250 g"}, {"title": "Price", "value": "£11.50"},
        ]},
        {"type": "Input.Number", "id": "amount", "label": "Bags", "min": 1, "max": 9, "value": 2},
    ],
    "actions": [
        {"type": "Action.Submit", "id": "order", "title": "Order", "style": "positive"},
        {"type": "Action.Submit", "id": "later", "title": "Not now", "associatedInputs": "none"},
        {"type": "Action.OpenUrl", "title": "About it", "url": "https://roastery.example/yirga"},
    ],
}  # fmt: skip


class _Names:
    """See conversations.finding.MemberNames."""

    async def name(self, viewer: Resident, account: str) -> str:
        return NAMES[account]


async def _scene(unit: WebUnit) -> None:
    """What Anna has: Ben, a group, mail to somebody without an account, and a card."""
    there: Any = unit.unit
    there.conversations.names = _Names()
    there.names.known |= {one: [one] for one in NAMES} | {"@ben": ["ben"]}
    mine = profile_pb2.UpdateProfileRequest(name="Anna")
    await there.profiles.UpdateProfile(mine, there.by_ticket("anna"))
    said = [
        (1, "anna", ["mailto:dev@northwind.example"], "The figures for March are attached below."),
        (3, "carla", ["anna", "ben"], "Who brings the tent?"),
        (3, "ben", [], "I do, and the stove."),
        (4, "ben", ["anna"], "Are you coming on Saturday?"),
        (4, "anna", [], "Yes, by the early train. Shall I bring coffee?"),
        (4, "ben", [], "Always."),
        (2, "roastery", ["anna"], CARD),
    ]
    for number, (about, sender, members, text) in enumerate(said, 1):
        there.now += 61
        content = pb.Content(text=text if isinstance(text, str) else "Yirgacheffe, new harvest")
        message, conversation = number.to_bytes(16, "big"), about.to_bytes(16, "big")
        if not isinstance(text, str):
            content.card = json.dumps(text)
        if sender == "roastery":
            await there.conversations.Deliver(
                pb.DeliverRequest(
                    conversation=conversation, id=message, members=members, content=content
                ),
                there.by_introduction("anna", sender),
            )
        else:
            await there.conversations.SendMessage(
                pb.SendMessageRequest(
                    conversation=conversation, id=message, members=members, content=content
                ),
                there.by_ticket(sender),
            )
    unit.deliveries.known = [
        delivery_pb2.Delivery(
            message=(1).to_bytes(16, "big"), recipient="mailto:dev@northwind.example",
            state=delivery_pb2.DELIVERY_STATE_HANDED_OVER,
            attempts=[delivery_pb2.Attempt(number=1, lost=["formatting"])],
        )
    ]  # fmt: skip


async def _open(window: Window, unit: WebUnit, account: str) -> None:
    await window.go(f"{unit.url}/client/#ticket={unit.ticket(account)}")
    await window.click("#sign-in-form button")
    await window.until("!document.getElementById('client').hidden")


async def draw(folder: Path | None) -> None:
    with tempfile.TemporaryDirectory() as kept:
        async with web_unit(Path(kept) / "u", "anna", "ben", "carla") as unit, browsers() as opened:
            await _scene(unit)
            async with opened.window() as window:
                await window.size(1200, 760)
                await _open(window, unit, "anna")
                await window.sees("Gedeb Roastery", "#conversations")
                await window.sees("Ben Carter, Carla", "#conversations")
                about = base64.b64encode((2).to_bytes(16, "big")).decode()
                await window.run("location.hash = '#/c/' + encodeURIComponent(arguments[0])", about)
                await window.click(".card button.style-positive")
                await window.sees("has not answered yet", "#messages .pressed")
                PICTURE.write_bytes(await window.screenshot())
                if folder is None:
                    return
                await _others(window, unit, folder)
            async with opened.window() as window:
                await window.size(1000, 600)
                there: Any = unit.unit
                there.names.known["mia"] = ["mia"]
                await _open(window, unit, "mia")
                await window.sees("No conversations yet", "#no-conversations")
                (folder / "empty.png").write_bytes(await window.screenshot())


async def _others(window: Window, unit: WebUnit, folder: Path) -> None:
    await window.dark()
    (folder / "dark.png").write_bytes(await window.screenshot())
    await window.dark(False)
    for name, about in (("mailed", 1), ("group", 3), ("ben", 4)):
        wanted = base64.b64encode(about.to_bytes(16, "big")).decode()
        await window.run("location.hash = '#/c/' + encodeURIComponent(arguments[0])", wanted)
        await window.until("document.querySelector('#messages .message')")
        (folder / f"{name}.png").write_bytes(await window.screenshot())
    await window.size(390, 780)
    (folder / "phone.png").write_bytes(await window.screenshot())
    await window.run("location.hash = '#/'")
    await window.until("document.getElementById('client').dataset.view === 'list'")
    (folder / "phone-list.png").write_bytes(await window.screenshot())
    await window.run("location.hash = '#/new'")
    await window.until("!document.getElementById('to-row').hidden")
    (folder / "phone-new.png").write_bytes(await window.screenshot())


if __name__ == "__main__":
    asyncio.run(draw(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
