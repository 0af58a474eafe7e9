"""An agent's stream: beats in their order, news between them, silence and goodbye."""

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
    beats = Heartbeats(agent.stream())
    yield beats
    beats.close()


def beat(unit_id: str) -> pb.HeartbeatRequest:
    return pb.HeartbeatRequest(unit_id=unit_id)


async def test_heartbeats_come_in_their_order(agent: Agent, beats: Heartbeats) -> None:
    agent.send(beat("a"))
    agent.send(beat("b"))
    assert await beats.next(LONG_S, None) == beat("a")
    assert await beats.next(LONG_S, None) == beat("b")


async def test_the_end_of_the_stream_is_a_goodbye(agent: Agent, beats: Heartbeats) -> None:
    agent.send(None)
    assert await beats.next(LONG_S, None) is HeartbeatEvent.END


async def test_no_beat_within_the_ttl_is_silence(beats: Heartbeats) -> None:
    assert await beats.next(0.0, None) is HeartbeatEvent.SILENCE
    assert await beats.next(0.0, asyncio.Event()) is HeartbeatEvent.SILENCE


async def test_a_beat_awaited_while_news_came_is_not_lost(agent: Agent, beats: Heartbeats) -> None:
    news = asyncio.Event()
    news.set()
    assert await beats.next(LONG_S, news) is HeartbeatEvent.NEWS
    news.clear()
    agent.send(beat("a"))
    assert await beats.next(LONG_S, news) == beat("a")


async def test_a_beat_comes_before_news_of_the_same_moment(agent: Agent, beats: Heartbeats) -> None:
    news = asyncio.Event()
    agent.send(beat("a"))
    first = asyncio.create_task(beats.next(LONG_S, news))
    assert await first == beat("a")
    news.set()
    assert await beats.next(LONG_S, news) is HeartbeatEvent.NEWS


async def test_a_broken_stream_is_told_as_what_broke_it(agent: Agent, beats: Heartbeats) -> None:
    agent.send(ConnectionError("reset"))
    with pytest.raises(ConnectionError, match="reset"):
        await beats.next(LONG_S, None)


async def test_a_closed_one_reads_no_more(agent: Agent) -> None:
    beats = Heartbeats(agent.stream())
    waiting = asyncio.create_task(beats.next(LONG_S, None))
    await asyncio.sleep(0)
    beats.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
