"""Errors over HTTP: google.rpc.Status as JSON, with the HTTP status that google/rpc/code.proto has
for its code, Retry-After where its RetryInfo says when, and WWW-Authenticate where a credential is
missing.

    {"code": 5, "message": "…", "details": [{"@type": "…/google.rpc.ErrorInfo", "reason": "…"}]}
"""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Final

import grpc
from aiohttp import web
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from control_plane.errors import InvalidInput, ServiceError
from control_plane.http_serving.json_messages import dumped
from control_plane.serving.status import status_of

HTTP_STATUS: Final = {
    "OK": 200, "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404, "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 401, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400, "ABORTED": 409,
    "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
}  # fmt: skip
"""By canonical code: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto."""
CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}
_NUMBERS: Final = {name: number for number, name in CODES.items()}
# Codes of what only HTTP can have wrong.
_CODES_OF_HTTP: Final = {
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.METHOD_NOT_ALLOWED: "UNIMPLEMENTED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.PRECONDITION_FAILED: "FAILED_PRECONDITION",
    HTTPStatus.SERVICE_UNAVAILABLE: "UNAVAILABLE",
    HTTPStatus.GATEWAY_TIMEOUT: "DEADLINE_EXCEEDED",
}
PRIVATE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def status_in(error: ServiceError) -> status_pb2.Status:
    """The google.rpc.Status of an error of ours, with its details."""
    for name, value in status_of(error).trailers:
        if name == "grpc-status-details-bin":
            return status_pb2.Status.FromString(value)
    raise ValueError("a status of ours has no details")


def status_response(status: status_pb2.Status, http_status: int | None = None) -> web.Response:
    """The answer that is this error. http_status: another one than that of its code."""
    code = CODES.get(status.code, "UNKNOWN")
    response = web.Response(
        body=dumped(json_format.MessageToDict(status)),
        status=http_status or HTTP_STATUS[code],
        content_type="application/json",
        headers=PRIVATE,
    )
    after_s = retry_after_s(status)
    if after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(after_s)))
    if response.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="homeport"'
    return response


def error_response(error: ServiceError) -> web.Response:
    """The same, of an error of ours."""
    return status_response(status_in(error))


def http_error(http_status: int, said: str, field: str = "") -> web.Response:
    """What only HTTP can have wrong. field: the header or part of the request at fault."""
    fallback = "INVALID_ARGUMENT" if http_status < 500 else "INTERNAL"
    code = _CODES_OF_HTTP.get(HTTPStatus(http_status), fallback)
    if code == "INVALID_ARGUMENT":
        return status_response(status_in(InvalidInput(field or "request", said)), http_status)
    return status_response(status_pb2.Status(code=_NUMBERS[code], message=said), http_status)


def retry_after_s(status: status_pb2.Status) -> float | None:
    """What its RetryInfo says, s; None: nothing."""
    info = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return None
