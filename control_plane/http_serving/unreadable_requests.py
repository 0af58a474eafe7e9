"""Requests that aiohttp cannot read (no HTTP, a header twice that may stand there once): they are
answered like any other error of the server, their connection is closed, and they are not logged as
if they were our fault.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeAlias

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from control_plane.http_serving.early_refusals import MOST_BYTES, EarlyRefusals, whole_request

_SERVER_LOG: Final = "homeport.http"
# How a body ends that is cut short, wrongly chunked or wrongly compressed, or whose sender left.
BROKEN_BODY: Final = (HttpProcessingError, web.RequestPayloadError, ConnectionError)

ErrorResponse: TypeAlias = Callable[[int, str], web.Response]
"""The answer for an HTTP status and a sentence that says what is wrong."""


class AnsweredConnection(web.RequestHandler):
    """A connection whose requests may be none that can be read."""

    __slots__ = ("_early", "_error", "_is_ahead", "_last", "_on_made")

    def __init__(
        self,
        server: web.Server,
        *,
        error: ErrorResponse,
        on_made: Callable[[asyncio.BaseTransport], None] | None = None,
        early: EarlyRefusals | None = None,
        **named: Any,
    ) -> None:
        """on_made: is told of the connection when it stands. early: refuses requests of an overrun
        server."""
        super().__init__(server, **named)
        self._error = error
        self._on_made = on_made
        self._early = early
        # What came last, while no request was under way; None: it cannot be told any more whether
        # what comes next begins a request.
        self._last: bytes | None = b""
        self._is_ahead = False  # the request under way has not reached its method

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._on_made is not None:
            self._on_made(transport)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        early = self._early
        if early is None or not data:  # aiohttp has itself go on with what it held back
            super().data_received(data)
            return
        rests = self._waiter is not None and not self._messages  # until the next request
        last = self._last
        if rests and last is not None and len(data) <= MOST_BYTES and early.are_due():
            begins = not last or whole_request(last) is not None
            answer = early.answer(data) if begins else b""
            if answer and self.transport is not None:
                self._last = b""
                self.transport.write(answer)
                return
        self._last = data if rests and last is not None and len(data) <= MOST_BYTES else None
        super().data_received(data)
        if rests and self._messages:
            self._is_ahead = True
            early.ahead += 1

    def reached(self) -> None:
        """The request under way has reached its method, or will not."""
        if self._is_ahead and self._early is not None:
            self._is_ahead = False
            self._early.ahead -= 1

    def connection_lost(self, exc: BaseException | None) -> None:
        self.reached()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp answers before any handler is asked."""
        self.reached()
        super().handle_error(request, status, exc, message)  # logs it
        said = "internal error; see the server's log"
        if status < 500:
            why = getattr(exc, "message", "") or message or HTTPStatus(status).description
            said = f"the request cannot be read: {why.strip().partition(chr(10))[0][:200]}"
        response = self._error(status, said)
        response.force_close()
        return response


def reached_method(request: web.BaseRequest) -> None:
    """It counts no longer as one that has come and waits to be read."""
    connection = request.protocol
    if isinstance(connection, AnsweredConnection):
        connection.reached()


def server_log() -> logging.Logger:
    """What aiohttp's server logs to: everything but that somebody sent what is no HTTP."""
    found = logging.getLogger(_SERVER_LOG)
    if not any(isinstance(one, _OurFaults) for one in found.filters):
        found.addFilter(_OurFaults())
    return found


class _OurFaults(logging.Filter):
    """Passes over requests that could not be read."""

    def filter(self, record: logging.LogRecord) -> bool:
        raised = record.exc_info[1] if record.exc_info else None
        return not isinstance(raised, BROKEN_BODY)
