"""HTTP binding of CloudEvents: structured, binary and batched, into the same Publisher as gRPC.

    POST /v1/tenants/{tenant}/events

The content type chooses the mode, as the binding has it. One event is answered with its
position, or its refusal as the status; a batch with a result for each event, 200 also where
some were refused. aiohttp, because its parser is in C and bounds what it reads.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

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
from control_plane.printable import why_failed
from control_plane.quotas.quotas import Quotas
from control_plane.serving.connection_limits import ConnectionLimits
from control_plane.serving.connection_watch import ConnectionWatch
from control_plane.serving.peer_identity import PeerIdentity, identity_of_certificate
from control_plane.serving.status import code_of
from data_sharing.api.call_quotas import count_events
from data_sharing.api.callers import Callers, party
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
from data_sharing.api.first_requests import FirstRequests
from data_sharing.api.http_errors import (
    JsonConnection,
    error_response,
    errors_as_json,
    server_log,
)
from data_sharing.feeds.attributes import shown
from data_sharing.feeds.intake import Envelope, Refusal
from data_sharing.feeds.publisher import Answer, Publisher

CHARSETS = ("", "utf-8", "utf8", "us-ascii")  # that JSON can be said in (RFC 8259, 8.1)
MAX_BODY_BYTES = 1 << 20
ANSWER_S = 30.0
READ_S = 30.0
HANDSHAKE_S = 10.0
_STATUS: tuple[tuple[type[ServiceError], int], ...] = (
    (InvalidInput, 400),
    (NotFound, 404),
    (PermissionDenied, 403),
    (Unauthenticated, 401),
    (Exhausted, 429),
    (Unavailable, 503),
)
_STATUS_OF_CODE = {"NOT_FOUND": 404, "PERMISSION_DENIED": 403}

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
    ) -> None:
        """watch: of the process; limits: of the connections to this port."""
        self._listen = listen
        self._publisher = publisher
        self._callers = callers
        self._quotas = quotas
        self._tls = tls
        self._watch = watch or ConnectionWatch()
        self._limits = limits or ConnectionLimits()
        self._first_requests = FirstRequests(self._limits.first_message_s)
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self.address = ""

    async def start(self) -> None:
        """Raises InvalidInput where the address cannot be had."""
        if not self._listen:
            return
        application = web.Application(
            client_max_size=MAX_BODY_BYTES,
            middlewares=[self._first_requests.middleware, errors_as_json],
        )
        application.router.add_post(EVENTS_PATH, self._post)
        self._runner = web.AppRunner(application, access_log=None, logger=server_log())
        await self._runner.setup()
        host, _, port = self._listen.rpartition(":")
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                partial(self._connection, self._runner),
                host.strip("[]"),
                int(port),
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_S if self._tls else None,
                backlog=128,
            )
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise InvalidInput(
                "http_listen",
                f"cannot listen on {self._listen} for events: {why_failed(error)}; choose another "
                "--http-listen",
            ) from error
        self._port = self._listener.sockets[0].getsockname()[1]
        self.address = f"{host}:{self._port}"
        self._watch.hold(self._port, self._limits, is_proxy=lambda _: False)
        if self._runner.server is not None:
            self._first_requests.start(self._runner.server)

    async def stop(self) -> None:
        """Finishes what is under way."""
        if self._listener is not None:
            self._listener.close()
            await asyncio.to_thread(self._watch.release, self._port)
            await self._first_requests.stop()
        if self._runner is not None:
            await self._runner.cleanup()

    @staticmethod
    def _connection(runner: web.AppRunner) -> JsonConnection:
        assert runner.server is not None
        return JsonConnection(
            runner.server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # none, as AppRunner takes it
            logger=server_log(),
            keepalive_timeout=75.0,
        )

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
        whose = party(self._callers.admit(method, metadata, _identity(request)), tenant)
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
            # In a thread: a megabyte that is no JSON takes a while to be told apart.
            envelopes = await asyncio.to_thread(envelopes_from_batch, body)
            count_events(self._quotas, whose.tenant, len(envelopes), len(body), request.remote)
            answers = await self._publish(whose.tenant, envelopes, whose.application)
            return web.json_response({"results": [_result(one) for one in answers]})
        envelope = _one(kind, headers, body)
        count_events(self._quotas, whose.tenant, 1, len(body), request.remote)
        (answer,) = await self._publish(whose.tenant, [envelope], whose.application)
        if isinstance(answer, Refusal):
            status = _STATUS_OF_CODE.get(answer.code, 400)
            if answer.field == CONTENT_TYPE:
                status = 415
            return error_response(answer.code, answer.field, answer.message, status)
        return web.json_response(_result(answer))

    async def _publish(
        self, tenant: str, envelopes: Iterable[Envelope | Refusal], application: str
    ) -> Sequence[Answer]:
        async with asyncio.timeout(ANSWER_S):
            return await self._publisher.publish(tenant, envelopes, application=application)


def _identity(request: web.Request) -> PeerIdentity | None:
    """Of the certificate that TLS has verified, if the caller has shown one."""
    tls = request.get_extra_info("ssl_object")
    shown = tls.getpeercert(binary_form=True) if tls is not None else None
    return identity_of_certificate(ssl.DER_cert_to_PEM_cert(shown).encode()) if shown else None


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
