"""Requests over HTTP, made up, and those with events: methods, paths, header fields and bodies,
well formed or not."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from tests.support.event_cases import CASES, Door
from tests.support.event_writing import header_fields, json_event

AT_ONCE = 12
ANSWER_S = 60.0
LISTEN_S = 0.5
_METHODS = (b"POST", b"POST", b"POST", b"POST", b"GET", b"PUT", b"HEAD", b"OPTIONS", b"BREW", b"")
_PATHS = (
    b"/v1/tenants/default/events", b"/v1/tenants/shop/events", b"/v1/tenants/%FF/events",
    b"/v1/tenants/%00/events", b"/v1/tenants//events", b"/v1/tenants/" + b"a" * 7_000 + b"/events",
    b"/v1/tenants/default/events?x=%FF", b"/", b"*", b"//", b"/%", b"http://[/", b"/\xff", b"x",
    b"/v1/tenants/../events", b"/v1/tenants/default/events#f", b"/v1/tenants/default%2Fevents",
)  # fmt: skip
_TYPES = (
    b"application/json", b"application/cloudevents+json", b"application/cloudevents-batch+json",
    b"Application/CloudEvents-Batch+JSON; charset=utf-16", b"application/cloudevents+xml", b"\xff",
    b"text/plain", b"", b";", b"application/json; charset=\"", b"multipart/form-data; boundary=x",
)  # fmt: skip
_FIELDS = (
    (b"authorization", b"Bearer \xff"), (b"authorization", b""), (b"content-encoding", b"gzip"),
    (b"content-encoding", b"deflate"), (b"content-encoding", b"br"), (b"expect", b"100-continue"),
    (b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"x"), (b"content-length", b"-1"),
    (b"content-length", b"99"), (b"content-length", b"x"), (b"ce-id", b"%FF"), (b"ce-id", b'"'),
    (b"ce-time", b"\x80"), (b"ce-", b"x"), (b"ce-a b", b"x"), (b"x", b"\x00"), (b"", b"x"),
    (b"ce-x", b"a" * 9_000), (b"connection", b"upgrade"), (b"upgrade", b"h2c"), (b"ce-id", b"1"),
    (b"cookie", b"\xff=\xff"), (b"range", b"bytes=0-"), (b"if-match", b'"x'),
    (b"accept", b"text/html"),
)  # fmt: skip
_BODIES = (
    b"", b"[]", b"{}", b"null", b"[" * 100_000, b"[" + b"{}," * 2_000 + b"{}]", b"\xff\xfe",
    b"[{]}",
    b'{"a":' * 3_000, gzip.compress(b"{}"), gzip.compress(b"\x00" * 3_000_000),
    b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffffff\r\n", b"x" * 1_100_000, b'["' + b"\\" * 1_001, b'[NaN, {"id": "\\ud800"}]',
)  # fmt: skip
_CASES = tuple(case for case in CASES if Door.STRUCTURED in case.doors)


@dataclass(slots=True)
class HttpAnswers:
    """How requests ended, 0: without an answer; and those that ended in a defect."""

    statuses: Counter[int] = field(default_factory=Counter)
    defects: list[tuple[bytes, bytes]] = field(default_factory=list)  # answer, request


Making: TypeAlias = Callable[[Random], tuple[bytes, bool]]
"""A request, and whether it is whole, so that it has to be answered."""


async def request_often(
    address: str, *, calls: int, seed: int, make: Making, defects: Container[int]
) -> HttpAnswers:
    """`calls` requests, the same ones for the same seed. defects: statuses that are none that a
    request may have."""
    answers, numbers = HttpAnswers(), iter(range(calls))
    host, _, port = address.rpartition(":")

    async def one_after_another() -> None:
        for number in numbers:
            request, whole = make(Random(f"{seed} {number}"))
            answer = await _answer(host, int(port), request, whole)
            status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0
            answers.statuses[status] += 1
            if status in defects or (whole and not status):
                answers.defects.append((answer[:400], request[:2_000]))

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    return answers


def event_request(random: Random) -> tuple[bytes, bool]:
    """One to the port of events."""
    case = random.choice(_CASES)
    name = f"{case.name} {random.randint(0, 99)}"
    fields: list[tuple[bytes, bytes]] = []
    kind = random.randint(0, 3)
    if kind == 0:
        body = case.data or b""
        fields += [(key.encode(), value) for key, value in header_fields(case, name)]
    else:
        body = json_event(case, name)
        if kind == 2:
            body = b"[" + body + b"," + json_event(random.choice(_CASES), "x") + b"]"
        fields.append((b"content-type", _TYPES[kind] if kind < 3 else random.choice(_TYPES)))
    if random.random() < 0.3:
        body = random.choice(_BODIES)
    if random.random() < 0.2 and body:
        changed = bytearray(body)
        changed[random.randrange(len(changed))] = random.randrange(256)
        body = bytes(changed)
    whole = random.random() < 0.6
    if not whole:
        fields += random.choices(_FIELDS, k=random.randint(1, 3))
    if whole or random.random() < 0.8:
        fields.append((b"content-length", str(len(body)).encode()))
    method, path = b"POST", _PATHS[0]
    if random.random() < 0.2:
        method, path = random.choice(_METHODS), random.choice(_PATHS)
    head = method + b" " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
    request = (
        head + b"".join(key + b": " + value + b"\r\n" for key, value in fields) + b"\r\n" + body
    )
    if not whole and random.random() < 0.2:
        request = request[: random.randint(0, len(request))]
    return request, whole


async def _answer(host: str, port: int, request: bytes, whole: bool) -> bytes:
    """The first bytes of what comes back; for what is not whole the server may wait for more, or
    be gone before all of it was sent."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        async with asyncio.timeout(ANSWER_S if whole else LISTEN_S):
            return await reader.read(1_000)
    except (ConnectionError, TimeoutError):
        return b""
    finally:
        writer.close()
