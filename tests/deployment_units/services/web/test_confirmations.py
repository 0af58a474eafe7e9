"""The pages behind buttons in mail: opening one changes nothing, pressing there counts once, and a
token is good for what it says and nothing else."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployment_units.services.cards.action_tokens import ActionGrant, ActionTokens, TokenKey
from deployment_units.services.conversations.card_links import key_for_links
from deployment_units.services.state import owners
from deployment_units.services.state.owners import OwnerState
from deployment_units.services.web.card_confirmations import NewHome
from deployment_units.services.web.confirmations import MOST_BYTES
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.account_units import NOW, TENANT
from tests.support.web_units import Browser, WebUnit, web_unit

MESSAGE, TALK = b"m" * 16, b"c" * 16
CARD: dict[str, Any] = {
    "type": "AdaptiveCard",
    "version": "1.5",
    "body": [
        {"type": "TextBlock", "text": "New harvest"},
        {"type": "Input.Number", "id": "amount", "label": "Bags", "min": 1, "max": 9},
    ],
    "actions": [{"type": "Action.Submit", "id": "order", "title": "Order <now>"}],
}
GRANT = ActionGrant(
    tenant=TENANT, account="anna", message=MESSAGE, revision=1, action="order",
    expires_ms=int(NOW * 1000) + 60_000,
)  # fmt: skip
SECRET = b"k" * 32
TOKENS = ActionTokens(TokenKey(number=1, secret=SECRET))  # of anna's key
FORM = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "none"}


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[WebUnit]:
    async with web_unit(tmp_path / "u", "anna", "ben") as one:
        await deliver(one, MESSAGE)
        await make_link(one)
        yield one


@pytest.fixture
async def reader(unit: WebUnit) -> AsyncIterator[Browser]:
    """Somebody with a mail, signed in nowhere."""
    async with unit.browser() as one:
        yield one


async def make_link(unit: WebUnit) -> None:
    """anna is sent one by mail."""

    def make(db: sqlite3.Connection) -> None:
        owner = owners.find(db, TENANT, "anna")
        assert owner is not None
        key_for_links(
            db, owner, now_ms=unit.unit.wall_ms(), until_ms=GRANT.expires_ms,
            new_key=lambda: SECRET,
        )  # fmt: skip

    await unit.unit.database.transact(make)


async def deliver(unit: WebUnit, id_: bytes, revision: int = 1) -> None:
    content = pb.Content(text="a card", card=json.dumps(CARD))
    request = pb.DeliverRequest(
        conversation=TALK, id=id_, members=["anna"], content=content, revision=revision,
        replaces=MESSAGE if revision > 1 else b"",
    )  # fmt: skip
    context = unit.unit.by_introduction("anna", "roastery")
    await unit.unit.conversations.Deliver(request, context)  # type: ignore[arg-type]


async def presses(unit: WebUnit) -> list[pb.Press]:
    answer = await unit.unit.conversations.GetMessage(
        pb.GetMessageRequest(id=MESSAGE),
        unit.unit.by_ticket("anna"),  # type: ignore[arg-type]
    )
    return list(answer.message.presses)


async def test_opening_changes_nothing_and_pressing_counts_once(
    unit: WebUnit, reader: Browser
) -> None:
    path = f"/a/{TOKENS.token(GRANT)}"
    for verb in ("GET", "HEAD", "GET"):
        status, _, response = await reader.ask(verb, path)
        assert status == 200
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "no-referrer"
        policy = response.headers["content-security-policy"]
        assert "script-src" not in policy
        assert "unsafe" not in policy
    page = reader.content.decode()
    assert "<script" not in page
    assert "Order &lt;now&gt;" in page
    assert 'method="post"' in page
    assert await presses(unit) == []
    for _ in range(2):
        status, _, _ = await reader.ask("POST", path, data="input.amount=3", headers=FORM)
        assert (status, b"Pressed" in reader.content) == (200, True)
        (press,) = await presses(unit)
        assert (press.action, press.state) == ("order", pb.PRESS_STATE_WAITING)


async def test_what_will_not_do_is_asked_for_again(unit: WebUnit, reader: Browser) -> None:
    path = f"/a/{TOKENS.token(GRANT)}"
    status, _, _ = await reader.ask("POST", path, data="input.amount=77", headers=FORM)
    assert (status, b'value="77"' in reader.content) == (400, True)
    assert await presses(unit) == []


@pytest.mark.parametrize(
    ("grant", "status"),
    [
        pytest.param(replace(GRANT, expires_ms=int(NOW * 1000)), 410, id="expired"),
        pytest.param(replace(GRANT, account="ben"), 404, id="of somebody else, by anna's key"),
        pytest.param(replace(GRANT, account="nina"), 404, id="of nobody"),
        pytest.param(replace(GRANT, tenant="rival"), 404, id="of another tenant"),
        pytest.param(replace(GRANT, message=bytes(16)), 410, id="of no message"),
        pytest.param(replace(GRANT, action="other"), 410, id="of no button"),
        pytest.param(replace(GRANT, revision=2), 410, id="of a revision that is not there yet"),
    ],
)
async def test_a_token_is_good_for_what_it_says(
    unit: WebUnit, reader: Browser, grant: ActionGrant, status: int
) -> None:
    path = f"/a/{TOKENS.token(grant)}"
    for verb, data in (("GET", None), ("POST", "input.amount=3")):
        got, _, _ = await reader.ask(verb, path, data=data, headers=FORM if data else {})
        assert (verb, got) == (verb, status)
    assert await presses(unit) == []


async def test_what_was_pressed_in_the_client_is_done_already_by_mail(
    unit: WebUnit, reader: Browser
) -> None:
    click = pb.ClickRequest(
        message=MESSAGE, action="order", revision=1, press=b"p" * 16, inputs={"amount": "3"}
    )
    await unit.unit.conversations.Click(click, unit.unit.by_ticket("anna"))  # type: ignore[arg-type]
    path = f"/a/{TOKENS.token(GRANT)}"
    for _ in range(2):
        status, _, _ = await reader.ask("POST", path, data="input.amount=9", headers=FORM)
        assert status == 200
    (press,) = await presses(unit)
    assert press.action == "order"


async def test_a_card_that_was_replaced_is_not_pressed(unit: WebUnit, reader: Browser) -> None:
    await deliver(unit, b"n" * 16, 2)
    path = f"/a/{TOKENS.token(GRANT)}"
    status, _, _ = await reader.ask("POST", path, data="input.amount=3", headers=FORM)
    assert (status, b"has changed" in reader.content) == (410, True)


async def test_what_nobody_here_made_opens_nothing(reader: Browser) -> None:
    forged = ActionTokens(TokenKey(number=1, secret=b"x" * 32)).token(GRANT)
    for token in (forged, forged[:-3], "x" * 1_025, "a%00b", "%C3%A9"):
        assert (await reader.ask("GET", f"/a/{token}"))[0] == 404
        assert (await reader.ask("POST", f"/a/{token}", data="", headers=FORM))[0] == 404


async def test_forms_are_bounded(unit: WebUnit, reader: Browser) -> None:
    path = f"/a/{TOKENS.token(GRANT)}"
    for data, status in [("x" * (MOST_BYTES + 1), 413), ("a=1&" * 600, 400), ("a=%ff", 400)]:
        assert (await reader.ask("POST", path, data=data, headers=FORM))[0] == status
    json_body = {"content-type": "application/json"}
    assert (await reader.ask("POST", path, data="{}", headers=json_body))[0] == 415
    assert await presses(unit) == []


async def leave(unit: WebUnit) -> None:
    """anna has been taken to another unit, and is gone from this one."""

    def gone(db: sqlite3.Connection) -> None:
        owner = owners.find(db, TENANT, "anna")
        assert owner is not None
        owners.become(db, owner.number, OwnerState.GONE, now_ms=unit.unit.wall_ms())

    await unit.unit.database.transact(gone)
    await unit.unit.state.delete_gone()


@pytest.mark.parametrize(
    ("home", "said"),
    [
        pytest.param(
            NewHome("us", "https://us.talk.example"),
            'href="https://us.talk.example/a/{}"',
            id="leads on",
        ),
        pytest.param(NewHome("us", ""), "at home in us", id="says where to"),
        pytest.param(NewHome("", ""), "Open your conversations", id="is at home nowhere"),
    ],
)
async def test_a_link_of_an_account_that_moved_says_where_to(
    unit: WebUnit, reader: Browser, home: NewHome, said: str
) -> None:
    token = TOKENS.token(GRANT)
    unit.moved["anna"] = home
    for is_gone in (False, True):
        if is_gone:
            await leave(unit)
        for verb, data in (("GET", None), ("POST", "input.amount=3")):
            status, _, _ = await reader.ask(
                verb, f"/a/{token}", data=data, headers=FORM if data else {}
            )
            assert status == 410
            assert said.format(token) in reader.content.decode()


async def test_nobody_else_learns_that_an_account_lives_here_or_has_moved(
    unit: WebUnit, reader: Browser
) -> None:
    forged = ActionTokens(TokenKey(number=1, secret=b"x" * 32))
    pages = set()
    for is_gone in (False, True):
        if is_gone:
            unit.moved["anna"] = NewHome("us", "https://us.talk.example")
            await leave(unit)
        for account in ("anna", "ben", "nina"):
            answered = await reader.ask(
                "GET", f"/a/{forged.token(replace(GRANT, account=account))}"
            )
            pages.add((answered[0], reader.content))
    assert len(pages) == 1


async def test_what_expired_is_remembered_no_longer_than_the_next_link(unit: WebUnit) -> None:
    def remembered(db: sqlite3.Connection) -> list[str]:
        return [row[0] for row in db.execute("SELECT account FROM card_links_made")]

    assert unit.unit.database.read(remembered) == ["anna"]
    unit.unit.now += 3_600

    def of_ben(db: sqlite3.Connection) -> None:
        owner = owners.find(db, TENANT, "ben")
        assert owner is not None
        now_ms = unit.unit.wall_ms()
        key_for_links(db, owner, now_ms=now_ms, until_ms=now_ms + 1, new_key=lambda: bytes(32))

    await unit.unit.database.transact(of_ben)
    assert unit.unit.database.read(remembered) == ["ben"]
