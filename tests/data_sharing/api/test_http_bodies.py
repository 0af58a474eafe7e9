"""Events over HTTP that are large are read apart from the event loop, small ones are not."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import aiohttp
import pytest

from control_plane.auth.callers import ANYONE_LOCAL, Caller
from control_plane.http_serving.large_bodies import LargeBodies
from control_plane.quotas.limits import Quota, read_limits
from control_plane.quotas.quotas import Quotas
from data_sharing.api.http_events import INLINE_BYTES, HttpEvents
from data_sharing.feeds.port import Appended

WITHIN_S = 15.0
ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


class AnyCaller:
    def admit(self, *asked: object) -> Caller:
        return ANYONE_LOCAL


class Accepting:
    """Takes all events, and keeps whose they were."""

    def __init__(self) -> None:
        self.tenants: list[str] = []

    async def publish(
        self, tenant: str, envelopes: Iterable[object], *, application: str, forward: object
    ) -> list[Appended]:
        self.tenants.append(tenant)
        return [Appended(position=1, duplicate=False) for _ in envelopes]


class Door:
    """Sends bodies to one listener, from other connections each."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._address = address
        self._session = session

    async def post(self, tenant: str, kind: str, body: bytes) -> int:
        url = f"http://{self._address}/v1/tenants/{tenant}/events"
        async with self._session.post(url, data=body, headers={"Content-Type": kind}) as answer:
            await answer.read()
            return answer.status


@contextlib.asynccontextmanager
async def door(large: LargeBodies, publisher: Accepting) -> AsyncIterator[Door]:
    quotas = Quotas(read_limits({}, [Quota.EVENTS, Quota.EVENT_BYTES]), clock=time.monotonic)
    events = HttpEvents(
        "127.0.0.1:0", cast(Any, publisher), cast(Any, AnyCaller()), quotas, large=large
    )
    await events.start()
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(WITHIN_S)) as session:
            yield Door(events.address, session)
    finally:
        await events.stop()


@contextlib.asynccontextmanager
async def held_up(large: LargeBodies) -> AsyncIterator[None]:
    """Somebody else's body is being read while the block runs."""
    end = threading.Event()
    reading = asyncio.create_task(large.work("ipv4:192.0.2.9:1", end.wait, WITHIN_S))
    try:
        yield
    finally:
        end.set()
        await reading


def event(data: bytes) -> bytes:
    return b'{"specversion":"1.0","id":"a","source":"/s","type":"a.b","data":%s}' % data


LISTS = b"[" + b"[]," * INLINE_BYTES + b"1]"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        pytest.param(ONE, event(LISTS), id="one"),
        pytest.param(BATCH, b"[%s]" % event(LISTS), id="batch"),
        pytest.param(BATCH, b"[%s]" % event(b"1"), id="small-batch"),
    ],
)
async def test_what_is_large_waits_for_its_turn_and_what_is_small_does_not(kind, body):
    large, publisher = LargeBodies(), Accepting()
    async with asyncio.timeout(WITHIN_S), door(large, publisher) as events:
        async with held_up(large):
            waits = asyncio.create_task(events.post("large", kind, body))
            assert [await events.post("small", ONE, event(b"1")) for _ in range(20)] == [200] * 20
            assert "large" not in publisher.tenants
        assert await waits == 200
    assert publisher.tenants[-1] == "large"


@pytest.mark.parametrize("kind", [ONE, BATCH])
async def test_what_is_large_and_no_event_is_told_as_what_is_small(kind):
    async with asyncio.timeout(WITHIN_S), door(LargeBodies(), Accepting()) as events:
        assert await events.post("t", kind, b"x" * (2 * INLINE_BYTES)) == 400
        assert await events.post("t", ONE, event(LISTS)) == 200
