"""The pages behind links in texts: whoever holds the token reads the message, for a while, and
nothing is changed by it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployment_units.services.channels.message_links import LINK_MS, link_to, linked
from deployment_units.services.conversations import kept, progress
from deployment_units.services.conversations.message import NewMessage
from deployment_units.services.state import owners
from deployment_units.services.state.owners import Owner, OwnerState
from deployment_units.services.web.card_confirmations import NewHome
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import TENANT
from tests.support.web_units import Browser, WebUnit, web_unit

DEV = "tel:+442079460302"
TALK = b"c" * 16
TEXT = "Dear Dev,\n\n1 < 2 & <script>alert(1)</script> https://talk.example/roast"


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[WebUnit]:
    async with web_unit(tmp_path / "u", "anna", "ben") as one:
        yield one


@pytest.fixture
async def reader(unit: WebUnit) -> AsyncIterator[Browser]:
    async with unit.browser() as one:
        yield one


async def make_link(unit: WebUnit, content: pb.Content | None = None, key: bytes = b"k") -> str:
    """anna writes to Dev, who is texted a link."""
    written = (content or pb.Content(text=TEXT)).SerializeToString()
    message = NewMessage(id=b"m" * 16, conversation=TALK, sender="anna", content=written)
    now_ms = unit.unit.wall_ms()

    def make(db: sqlite3.Connection) -> str:
        owner = _anna(db)
        position = kept.keep(db, owner.number, message, [DEV], now_ms=now_ms).position
        return link_to(db, owner, position, DEV, now_ms=now_ms, new_key=lambda: key * 32)

    return await unit.unit.database.transact(make)


def _anna(db: sqlite3.Connection) -> Owner:
    owner = owners.find(db, TENANT, "anna")
    assert owner is not None
    return owner


async def test_it_shows_all_of_the_message_and_changes_nothing(
    unit: WebUnit, reader: Browser
) -> None:
    path = f"/m/{await make_link(unit)}"
    for verb in ("GET", "HEAD", "GET"):
        status, _, response = await reader.ask(verb, path)
        assert status == 200
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert "script-src" not in response.headers["content-security-policy"]
    page = reader.content.decode()
    assert "<h1>From anna</h1>" in page
    assert "1 &lt; 2 &amp; &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'href="https://talk.example/roast" rel="noopener noreferrer"' in page
    assert "<form" not in page
    assert (await reader.ask("POST", path))[0] == 405

    def seen(db: sqlite3.Connection) -> int:
        return progress.seen_up_to(db, _anna(db).number, TALK)

    assert unit.unit.database.read(seen) == 0


async def test_html_is_shown_as_its_text(unit: WebUnit, reader: Browser) -> None:
    token = await make_link(unit, pb.Content(html="<p>Dear <b>Dev</b></p><img src=//evil.example>"))
    await reader.ask("GET", f"/m/{token}")
    page = reader.content.decode()
    assert "Dear Dev" in page
    assert "evil.example" not in page


async def test_what_nobody_here_made_shows_nothing(unit: WebUnit, reader: Browser) -> None:
    token = await make_link(unit)
    other = ("a" if token[0] != "a" else "b") + token[1:]
    said = set[bytes]()
    for one in (other, token[:-1], token + "a", token.upper()):
        assert (await reader.ask("GET", f"/m/{one}"))[0] == 404
        said.add(reader.content)
    unit.unit.now += LINK_MS / 1_000  # the same is said of one whose time is over
    assert (await reader.ask("GET", f"/m/{token}"))[0] == 404
    said.add(reader.content)
    assert len(said) == 1


async def test_its_time_begins_anew_when_it_is_sent_again_and_then_it_is_forgotten(
    unit: WebUnit,
) -> None:
    token = await make_link(unit)
    unit.unit.now += LINK_MS / 2_000
    assert await make_link(unit, key=b"x") == token
    now_ms = unit.unit.wall_ms()

    def found(at_ms: int) -> bool:
        return unit.unit.database.read(lambda db: linked(db, token, now_ms=at_ms)) is not None

    assert found(now_ms + LINK_MS - 1)
    assert not found(now_ms + LINK_MS)

    def another(db: sqlite3.Connection) -> list[int]:
        at_ms = now_ms + LINK_MS
        link_to(db, _anna(db), 99, DEV, now_ms=at_ms, new_key=lambda: b"z" * 32)
        tables = ("message_links", "message_links_made")
        return [db.execute(f"SELECT count(*) FROM {one}").fetchone()[0] for one in tables]

    assert await unit.unit.database.transact(another) == [1, 1]


async def test_of_a_message_that_was_removed_it_says_so(unit: WebUnit, reader: Browser) -> None:
    token = await make_link(unit)
    await unit.unit.database.transact(
        lambda db: kept.remove_some(db, _anna(db).number, TALK) and None
    )
    assert (await reader.ask("GET", f"/m/{token}"))[0] == 410


async def test_of_an_account_that_moved_it_leads_on(unit: WebUnit, reader: Browser) -> None:
    token = await make_link(unit)
    unit.moved["anna"] = NewHome("us", "https://us.talk.example")

    def gone(db: sqlite3.Connection) -> None:
        owners.become(db, _anna(db).number, OwnerState.GONE, now_ms=unit.unit.wall_ms())

    for is_gone in (False, True):
        if is_gone:
            await unit.unit.database.transact(gone)
            await unit.unit.state.delete_gone()
        assert (await reader.ask("GET", f"/m/{token}"))[0] == 410
        assert f'href="https://us.talk.example/m/{token}"' in reader.content.decode()
    del unit.moved["anna"]
    assert (await reader.ask("GET", f"/m/{token}"))[0] == 410
    assert b"was removed" in reader.content
