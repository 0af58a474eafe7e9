"""Connections to the port of events: requests that do not come, too many, nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from control_plane.serving.connection_limits import ConnectionLimits
from data_sharing.api.http_events import HttpEvents
from tests.support.attacks import connection_attacks as attacks

WAIT_S = 15.0
HALF = b"POST /v1/tenants/t/events HTTP/1.1\r\nHost: here\r\nX-A: "
OFF = ConnectionLimits(per_address=0, greeting_s=3_600, idle_s=3_600, first_message_s=3_600)
REQUEST = b"GET /none HTTP/1.1\r\nHost: here\r\n\r\n"


@contextlib.asynccontextmanager
async def served(limits: ConnectionLimits) -> AsyncIterator[int]:
    """The port of a door through which nothing gets, because no route of it is asked for."""
    nobody = cast(Any, None)
    events = HttpEvents("127.0.0.1:0", nobody, nobody, nobody, limits=limits)
    await events.start()
    try:
        yield int(events.address.rpartition(":")[2])
    finally:
        await events.stop()


async def answer(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    line = await asyncio.wait_for(reader.readline(), WAIT_S)
    writer.close()
    return line


@pytest.mark.parametrize("says", [b"P", HALF])
async def test_a_first_request_that_does_not_come_is_ended(says):
    limits = ConnectionLimits(per_address=0, greeting_s=3_600, first_message_s=0.3)
    async with served(limits) as port:
        with attacks.many_connections(port, 10, says=says) as held:
            assert await asyncio.to_thread(attacks.wait_closed, held, 10, WAIT_S) == 10
            assert b" 404 " in await answer(port)


async def test_a_head_that_comes_a_byte_at_a_time_is_ended():
    limits = ConnectionLimits(per_address=0, first_message_s=0.3)
    async with served(limits) as port:
        ended = await asyncio.to_thread(
            attacks.slow_bytes, port, HALF, every_s=0.02, within_s=WAIT_S
        )
        assert ended is not None


async def test_without_a_time_they_stay():
    async with served(OFF) as port:
        ended = await asyncio.to_thread(attacks.slow_bytes, port, HALF, every_s=0.02, within_s=0.7)
        assert ended is None


async def test_who_has_had_an_answer_may_rest():
    limits = ConnectionLimits(per_address=0, first_message_s=0.2)
    async with served(limits) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(REQUEST)
            assert b" 404 " in await asyncio.wait_for(reader.readuntil(b"}}"), WAIT_S)
            await asyncio.sleep(0.6)
        writer.close()


async def test_of_one_address_there_are_so_many():
    limits = ConnectionLimits(per_address=5)
    async with served(limits) as port:
        with attacks.many_connections(port, 20, says=HALF) as held:
            assert await asyncio.to_thread(attacks.wait_closed, held, 15, WAIT_S) >= 15
            assert b" 404 " in await answer(port)


async def test_nonsense_leaves_no_traceback(caplog, capfd):
    caplog.set_level(logging.INFO)
    async with served(OFF) as port:
        for kind in attacks.GARBAGE:
            await asyncio.to_thread(attacks.garbage, port, kind)
        assert b" 404 " in await answer(port)
    assert not [one for one in caplog.records if one.exc_info]
    assert "Traceback" not in capfd.readouterr().err
