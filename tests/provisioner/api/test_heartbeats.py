"""An agent's stream: heartbeats in their order, news between them, silence and goodbye."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from homeport.api.fleet.v1 import fleet_pb2 as pb
from provisioner.api.heartbeats import HeartbeatEvent, Heartbeats

LONG_S = 30.0


class Agent:
    """The other end of the stream: sends what it is told to; None is its goodbye."""

    def __init__(self) -> None:
        self._sent: asyncio.Queue[pb.HeartbeatRequest | Exception | None] = asyncio.Queue()

    def send(self, beat: pb.HeartbeatRequest | Exception | None) -> None:
        self._sent.put_nowait(beat)

    async def stream(self) -> AsyncIterator[pb.HeartbeatRequest]:
        while (beat := await self._sent.get()) is not None:
            if isinstance(beat, Exception):
                raise beat
            yield beat


@pytest.fixture
async def agent() -> Agent:
    return Agent()


@pytest.fixture
async def heartbeats(agent: Agent) -> AsyncIterator[Heartbeats]:
    heartbeats = Heartbeats(agent.stream())
    yield heartbeats
    heartbeats.close()


def heartbeat(unit_id: str) -> pb.HeartbeatRequest:
    return pb.HeartbeatRequest(unit_id=unit_id)


async def test_heartbeats_come_in_their_order(agent: Agent, heartbeats: Heartbeats) -> None:
    agent.send(heartbeat("a"))
    agent.send(heartbeat("b"))
    assert await heartbeats.next(LONG_S, None) == heartbeat("a")
    assert await heartbeats.next(LONG_S, None) == heartbeat("b")


async def test_the_end_of_the_stream_is_a_goodbye(agent: Agent, heartbeats: Heartbeats) -> None:
    agent.send(None)
    assert await heartbeats.next(LONG_S, None) is HeartbeatEvent.END


async def test_no_beat_within_the_ttl_is_silence(heartbeats: Heartbeats) -> None:
    assert await heartbeats.next(0.0, None) is HeartbeatEvent.SILENCE
    assert await heartbeats.next(0.0, asyncio.Event()) is HeartbeatEvent.SILENCE


async def test_a_beat_awaited_while_news_came_is_not_lost(
    agent: Agent, heartbeats: Heartbeats
) -> None:
    news = asyncio.Event()
    news.set()
    assert await heartbeats.next(LONG_S, news) is HeartbeatEvent.NEWS
    news.clear()
    agent.send(heartbeat("a"))
    assert await heartbeats.next(LONG_S, news) == heartbeat("a")


async def test_a_beat_comes_before_news_of_the_same_moment(
    agent: Agent, heartbeats: Heartbeats
) -> None:
    news = asyncio.Event()
    agent.send(heartbeat("a"))
    first = asyncio.create_task(heartbeats.next(LONG_S, news))
    assert await first == heartbeat("a")
    news.set()
    assert await heartbeats.next(LONG_S, news) is HeartbeatEvent.NEWS


async def test_a_broken_stream_is_told_as_what_broke_it(
    agent: Agent, heartbeats: Heartbeats
) -> None:
    agent.send(ConnectionError("reset"))
    with pytest.raises(ConnectionError, match="reset"):
        await heartbeats.next(LONG_S, None)


async def test_a_closed_one_reads_no_more(agent: Agent) -> None:
    heartbeats = Heartbeats(agent.stream())
    waiting = asyncio.create_task(heartbeats.next(LONG_S, None))
    await asyncio.sleep(0)
    heartbeats.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
