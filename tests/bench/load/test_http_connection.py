"""Requests over HTTP/1.1, one at a time, and what is counted of their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from bench.load.http_connection import HttpConnection
from bench.load.results import CallCounts

GOOD = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 4\r\n\r\nhome"


async def asked(answers: Sequence[bytes | None], *, piece: int = 1_000) -> tuple[CallCounts, int]:
    """Asks once for each answer, of a server that gives them in order, so many bytes at a time, and
    closes at None; the counts, and how many requests were there before their turn."""
    early = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal early
        for number, answer in enumerate(answers):
            if await reader.readline() != b"GET /%d HTTP/1.1\r\n" % number:
                early += 1
            await reader.readline()
            if answer is None:
                break
            for start in range(0, len(answer), piece):
                writer.write(answer[start : start + piece])
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with asyncio.timeout(30), server:
        _, one = await asyncio.get_running_loop().create_connection(HttpConnection, host, port)
        one.load([b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(len(answers))])
        counts = await one.start()
        one.close()
    return counts, early


@pytest.mark.parametrize("piece", [1, 7, 1_000], ids=lambda one: f"{one} bytes at a time")
async def test_answers_that_come_in_pieces_are_counted_once(piece):
    counts, early = await asked([GOOD] * 60, piece=piece)
    assert (counts.good, counts.errors, early) == (60, {}, 0)
    assert len(counts.latencies_s) == 60
    assert counts.kept == [b"home", b"home"]
    assert counts.ended_at > counts.began_at


@pytest.mark.parametrize(
    ("answer", "kind", "not_sent"),
    [
        (b"HTTP/1.1 429 Slow Down\r\nContent-Length: 2\r\n\r\n{}", "HTTP status 429", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "no body", 0),
        (b"HTTP/1.1 200 OK\r\n\r\n", "not HTTP/1.1 with a content-length", 1),
        (b"nonsense\r\n\r\n", "not HTTP/1.1 with a content-length", 1),
        (None, "connection lost", 1),
    ],
    ids=["another status", "no body", "no length", "no HTTP", "no answer"],
)
async def test_what_is_no_good_answer_is_counted_by_its_kind(answer, kind, not_sent):
    counts, _ = await asked([GOOD, answer, GOOD])
    assert counts.good == 2 - not_sent
    assert counts.errors == ({kind: 1, "not sent": 1} if not_sent else {kind: 1})
