"""HTTP binding of CloudEvents: structured, binary and batched, into the same Publisher as gRPC.

    POST /v1/tenants/{tenant}/events

The content type chooses the mode, as the binding has it. One event is answered with its
position, or its refusal as the status; a batch with a result for each event, 200 also where
some were refused.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from aiohttp import web

from control_plane.errors import (
    Exhausted,
    InvalidInput,
    NotFound,
    PermissionDenied,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from control_plane.http_serving.large_bodies import LargeBodies
from control_plane.http_serving.listener import (
    HttpListener,
    identity_of_request,
    peer_of_request,
)
from control_plane.quotas.quotas import Quotas
from control_plane.serving.calls import Metadata
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.connection_watch import ConnectionWatch
from control_plane.serving.status import code_of
from data_sharing.api.call_quotas import count_events
from data_sharing.api.callers import Callers, Party, party
from data_sharing.api.cloudevent_attributes import refused
from data_sharing.api.cloudevent_headers import (
    CONTENT_TYPE,
    PREFIX,
    charset_of,
    envelope_from_headers,
    event_headers,
)
from data_sharing.api.cloudevent_json import (
    BATCH,
    STRUCTURED,
    NotEvents,
    envelope_from_json,
    envelopes_from_batch,
)
from data_sharing.api.feed_service import PUBLISH_BATCH
from data_sharing.api.http_errors import (
    error_response,
    errors_as_json,
    unreadable,
)
from data_sharing.api.http_methods import HttpMethods
from data_sharing.api.other_partitions import OtherPartitions
from data_sharing.feeds.attributes import shown
from data_sharing.feeds.intake import Envelope, Refusal
from data_sharing.feeds.publisher import Answer, Publisher

T = TypeVar("T")

CHARSETS = ("", "utf-8", "utf8", "us-ascii")  # that JSON can be said in (RFC 8259, 8.1)
MAX_BODY_BYTES = 1 << 20
INLINE_BYTES = 16 << 10  # of one event that is read on the event loop: a millisecond or two at most
ANSWER_S = 30.0
READ_S = 30.0
_STATUS: tuple[tuple[type[ServiceError], int], ...] = (
    (InvalidInput, 400),
    (NotFound, 404),
    (PermissionDenied, 403),
    (Unauthenticated, 401),
    (Exhausted, 429),
    (Unavailable, 503),
)
_STATUS_OF_CODE = {"NOT_FOUND": 404, "PERMISSION_DENIED": 403, "FAILED_PRECONDITION": 421}

EVENTS_PATH = "/v1/tenants/{tenant}/events"
ROUTES = {("POST", EVENTS_PATH): PUBLISH_BATCH}
"""Each route, and the gRPC method by whose contract it is decided who may call it."""


class HttpEvents:
    """Listens on host:port between `start` and `stop`; an empty address listens nowhere."""

    def __init__(
        self,
        listen: str,
        publisher: Publisher,
        callers: Callers,
        quotas: Quotas,
        *,
        tls: ssl.SSLContext | None = None,
        watch: ConnectionWatch | None = None,
        limits: ConnectionLimits | None = None,
        large: LargeBodies | None = None,
        methods: HttpMethods | None = None,
        partitions: OtherPartitions | None = None,
    ) -> None:
        """partitions: None: keys are not spread.
        watch: of the process; limits: of the connections to this port. large: where bodies are
        read that are large. methods: answers what is for them on the same port."""
        self._publisher = publisher
        self._partitions = partitions
        self._callers = callers
        self._quotas = quotas
        self._large = large or LargeBodies()
        self._listener = HttpListener(
            listen,
            what="events",
            add_routes=lambda router: router.add_post(EVENTS_PATH, self._post),
            middlewares=[*([methods.middleware] if methods else []), errors_as_json],
            error=unreadable,
            max_body_bytes=MAX_BODY_BYTES,
            tls=tls,
            watch=watch,
            limits=limits,
        )

    @property
    def address(self) -> str:
        """host:port where it listens; empty: nowhere."""
        return self._listener.address

    async def start(self) -> None:
        """Raises InvalidInput where the address cannot be had."""
        await self._listener.start()

    async def stop(self) -> None:
        """Finishes what is under way."""
        await self._listener.stop()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except NotEvents as error:
            return error_response("INVALID_ARGUMENT", error.field, str(error), 400)
        except ServiceError as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
            field = error.field if isinstance(error, InvalidInput) else ""
            response = error_response(code_of(error).name, field, error.message, status)
            if error.retry_after_s is not None:
                response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
            return response

    async def _answer(self, request: web.Request) -> web.Response:
        metadata = [("authorization", text) for text in request.headers.getall("Authorization", [])]
        tenant = request.match_info["tenant"]
        method = ROUTES["POST", EVENTS_PATH]
        whose = party(self._callers.admit(method, metadata, identity_of_request(request)), tenant)
        async with asyncio.timeout(READ_S):
            body = await request.read()
        headers = event_headers(request.headers.items())
        kind = ""
        if not isinstance(headers, Refusal):
            content_type = headers.get(CONTENT_TYPE, "")
            kind = content_type.partition(";")[0].strip().lower()
            charset = charset_of(content_type)
            if charset not in CHARSETS:
                said = f"charset {shown(charset)} is not taken; send UTF-8, as JSON has it"
                return error_response("INVALID_ARGUMENT", CONTENT_TYPE, said, 415)
            if charset == "us-ascii" and not body.isascii():
                said = "the charset is us-ascii, and the body is not; send it as utf-8"
                return error_response("INVALID_ARGUMENT", "body", said, 400)
        if kind == BATCH:
            # A megabyte that is no JSON takes a while to be told apart.
            envelopes = await self._apart(request, envelopes_from_batch, body)
            count_events(self._quotas, whose.tenant, len(envelopes), len(body), request.remote)
            answers = await self._publish(whose, metadata, envelopes)
            return web.json_response({"results": [_result(one) for one in answers]})
        if len(body) <= INLINE_BYTES:
            envelope = _one(kind, headers, body)
        else:
            envelope = await self._apart(request, _one, kind, headers, body)
        count_events(self._quotas, whose.tenant, 1, len(body), request.remote)
        (answer,) = await self._publish(whose, metadata, [envelope])
        if isinstance(answer, Refusal):
            status = _STATUS_OF_CODE.get(answer.code, 400)
            if answer.field == CONTENT_TYPE:
                status = 415
            return error_response(answer.code, answer.field, answer.message, status)
        return web.json_response(_result(answer))

    async def _apart(self, request: web.Request, read: Callable[..., T], *arguments: object) -> T:
        """What is read of a body apart from the event loop. Raises TimeoutError, and as `read`."""
        async with asyncio.timeout(ANSWER_S):
            return await self._large.work(peer_of_request(request), read, *arguments)

    async def _publish(
        self, whose: Party, metadata: Metadata, envelopes: Sequence[Envelope | Refusal]
    ) -> Sequence[Answer]:
        others = self._partitions
        forward = None if others is None else others.forward_of(whose, metadata)
        async with asyncio.timeout(ANSWER_S):
            return await self._publisher.publish(
                whose.tenant, envelopes, application=whose.application,
                forward=forward,
            )  # fmt: skip


def _one(kind: str, headers: dict[str, str] | Refusal, body: bytes) -> Envelope | Refusal:
    """The event of a request in structured or binary mode, as its media type says. Raises
    NotEvents."""
    if isinstance(headers, Refusal):
        return headers
    if kind == STRUCTURED:
        return envelope_from_json(body)
    if kind.startswith("application/cloudevents"):
        return refused(
            CONTENT_TYPE,
            f"content-type {shown(kind)} is not taken; use {STRUCTURED}, {BATCH}, or binary mode",
        )
    if not any(name.startswith(PREFIX) for name in headers):
        return refused(
            CONTENT_TYPE,
            f"this is no CloudEvent: neither content-type {STRUCTURED} or {BATCH}, nor {PREFIX} "
            "headers",
        )
    return envelope_from_headers(headers, body)


def _result(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, Refusal):
        return {"error": {"code": answer.code, "field": answer.field, "message": answer.message}}
    return {"position": answer.position, "duplicate": answer.duplicate}
