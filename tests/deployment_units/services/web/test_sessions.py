"""A browser is signed in by a ticket, once, and then by a cookie that no script and no other site
has; whoever has no good ticket gets nothing, and nobody gets another's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployment_units.services.web.session_cookie import SessionCookie
from tests.support.web_units import WebUnit, web_unit

TALK = "AAAAAAAAAAAAAAAAAAAAAQ=="
OTHERS = {
    "another page": {"sec-fetch-site": "cross-site", "origin": "https://mallory.example"},
    "a sister site": {"sec-fetch-site": "same-site", "origin": "https://talk.example"},
    "an old browser": {"sec-fetch-site": "", "origin": "https://mallory.example"},
    "a file": {"sec-fetch-site": "", "origin": "null"},
}


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[WebUnit]:
    async with web_unit(tmp_path / "u", "anna", "ben") as one:
        yield one


async def test_a_ticket_signs_in_and_its_cookie_is_out_of_reach(unit: WebUnit) -> None:
    async with unit.browser() as browser:
        status, said, response = await browser.ask(
            "POST", "/session", {"ticket": unit.ticket("anna", ends_s=600.0)}
        )
        assert (status, said["account"], said["tenant"], said["unit"]) == (
            200, "anna", "talk", "u",
        )  # fmt: skip
        assert said["expires"] == unit.unit.now + 600
        cookie = response.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=600"):
            assert part in cookie.split("; ")
        assert "Domain" not in cookie
        assert (await browser.ask("GET", "/session"))[1]["account"] == "anna"


async def test_signing_out_removes_it(unit: WebUnit) -> None:
    async with unit.browser("anna") as browser:
        assert (await browser.ask("DELETE", "/session"))[0] == 204
        assert (await browser.ask("GET", "/session"))[0] == 401


async def test_the_cookie_is_kept_to_tls_where_there_is_tls(unit: WebUnit) -> None:
    async with unit.browser() as browser:
        _, _, response = await browser.ask(
            "POST", "/session", {"ticket": unit.ticket("anna")},
            headers={"x-forwarded-proto": "https"},
        )  # fmt: skip
        cookie = response.headers["set-cookie"]
        assert cookie.startswith("__Host-homeport-")
        assert "Secure" in cookie.split("; ")


def test_units_on_one_host_have_cookies_of_their_own() -> None:
    names = {SessionCookie(unit_id=one, secure=False).name for one in ("eu", "us", "eu;a=b")}
    assert len(names) == 3
    assert all(name.replace("-", "").isalnum() for name in names)


@pytest.mark.parametrize("ticket", ["", "nonsense", "a.b.c", "x" * 5_000])
async def test_what_is_no_ticket_signs_nobody_in(unit: WebUnit, ticket: str) -> None:
    async with unit.browser() as browser:
        status, _, response = await browser.ask("POST", "/session", {"ticket": ticket})
        assert status == 401
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"ticket": 7}', b'{"other": "x"}', b"\xff"])
async def test_what_is_no_sign_in_is_refused(unit: WebUnit, body: bytes) -> None:
    async with unit.browser() as browser:
        status, said, _ = await browser.ask(
            "POST", "/session", data=body, headers={"content-type": "application/json"}
        )
        assert (status, said["code"]) == (400, 3)


async def test_tickets_of_others_are_nobodys_here(unit: WebUnit) -> None:
    async with unit.browser() as browser:
        for ticket in (unit.ticket("anna", unit="us"), unit.ticket("anna", ends_s=-60.0)):
            assert (await browser.ask("POST", "/session", {"ticket": ticket}))[0] == 401


async def test_strangers_get_nothing(unit: WebUnit) -> None:
    async with unit.browser() as browser:
        for verb, path in [
            ("GET", "/session"),
            ("GET", "/events"),
            ("POST", "/api/ConversationService/ListConversations"),
            ("POST", "/api/ProfileService/GetSettings"),
        ]:
            status, said, _ = await browser.ask(verb, path, {} if verb == "POST" else None)
            assert (path, status, said["code"]) == (path, 401, 16)


async def test_a_namesake_of_another_tenant_is_somebody_else(unit: WebUnit) -> None:
    message = {"conversation": TALK, "id": TALK, "members": ["ben"], "content": {"text": "hello"}}
    async with (
        unit.browser("anna") as anna,
        unit.browser("anna", "rival") as namesake,
        unit.browser("ben") as ben,
    ):
        await anna.call("SendMessage", message)
        assert len((await ben.call("ListConversations"))["conversations"]) == 1
        assert (await namesake.call("ListConversations"))["conversations"] == []
        assert (await namesake.call("ListMessages", {"conversation": TALK}))["messages"] == []


@pytest.mark.parametrize("whose", OTHERS)
async def test_pages_of_others_change_nothing(unit: WebUnit, whose: str) -> None:
    headers = {name: value for name, value in OTHERS[whose].items() if value}
    async with unit.browser("anna") as anna:
        drop = {"sec-fetch-site"} - set(headers)
        for verb, path in [
            ("POST", "/session"),
            ("DELETE", "/session"),
            ("POST", "/api/ConversationService/SendMessage"),
        ]:
            async with anna.session.request(
                verb, unit.url + path, headers=headers, data=b"{}", skip_auto_headers=drop
            ) as response:
                assert (path, response.status) == (path, 403)


async def test_a_form_of_another_site_is_no_call(unit: WebUnit) -> None:
    """What a browser sends without asking first is no JSON."""
    async with unit.browser("anna") as anna:
        path = "/api/ConversationService/ListConversations"
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            status, _, _ = await anna.ask("POST", path, {}, headers={"content-type": kind})
            assert (kind, status) == (kind, 415)
