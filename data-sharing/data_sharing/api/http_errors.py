"""HTTP errors: every one that this server answers is the same JSON document, and what is the
caller's fault is not logged as if it were ours.

The document is {"error": {"code", "field", "message"}}; the code is a canonical gRPC status name.
A request that aiohttp cannot read (no HTTP, a header twice that may stand there once) is answered
the same, and its connection closed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

log = logging.getLogger(__name__)

_SERVER_LOG: Final = "data_sharing.http"
_CODES = {
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "UNIMPLEMENTED",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "INVALID_ARGUMENT",
}
# How a body ends that is cut short, wrongly chunked or wrongly compressed, or whose sender left.
_BROKEN_BODY = (HttpProcessingError, web.RequestPayloadError, ConnectionError)


def error_response(code: str, field: str, message: str, status: int) -> web.Response:
    """One error. field: the part of the request at fault; empty: none."""
    document = {"error": {"code": code, "field": field, "message": message}}
    return web.json_response(document, status=status)


@web.middleware
async def errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Whatever a handler did not answer itself."""
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge as error:
        said = f"the body is larger than {request.client_max_size:,} bytes"
        return error_response("INVALID_ARGUMENT", "body", said, error.status)
    except web.HTTPException as error:
        status = HTTPStatus(error.status)
        code = _CODES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
        response = error_response(code, "", f"{status.phrase}: {status.description}", status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except TimeoutError:
        said = "it took too long; send it again, that is safe"
        return error_response("UNAVAILABLE", "", said, 503)
    except _BROKEN_BODY:
        said = "the body is cut short, wrongly chunked, or not of its content-encoding"
        return error_response("INVALID_ARGUMENT", "body", said, 400)
    except Exception:  # the boundary: whatever it was, the caller gets an answer
        log.exception("an HTTP handler failed")
        return error_response("INTERNAL", "", "internal error; see the server's log", 500)


class JsonConnection(web.RequestHandler):
    """A connection whose requests may be none that can be read."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp answers before any handler is asked."""
        super().handle_error(request, status, exc, message)  # logs it
        code = "INVALID_ARGUMENT" if status < 500 else "INTERNAL"
        said = "internal error; see the server's log"
        if status < 500:
            why = getattr(exc, "message", "") or message or HTTPStatus(status).description
            said = f"the request cannot be read: {why.strip().partition(chr(10))[0][:200]}"
        response = error_response(code, "", said, status)
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
        return not isinstance(raised, _BROKEN_BODY)
