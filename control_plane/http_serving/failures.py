"""What an HTTP server of ours answers when a request failed: the error of the call, what only HTTP
can have wrong, a body that broke off. Whatever else it was is a defect: it is in the log, and the
caller learns nothing of it.
"""

from __future__ import annotations

import logging

from aiohttp import hdrs, web

from control_plane.errors import ServiceError
from control_plane.http_serving.in_process import CallFailed
from control_plane.http_serving.status_json import error_response, http_error, status_response
from control_plane.http_serving.unreadable_requests import BROKEN_BODY

log = logging.getLogger(__name__)


def failure_response(error: Exception) -> web.Response:
    """The answer to the request whose handler raised this."""
    match error:
        case CallFailed():
            return status_response(error.status)
        case ServiceError():
            return error_response(error)
        case web.HTTPException():
            response = http_error(error.status, error.text or error.reason, "body")
            if hdrs.ALLOW in error.headers:
                response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
            return response
        case TimeoutError():
            return http_error(504, "it took too long; send it again, that is safe")
    if isinstance(error, BROKEN_BODY):
        broken = "the body is cut short, wrongly chunked, or not of its content-encoding"
        return http_error(400, broken, "body")
    log.error("an HTTP handler failed", exc_info=error)
    return http_error(500, "internal error; see the server's log")
