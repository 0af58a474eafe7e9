"""Batches over HTTP: NDJSON, a ClientOrigin a line, answered with a ProvisionResult for each line,
in their order. A line that cannot be read has an error in its place, and the others go on.

They go to ProvisionMany in batches as its contract has them. What fails a whole batch (quotas) is
told of each of its clients and of those behind it, unless nothing was answered before: then the
request fails.

Reading and writing lines takes longer than assigning their clients. It is done a few lines at a
time, of each address and of each of its requests in turn, so that others' calls go on in between.
(In threads it kept them waiting as well: for the interpreter's lock.)
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from aiohttp import web
from google.rpc import error_details_pb2

from control_plane.errors import InvalidInput, ServiceError
from control_plane.http_serving.in_process import CallFailed, InProcessContext, InProcessMethods
from control_plane.http_serving.json_messages import dumped, read_message, to_json
from control_plane.http_serving.request_parts import read_body
from control_plane.http_serving.routes import Route
from control_plane.http_serving.status_json import CODES, PRIVATE, status_in
from control_plane.pacing import CoroutinePacer
from control_plane.serving.peers import peer_group
from homeport.api.provisioning.v1 import provisioning_pb2 as pb
from provisioner.api.requests import MAX_BATCH

NDJSON: Final = "application/x-ndjson"
MOST_BYTES: Final = 1 << 20
MOST_LINES: Final = 5_000
MOST_BREAKS: Final = 2 * MOST_LINES  # of lines, empty ones included; counted before they are split
MOST_LINE_BYTES: Final = 4_096
LINES, BYTES = 8, 1_024  # that are read at a time: at most so many; one to two milliseconds

Turn: TypeAlias = Callable[[], Awaitable[None]]
"""Waits until this request may go on."""


class ClientLines:
    """Answers requests of the route of ProvisionMany."""

    def __init__(self, methods: InProcessMethods) -> None:
        self._methods = methods
        self._pacer = CoroutinePacer(per_pass=1, clock=time.monotonic)

    async def answer(
        self, request: web.Request, route: Route, asked: Any, context: InProcessContext
    ) -> web.Response:
        """asked: a ProvisionManyRequest without clients. Raises InvalidInput, CallFailed, and what
        reading a body raises."""
        body = await read_body(request, MOST_BYTES, NDJSON)
        lines = split_lines(body)
        address, this = peer_group(context.peer()), object()

        async def turn() -> None:
            await self._pacer.turn(address, this)

        results: list[pb.ProvisionResult | None] = [None] * len(lines)
        sent: list[Sequence[int]] = []  # the lines of each batch under way

        async def batches() -> AsyncIterator[bytes]:
            for start in range(0, len(lines), MAX_BATCH):
                numbers = range(start, min(start + MAX_BATCH, len(lines)))
                found = await _read_lines([lines[one] for one in numbers], turn)
                good = []
                batch = pb.ProvisionManyRequest()
                batch.CopyFrom(asked)
                for number, one in zip(numbers, found, strict=True):
                    if isinstance(one, pb.ProvisionResult):
                        results[number] = one
                    else:
                        good.append(number)
                        batch.clients.append(one)
                if good:
                    sent.append(good)
                    yield batch.SerializeToString()

        answered = 0
        failure: pb.ClientError | None = None
        try:
            async for response in self._methods.stream(route.method, batches(), context):
                read = pb.ProvisionManyResponse.FromString(response).results
                for number, result in zip(sent[answered], read, strict=True):
                    results[number] = result
                answered += 1
        except CallFailed as failed:
            if not answered:
                raise
            failure = _client_error(failed)
        return web.Response(
            body=await _written(results, lines, failure, turn),
            content_type=NDJSON,
            headers=PRIVATE,
        )


def split_lines(body: bytes) -> Sequence[bytes]:
    """The lines of a body that are not empty. Raises InvalidInput where there are none or too
    many. A megabyte of line breaks is told by their number: to split it would hold the event loop
    for a tenth of a second."""
    breaks = body.count(b"\n")
    lines = [line for line in body.split(b"\n") if line.strip()] if breaks <= MOST_BREAKS else ()
    if not 0 < len(lines) <= MOST_LINES:
        has = f"{len(lines):,} lines" if breaks <= MOST_BREAKS else f"{breaks:,} line breaks"
        raise InvalidInput(
            "body",
            f"the body has {has}; send 1 to {MOST_LINES:,} lines, each a JSON object such as "
            '{"clientId": "c-1", "address": "203.0.113.7"}',
        )
    return lines


def _few(lines: Sequence[bytes]) -> Iterator[range]:
    """Which lines are worked on at a time: at least one."""
    start, size = 0, 0
    for number, line in enumerate(lines):
        if number > start and (number - start == LINES or size + len(line) > BYTES):
            yield range(start, number)
            start, size = number, 0
        size += len(line)
    if lines:
        yield range(start, len(lines))


async def _read_lines(
    lines: Sequence[bytes], turn: Turn
) -> list[pb.ClientOrigin | pb.ProvisionResult]:
    """What each line says, or its error."""
    found: list[pb.ClientOrigin | pb.ProvisionResult] = []
    for few in _few(lines):
        await turn()
        found += [_read_line(lines[number]) for number in few]
    return found


def _read_line(line: bytes) -> pb.ClientOrigin | pb.ProvisionResult:
    try:
        if len(line) > MOST_LINE_BYTES:
            raise InvalidInput("line", f"a line has at most {MOST_LINE_BYTES:,} bytes")
        client = pb.ClientOrigin()
        read_message(line, client, {})
    except ServiceError as error:
        return pb.ProvisionResult(error=_client_error(CallFailed(status_in(error))))
    return client


def _client_error(failed: CallFailed) -> pb.ClientError:
    status = failed.status
    found = pb.ClientError(code=CODES.get(status.code, "UNKNOWN"), message=status.message)
    bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(bad) and bad.field_violations:
            found.field = bad.field_violations[0].field
        elif detail.Unpack(retry):
            found.retry_after.CopyFrom(retry.retry_delay)
    return found


async def _written(
    results: Sequence[pb.ProvisionResult | None],
    lines: Sequence[bytes],
    failure: pb.ClientError | None,
    turn: Turn,
) -> bytes:
    """All results as lines; those that are not there failed."""
    out: list[bytes] = []
    for few in _few(lines):
        await turn()
        out += [_written_line(results[number], lines[number], failure) for number in few]
    return b"".join(out)


def _written_line(
    result: pb.ProvisionResult | None, line: bytes, failure: pb.ClientError | None
) -> bytes:
    if result is None:
        read = _read_line(line)
        result = (
            read
            if isinstance(read, pb.ProvisionResult)
            else pb.ProvisionResult(client_id=read.client_id, error=failure)
        )
    return dumped(to_json(result)) + b"\n"
