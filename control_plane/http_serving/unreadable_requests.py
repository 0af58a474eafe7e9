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

_SERVER_LOG: Final = "homeport.http"
# How a body ends that is cut short, wrongly chunked or wrongly compressed, or whose sender left.
BROKEN_BODY: Final = (HttpProcessingError, web.RequestPayloadError, ConnectionError)

ErrorResponse: TypeAlias = Callable[[int, str], web.Response]
"""The answer for an HTTP status and a sentence that says what is wrong."""


class AnsweredConnection(web.RequestHandler):
    """A connection whose requests may be none that can be read."""

    __slots__ = ("_error", "_on_made")

    def __init__(
        self,
        server: web.Server,
        *,
        error: ErrorResponse,
        on_made: Callable[[asyncio.BaseTransport], None] | None = None,
        **named: Any,
    ) -> None:
        """on_made: is told of the connection when it stands."""
        super().__init__(server, **named)
        self._error = error
        self._on_made = on_made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._on_made is not None:
            self._on_made(transport)
        super().connection_made(transport)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp answers before any handler is asked."""
        super().handle_error(request, status, exc, message)  # logs it
        said = "internal error; see the server's log"
        if status < 500:
            why = getattr(exc, "message", "") or message or HTTPStatus(status).description
            said = f"the request cannot be read: {why.strip().partition(chr(10))[0][:200]}"
        response = self._error(status, said)
        response.force_close()
        return response


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
