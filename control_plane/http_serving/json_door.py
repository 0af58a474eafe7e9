"""JsonDoor: gRPC methods for clients that have only HTTP and JSON.

    POST …:verb with a JSON object, GET without: the request message, less what the path says
    200 and the response message as JSON, or google.rpc.Status with the HTTP status of its code

What a call is let do, counts as, and leaves in the audit log is decided by the methods it is for
(see in_process); here it is read, bounded and answered. Answers are never to be stored: they are
for one caller, and have a ticket in them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from aiohttp import hdrs, web

from control_plane.errors import Unavailable
from control_plane.http_serving.cross_origin import CrossOrigin
from control_plane.http_serving.early_refusals import EarlyRefusals
from control_plane.http_serving.failures import failure_response
from control_plane.http_serving.in_process import InProcessContext, InProcessMethods
from control_plane.http_serving.json_messages import dumped, read_message, to_json
from control_plane.http_serving.large_bodies import LargeBodies
from control_plane.http_serving.listener import certificate_of, peer_of_request
from control_plane.http_serving.request_parts import (
    metadata_of_request,
    one_header,
    read_body,
    read_query,
    refuse_conditions,
)
from control_plane.http_serving.routes import Match, Route, Routes, path_and_query
from control_plane.http_serving.status_json import (
    PRIVATE,
    http_error,
)
from control_plane.http_serving.unreadable_requests import reached_method
from control_plane.pacing import CoroutinePacer
from control_plane.serving.admission_queue import AdmissionQueue
from control_plane.serving.call_statistics import CallStatistics
from control_plane.serving.errors_to_status import draining
from control_plane.serving.peers import peer_group

log = logging.getLogger(__name__)

CALL_S: Final = 30.0
REQUESTS_PER_PASS: Final = 8  # of an event loop, as calls over grpcio
MOST_BYTES: Final = 64 << 10  # of the body of one call
INLINE_BYTES: Final = 4 << 10  # of JSON that is read or written on the event loop

Lines = Callable[[web.Request, Route, Any, InProcessContext], Awaitable[web.Response]]
"""Answers a route whose body is NDJSON, given the message that the path says."""


class JsonDoor:
    """A handler for every request of a listener. documents: what anyone may GET, by path, as JSON.
    lines: for routes that have them."""

    def __init__(
        self,
        routes: Sequence[Route],
        methods: InProcessMethods,
        cross_origin: CrossOrigin,
        *,
        documents: Mapping[str, bytes],
        lines: Lines,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: monotonic seconds."""
        self._routes = Routes(routes)
        self._methods = methods
        self._cross_origin = cross_origin
        self._documents = {
            path: (content, f'"{sha256(content).hexdigest()[:32]}"')
            for path, content in documents.items()
        }
        self._lines = lines
        self._large = LargeBodies()
        self._pacer = CoroutinePacer(per_pass=REQUESTS_PER_PASS, clock=clock)
        self._clock = clock
        self._early: EarlyRefusals | None = None
        self.draining = False
        self.under_way = 0

    def early_refusals(
        self, queues: Mapping[str, AdmissionQueue], statistics: CallStatistics
    ) -> EarlyRefusals:
        """Of requests for methods that these stand before, by full path."""
        self._early = EarlyRefusals(
            self._routes, queues, statistics, headers=self._cross_origin.headers("")
        )
        return self._early

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """For what a client expects before it sends a body."""
        router.add_route("*", "/{path:.*}", _nothing, expect_handler=_expected)

    @web.middleware
    async def middleware(self, request: web.Request, handler: object) -> web.StreamResponse:
        """One request, however it ends. Everything comes here and no further: paths are matched as
        they were sent, which aiohttp does not."""
        self.under_way += 1
        said: Mapping[str, str] = self._cross_origin.headers("")
        try:
            origin = self._cross_origin.check(request.headers.getall(hdrs.ORIGIN, []))
            said = self._cross_origin.headers(origin)
            async with asyncio.timeout(CALL_S):
                response = await self._answer(request, origin)
        except Exception as error:  # noqa: BLE001  # the boundary
            response = failure_response(error)
        finally:
            self.under_way -= 1
            reached_method(request)  # or it never will
        if not response.prepared:
            response.headers.update(said)
            response.headers[hdrs.SERVER] = "homeport"  # and not which versions of what
            if self.draining:
                response.force_close()
        return response

    async def _answer(self, request: web.Request, origin: str) -> web.StreamResponse:
        if not _expects_continue(request):
            return http_error(417, "expect can be 100-continue alone; leave it out", "expect")
        path, query = path_and_query(request.raw_path)
        document = self._documents.get(path)
        found = self._routes.match(path) if document is None else None
        verbs = ("GET",) if document is not None else tuple(found.by_verb) if found else ()
        if not verbs and path != "*":
            return http_error(404, "there is nothing here; /openapi.json says what there is")
        allowed = ", ".join((*verbs, *(("HEAD",) if "GET" in verbs else ()), "OPTIONS"))
        if request.method == hdrs.METH_OPTIONS:
            if origin and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers:
                said = self._cross_origin.preflight(origin, verbs)
                return web.Response(status=204, headers={"Allow": allowed, **said})
            return web.Response(status=204, headers={"Allow": allowed})
        verb = "GET" if request.method == hdrs.METH_HEAD else request.method
        if verb not in verbs:
            response = http_error(405, f"{request.method} is not for this path; use {allowed}")
            response.headers["Allow"] = allowed
            return response
        if document is not None:
            return _document(request, *document)
        assert found is not None
        if self.draining:
            raise draining()
        return await self._call(request, found, found.by_verb[verb], query)

    async def _call(
        self, request: web.Request, found: Match, route: Route, query: str
    ) -> web.StreamResponse:
        asked = read_query(query, route.query)
        refuse_conditions(request)
        fixed = dict(found.fields)
        for name, field in route.headers.items():
            if shown := one_header(request, name):
                fixed[field] = shown
        peer = peer_of_request(request)
        came_s = self._clock()
        await self._pacer.turn(peer_group(peer), peer)
        if self._early is not None:
            self._early.note_waited(route.method, self._clock() - came_s)
        if request.transport is None or request.transport.is_closing():
            raise Unavailable("this connection has ended")  # and nobody hears of it
        context = InProcessContext(
            peer=peer,
            metadata=metadata_of_request(request),
            certificate=certificate_of(request),
            secured=request.secure,
            timeout_s=CALL_S,
        )
        message: Any = route.request()
        for name, value in asked.items():
            setattr(message, name, value)
        if route.lines:
            read_message(b"", message, fixed)
            return await self._lines(request, route, message, context)
        body = await read_body(request, 0 if route.reads else MOST_BYTES, "application/json")
        if len(body) <= INLINE_BYTES:
            read_message(body, message, fixed)
        else:
            await self._large.work(peer, read_message, body, message, fixed)
        reached_method(request)
        answer = await self._methods.unary(route.method, message.SerializeToString(), context)
        content = _written(route, answer)
        if len(answer) > INLINE_BYTES:
            return _ok(await self._large.work(peer, content))
        return _ok(content())


async def _nothing(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


async def _expected(request: web.Request) -> None:
    """RFC 9110, 10.1.1. What else is expected the door refuses."""
    if _expects_continue(request) and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _expects_continue(request: web.Request) -> bool:
    return request.headers.get(hdrs.EXPECT, "").lower() in ("", "100-continue")


def _written(route: Route, answer: bytes) -> Callable[[], bytes]:
    return lambda: dumped(to_json(route.response.FromString(answer)))


def _ok(content: bytes) -> web.Response:
    return web.Response(body=content, content_type="application/json", headers=PRIVATE)


def _document(request: web.Request, content: bytes, tag: str) -> web.Response:
    """Anyone's, and the same for all."""
    headers = {"ETag": tag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    shown = [one.strip() for one in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")]
    if "*" in shown or tag in (one.removeprefix("W/") for one in shown):
        return web.Response(status=304, headers=headers)
    return web.Response(body=content, content_type="application/json", headers=headers)
