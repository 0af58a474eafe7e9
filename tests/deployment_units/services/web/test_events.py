"""Messages come to a browser as they come to the account, and a browser that was away goes on where
it was; a stream ends with its ticket, and nobody has more than their share of them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from control_plane.http_serving.in_process import InProcessContext, InProcessMethods
from control_plane.http_serving.listener import HttpListener
from control_plane.http_serving.status_json import http_error
from deployment_units.services.conversations.arrivals import MAX_SUBSCRIPTIONS
from deployment_units.services.web.calls import MethodCalls
from deployment_units.services.web.event_streams import EventStreams
from homeport.api.communication.v1 import conversation_pb2 as pb
from tests.support.web_units import WAIT_S, Browser, Event, WebUnit, web_unit

TALK = base64.b64encode(bytes(16)).decode()


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[WebUnit]:
    async with web_unit(tmp_path / "u", "anna", "ben") as one:
        yield one


async def write(browser: Browser, number: int, *, text: str = "") -> None:
    message = {
        "conversation": TALK,
        "id": base64.b64encode(number.to_bytes(16, "big")).decode(),
        "members": ["ben"],
        "content": {"text": text or f"message {number}"},
    }
    await browser.call("SendMessage", message)


async def some(events: AsyncIterator[Event], count: int) -> list[Event]:
    async with asyncio.timeout(WAIT_S):
        return [await anext(events) for _ in range(count)]


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not there():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def texts(events: list[Event]) -> list[str]:
    return [one.data["message"]["content"]["text"] for one in events]


async def test_what_is_kept_comes_first_and_then_what_comes(unit: WebUnit) -> None:
    async with unit.browser("anna") as anna, unit.browser("ben") as ben:
        await write(anna, 1)
        async with ben.events() as events:
            assert texts(await some(events, 1)) == ["message 1"]
            await write(anna, 2)
            assert texts(await some(events, 1)) == ["message 2"]


async def test_a_browser_that_was_away_goes_on_where_it_was(unit: WebUnit) -> None:
    async with unit.browser("anna") as anna, unit.browser("ben") as ben:
        for number in (1, 2, 3):
            await write(anna, number)
        async with ben.events() as events:
            seen = await some(events, 2)
        await write(anna, 4)
        async with ben.events(last=seen[-1].id) as events:
            assert texts(await some(events, 2)) == ["message 3", "message 4"]
        async with ben.events(after=int(seen[0].id)) as events:
            assert texts(await some(events, 1)) == ["message 2"]
        # The browser knows better than the page from which it was opened.
        async with ben.events(last=seen[-1].id, after=1) as events:
            assert texts(await some(events, 1)) == ["message 3"]


@pytest.mark.parametrize("last", ["-1", "x", "1.5", "9" * 19, "9" * 400, "\u0663"])
async def test_what_is_no_position_is_refused(unit: WebUnit, last: str) -> None:
    async with unit.browser("ben") as ben:
        status, said, _ = await ben.ask("GET", "/events", params={"after": last})
        assert (status, said["code"]) == (400, 3)


async def test_it_ends_with_the_ticket(unit: WebUnit) -> None:
    async with unit.browser("anna") as anna, unit.browser("ben") as ben:
        await write(anna, 1)
        async with ben.events() as events:
            await some(events, 1)
            unit.unit.now += 4_000
            (end,) = await some(events, 1)
            assert (end.kind, end.data["code"]) == ("end", 16)
            assert await anext(events, None) is None


async def test_an_account_has_no_more_than_its_share(unit: WebUnit) -> None:
    async with unit.browser("ben") as ben:
        streams: list[Any] = [ben.events() for _ in range(MAX_SUBSCRIPTIONS)]
        for one in streams:
            await one.__aenter__()
        await until(lambda: len(unit.unit.arrivals) == MAX_SUBSCRIPTIONS)
        async with ben.events() as events:
            (end,) = await some(events, 1)
            assert (end.kind, end.data["code"]) == ("end", 8)
        for one in streams:
            await one.__aexit__(None, None, None)
        # Who has left has no share.
        await until(lambda: not len(unit.unit.arrivals) and not unit.server.streams.open)


async def test_a_server_that_stops_says_so(unit: WebUnit) -> None:
    async with unit.browser("anna") as anna, anna.events() as events:
        await until(lambda: unit.server.streams.open == 1)
        unit.server.streams.stop()
        (end,) = await some(events, 1)
        assert (end.kind, end.data["code"]) == ("end", 14)


class Endless(InProcessMethods):
    """Whose subscription has message after message, as fast as they are taken."""

    def __init__(self) -> None:
        super().__init__((), ())
        self.given = 0

    async def responses(
        self, method: str, request: bytes, context: InProcessContext
    ) -> AsyncGenerator[bytes]:
        while True:
            self.given += 1
            content = pb.Content(text="long " * 12_000)
            yield pb.SubscribeResponse(message=pb.Message(content=content)).SerializeToString()


async def test_who_takes_nothing_is_let_go_and_nothing_waits_for_them() -> None:
    methods = Endless()
    calls = MethodCalls("u", methods, {}, is_secure=lambda request: False)
    streams = EventStreams(calls, methods, write_s=0.2)
    listener = HttpListener(
        "127.0.0.1:0", what="tests", error=http_error, max_body_bytes=1_000,
        add_routes=lambda router: router.add_get("/events", streams.serve),
        finish_within_s=1.0,
    )  # fmt: skip
    await listener.start()
    try:
        host, _, port = listener.address.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1_024)
        writer.write(b"GET /events HTTP/1.1\r\nHost: u\r\n\r\n")
        await until(lambda: streams.dropped == 1)
        assert streams.open == 0
        given = methods.given
        writer.close()
        assert methods.given == given
    finally:
        await listener.stop()
