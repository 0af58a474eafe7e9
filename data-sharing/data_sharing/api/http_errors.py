"""HTTP errors: every one that this server answers is the same JSON document, and what is the
caller's fault is not logged as if it were ours.

The document is {"error": {"code", "field", "message"}}; the code is a canonical gRPC status name.
A request that aiohttp cannot read is answered the same.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from control_plane.http_serving.unreadable_requests import BROKEN_BODY

log = logging.getLogger(__name__)

_CODES = {
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "UNIMPLEMENTED",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "INVALID_ARGUMENT",
}


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
    except BROKEN_BODY:
        said = "the body is cut short, wrongly chunked, or not of its content-encoding"
        return error_response("INVALID_ARGUMENT", "body", said, 400)
    except Exception:  # the boundary: whatever it was, the caller gets an answer
        log.exception("an HTTP handler failed")
        return error_response("INTERNAL", "", "internal error; see the server's log", 500)


def unreadable(status: int, said: str) -> web.Response:
    """The answer to a request that aiohttp cannot read."""
    return error_response("INVALID_ARGUMENT" if status < 500 else "INTERNAL", "", said, status)
