"""HTTP binding of CloudEvents: structured, binary and batched, into the same Publisher as gRPC.

    POST /v1/tenants/{tenant}/events

The content type chooses the mode, as the binding has it. One event is answered with its
position, or its refusal as the status; a batch with a result for each event, 200 also where
some were refused. aiohttp, because its parser is in C and bounds what it reads.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import web

from control_plane.auth.tokens import Right
from control_plane.errors import (
    Exhausted,
    InvalidInput,
    NotFound,
    PermissionDenied,
    ServiceError,
    Unauthenticated,
    Unavailable,
)
from data_sharing.api.callers import Callers
from data_sharing.api.cloudevent_json import (
    BATCH,
    STRUCTURED,
    NotEvents,
    envelope_from_headers,
    envelope_from_json,
    envelopes_from_batch,
)
from data_sharing.feeds.intake import Envelope, Refusal
from data_sharing.feeds.publisher import Answer, Publisher

MAX_BODY_BYTES = 1 << 20
MAX_BATCH = 1_000
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
_STATUS_OF_CODE = {"NOT_FOUND": 404, "PERMISSION_DENIED": 403}


class HttpEvents:
    """Listens on host:port between `start` and `stop`; an empty address listens nowhere."""

    def __init__(
        self,
        listen: str,
        publisher: Publisher,
        callers: Callers,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listen = listen
        self._publisher = publisher
        self._callers = callers
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def start(self) -> None:
        """Raises InvalidInput where the address cannot be had."""
        if not self._listen:
            return
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_post("/v1/tenants/{tenant}/events", self._post)
        self._runner = web.AppRunner(application, access_log=None, keepalive_timeout=75.0)
        await self._runner.setup()
        host, _, port = self._listen.rpartition(":")
        site = web.TCPSite(self._runner, host.strip("[]"), int(port), ssl_context=self._tls)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            raise InvalidInput(
                "http_listen",
                f"cannot listen on {self._listen} for events: {error}; choose another "
                "--http-listen",
            ) from error
        self.address = f"{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Finishes what is under way."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except web.HTTPRequestEntityTooLarge:
            said = f"the body is larger than {MAX_BODY_BYTES:,} bytes"
            return _error("INVALID_ARGUMENT", "body", said, 413)
        except TimeoutError:
            return _error("UNAVAILABLE", "", "it took too long; send it again, that is safe", 503)
        except NotEvents as error:
            return _error("INVALID_ARGUMENT", "body", str(error), 400)
        except ServiceError as error:
            status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
            field = error.field if isinstance(error, InvalidInput) else ""
            response = _error(error.reason, field, error.message, status)
            if error.retry_after_s is not None:
                response.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
            return response

    async def _answer(self, request: web.Request) -> web.Response:
        metadata = [("authorization", text) for text in request.headers.getall("Authorization", [])]
        tenant = request.match_info["tenant"]
        party = self._callers.party(metadata, tenant, Right.PUBLISH)
        async with asyncio.timeout(READ_S):
            body = await request.read()
        kind = request.content_type
        if kind == BATCH:
            envelopes = envelopes_from_batch(body)
            if not 0 < len(envelopes) <= MAX_BATCH:
                raise InvalidInput(
                    "events",
                    f"the batch holds {len(envelopes):,} events; 1 to {MAX_BATCH:,} are taken",
                )
            answers = await self._publish(party.tenant, envelopes, party.application)
            return web.json_response({"results": [_result(one) for one in answers]})
        if kind == STRUCTURED:
            envelope = envelope_from_json(body)
        elif kind.startswith("application/cloudevents"):
            return _error(
                "INVALID_ARGUMENT", "content-type",
                f"content-type {kind} is not taken; use {STRUCTURED}, {BATCH}, or binary mode", 415,
            )  # fmt: skip
        else:
            names = {name.lower(): value for name, value in request.headers.items()}
            if not any(name.startswith("ce-") for name in names):
                return _error(
                    "INVALID_ARGUMENT", "content-type",
                    f"this is no CloudEvent: neither content-type {STRUCTURED} or {BATCH}, nor "
                    "ce- headers", 415,
                )  # fmt: skip
            envelope = envelope_from_headers(names, body)
        (answer,) = await self._publish(party.tenant, [envelope], party.application)
        if isinstance(answer, Refusal):
            status = _STATUS_OF_CODE.get(answer.code, 400)
            return _error(answer.code, answer.field, answer.message, status)
        return web.json_response(_result(answer))

    async def _publish(
        self, tenant: str, envelopes: Iterable[Envelope | Refusal], application: str
    ) -> Sequence[Answer]:
        async with asyncio.timeout(ANSWER_S):
            return await self._publisher.publish(tenant, envelopes, application=application)


def _result(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, Refusal):
        return {"error": {"code": answer.code, "field": answer.field, "message": answer.message}}
    return {"position": answer.position, "duplicate": answer.duplicate}


def _error(code: str, field: str, message: str, status: int) -> web.Response:
    document = {"error": {"code": code, "field": field, "message": message}}
    return web.json_response(document, status=status)
