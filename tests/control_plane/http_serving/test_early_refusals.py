"""Requests of an overrun server are refused by their first bytes: only those that are whole, usual
and for a method that more ask than can be served; and the connection goes on as if it were read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from control_plane.errors import Unavailable
from control_plane.http_serving.early_refusals import whole_request
from control_plane.http_serving.json_server import JsonServer
from control_plane.http_serving.routes import Route
from control_plane.serving.admission_queue import AdmissionQueue
from control_plane.serving.calls import HotCall, Metadata
from control_plane.serving.concurrency_limit import ConcurrencyLimit
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.peers import Proxies
from control_plane.serving.server import Server, Service, Transport
from control_plane.serving.status import Status, try_again
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from tests.support.watches_harness import until

NAME, METHOD = "test.Busy", "Ask"
ROOM, RETRY_S, LATE_S = 4, 1.25, 60.0
ROUTE = Route(
    verb="POST", path="/v1/clients/{client_id}:ask", method=f"/{NAME}/{METHOD}",
    request=pb.ProvisionRequest, response=pb.ProvisionResponse,
    headers={"Homeport-Ticket": "ticket"},
)  # fmt: skip


def request(body: bytes = b"{}", *fields: str, path: str = "/v1/clients/anna:ask") -> bytes:
    head = "".join(f"{one}\r\n" for one in ("Host: h", "Content-Type: application/json", *fields))
    return f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request(), id="post"),
        pytest.param(request(b""), id="empty-body"),
        pytest.param(request(b"{}", "Connection: keep-alive"), id="kept-alive"),
        pytest.param(b"GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n", id="get"),
    ],
)
def test_one_whole_request(data: bytes) -> None:
    found = whole_request(data)
    assert found is not None
    assert data.endswith(found.body)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(request() + b"P", id="more-than-one"),
        pytest.param(request() * 2, id="two"),
        pytest.param(request()[:-1], id="less-than-one"),
        pytest.param(request().replace(b"Length: 2", b"Length: 02, 2"), id="lengths-in-a-list"),
        pytest.param(request(b"{}", "Content-Length: 2"), id="two-lengths"),
        pytest.param(request(b"{}", "Content-Length : 2"), id="space-before-the-colon"),
        pytest.param(request(b"{}", "Transfer-Encoding: chunked"), id="chunked"),
        pytest.param(request(b"{}", "Expect: 100-continue"), id="expects"),
        pytest.param(request(b"{}", "Origin: https://talk.example"), id="of-a-page"),
        pytest.param(request(b"{}", "Connection: close"), id="last-of-its-connection"),
        pytest.param(request(b"{}", "Connection: keep-alive, upgrade"), id="upgrade"),
        pytest.param(request(b"{}", "If-Match: x"), id="on-a-condition"),
        pytest.param(request(b"{}", "X: a\r\n folded"), id="folded"),
        pytest.param(request().replace(b"\r\n", b"\n"), id="bare-line-feeds"),
        pytest.param(request().replace(b"1.1", b"1.0"), id="http-1.0"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x16\x03\x01", id="no-http"),
    ],
)
def test_anything_else_is_none(data: bytes) -> None:
    assert whole_request(data) is None


class Call(HotCall):
    """One that fills the queue."""

    def __init__(self) -> None:
        self.payload = b""

    def reply(self, response: bytes) -> None:
        pass

    def fail(self, error: Any) -> None:
        pass

    def metadata(self) -> Metadata:
        return ()

    def peer(self) -> str:
        return "ipv4:192.0.2.1:1000"

    def peer_identity(self) -> None:
        return None

    def time_left_s(self) -> float | None:
        return None


@dataclass
class Busy:
    """A method that answers when it is told to, with a queue before it, over HTTP."""

    begun: list[HotCall] = field(default_factory=list)
    made: int = 0  # of refusals those for which a call was made

    def __post_init__(self) -> None:
        self.queue = AdmissionQueue(
            self.begun.append,
            self,
            clock=lambda: 0.0,  # nobody waits too long
            limit=ConcurrencyLimit(least=ROOM, most=ROOM, idle=ROOM),
        )
        service = Service(
            add=self.add, servicer=self, name=NAME,
            hot={METHOD: self.queue.begin}, queues={METHOD: self.queue},
        )  # fmt: skip
        self.server = Server([service], transport=Transport.NATIVE)
        self.http = JsonServer(
            "127.0.0.1:0", [ROUTE], [service], beside=self.server, interceptors=[],
            allowed_origins=frozenset(), documents={}, lines=lambda methods: self.no_lines,
            limits=ConnectionLimits(), proxies=Proxies(),
        )  # fmt: skip

    def rank(self, message: bytes) -> int:
        return int(pb.ProvisionRequest.FromString(message).client_id.startswith("new"))

    def status(self, message: bytes, rank: int) -> Status | None:
        return try_again("BUSY", "too many", RETRY_S)

    def refuse(self, call: HotCall, rank: int) -> None:
        self.made += 1
        call.fail(Unavailable("too many", retry_after_s=RETRY_S))

    async def ordinary(self, request: bytes, context: Any) -> bytes:
        raise AssertionError("it is hot")

    async def no_lines(self, *_: Any) -> Any:
        raise AssertionError("it has none")

    def add(self, servicer: Any, server: Any) -> None:
        handler = grpc.unary_unary_rpc_method_handler(self.ordinary)
        server.add_registered_method_handlers(NAME, {METHOD: handler})

    def fill(self) -> None:
        for _ in range(2 * ROOM):
            self.queue.begin(Call())

    def empty(self) -> None:
        while self.begun:
            self.begun.pop().reply(b"")

    async def connect(self) -> Connection:
        host, _, port = self.http.address.rpartition(":")
        return Connection(*await asyncio.open_connection(host, int(port)))


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def heard(self) -> tuple[int, dict[str, str], bytes]:
        """Status, header fields and body of the next answer."""
        async with asyncio.timeout(LATE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")[:-2]
            fields = dict(one.lower().split(": ", 1) for one in lines)
            body = await self._reader.readexactly(int(fields["content-length"]))
        return int(first.split()[1]), fields, body


@pytest.fixture
async def busy() -> AsyncIterator[Busy]:
    made = Busy()
    await made.http.start()
    yield made
    made.empty()
    await made.http.stop(0.0)


async def test_it_is_answered_as_in_the_usual_way_and_nothing_is_made_for_it(busy: Busy) -> None:
    busy.fill()
    early, usual = await busy.connect(), await busy.connect()
    await early.send(request())
    first = await early.heard()
    assert (busy.made, busy.queue.refused) == (0, [1, 0])
    await usual.send(request(b"{}", "Homeport-Ticket: shown"))
    second = await usual.heard()
    assert busy.made == 1
    assert (first[0], first[1]["retry-after"]) == (503, "2")
    assert first[0] == second[0]
    assert {*first[1]} == {*second[1]} - {"date"}
    counted = busy.server.statistics.of(f"/{NAME}/{METHOD}").codes()
    assert counted["UNAVAILABLE"] == 2


async def test_the_connection_goes_on(busy: Busy) -> None:
    one = await busy.connect()
    for _ in range(2):
        busy.fill()
        for _ in range(3):
            await one.send(request())
            assert (await one.heard())[0] == 503
        busy.empty()
        await one.send(request())
        await until(lambda: bool(busy.begun))
        busy.empty()
        assert (await one.heard())[0] == 200
    assert busy.made == 0


async def test_what_comes_in_pieces_is_read_as_ever(busy: Busy) -> None:
    """Also when the second piece looks like a whole request of its own."""
    one, inner = await busy.connect(), request()
    await one.send(request(inner)[: -len(inner)])
    await until(lambda: bool(busy.http.under_way))
    busy.fill()
    await one.send(inner)
    assert (await one.heard())[0] == 400, "a request is no JSON"
    assert sum(busy.queue.refused) == 0


async def test_what_another_request_began_is_not_taken_for_one(busy: Busy) -> None:
    """A value of a field looks like a request, and what is before it came with the one before."""
    one = await busy.connect()
    await one.send(request() + b"POST /v1/clients/ben:ask HTTP/1.1\r\nX: ")
    await until(lambda: bool(busy.begun))
    busy.empty()
    assert (await one.heard())[0] == 200
    busy.fill()
    await one.send(request())
    assert (await one.heard())[0] == 503
    assert busy.made == 1, "as in the usual way"


async def test_who_is_refused_is_known_by_its_path(busy: Busy) -> None:
    for _ in range(ROOM + ROOM // 2):
        busy.queue.begin(Call())
    one = await busy.connect()
    await one.send(request(path="/v1/clients/new-ben:ask"))
    assert (await one.heard())[0] == 503
    assert busy.queue.refused == [0, 1]
    await one.send(request())
    await until(lambda: busy.queue.waiting == ROOM // 2 + 1)
    busy.empty()
    assert (await one.heard())[0] == 200
