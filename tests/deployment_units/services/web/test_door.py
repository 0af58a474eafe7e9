"""What every answer of a unit's HTTP port has in common, and that what comes in is bounded."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployment_units.services.conversations.message import MAX_TEXT_BYTES
from deployment_units.services.web.calls import MOST_BYTES
from tests.support.web_units import WebUnit, web_unit

TALK = base64.b64encode(bytes(16)).decode()
LIST = "/api/ConversationService/ListConversations"


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[WebUnit]:
    async with web_unit(tmp_path / "u", "anna", "ben") as one:
        yield one


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/session", 200),
        ("DELETE", "/session", 204),
        ("PUT", "/session", 405),
        ("POST", LIST, 200),
        ("GET", LIST, 405),
        ("POST", "/api/ConversationService/Subscribe", 404),
        ("POST", "/api/UnitService/Admit", 404),
        ("POST", "/api/ConversationService/ListConversations/more", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/../etc/passwd", 404),
        ("OPTIONS", LIST, 405),
    ],
)
async def test_every_answer_says_what_a_browser_may_do_with_it(
    unit: WebUnit, verb: str, path: str, status: int
) -> None:
    async with unit.browser("anna") as anna:
        got, _, response = await anna.ask(verb, path, {} if verb == "POST" else None)
        assert got == status
        headers = response.headers
        policy = headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy)
        assert not any("unsafe" in one or "http" in one or "*" in one for one in policy)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["server"] == "homeport"
        assert "access-control-allow-origin" not in headers
        if path in ("/session", LIST) and status == 200:
            assert headers["cache-control"] == "no-store"


async def test_a_text_of_any_kind_fits_and_no_larger_one(unit: WebUnit) -> None:
    async with unit.browser("anna") as anna:
        for number, sign in enumerate(("a", '"', ",", "[", "\u20ac")):
            text = sign * (MAX_TEXT_BYTES // len(sign.encode()))
            name = base64.b64encode(number.to_bytes(16, "big")).decode()
            message = {"conversation": name, "id": name, "members": ["ben"], "content": {}}
            message["content"] = {"text": text + sign}
            status, said, _ = await anna.ask(
                "POST", "/api/ConversationService/SendMessage", message
            )
            assert (status, said["code"]) == (400, 3), sign
            message["content"] = {"text": text[:10_000]}
            assert (await anna.call("SendMessage", message))["keptFor"] == ["ben"]


async def test_bodies_are_bounded(unit: WebUnit) -> None:
    async with unit.browser("anna") as anna:
        status, _, _ = await anna.ask("POST", LIST, {"pageSize": "1" * MOST_BYTES})
        assert status == 413
        for body in (
            b'{"pageSize": [' + b"1," * 50_000,
            b'{"a":' * 20_000,
            b'{"a":"' + b'\\"' * 99_000,
        ):
            status, said, _ = await anna.ask(
                "POST", LIST, data=body, headers={"content-type": "application/json"}
            )
            assert (status, said["code"]) == (400, 3)


async def test_requests_are_counted_by_their_status(unit: WebUnit) -> None:
    async with unit.browser("anna") as anna:
        await anna.ask("GET", "/nowhere")
        assert unit.server.door.answered == {200: 1, 404: 1}
