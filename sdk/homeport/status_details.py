"""Reads a gRPC status with its google.rpc details into a Failure.

Details come in the `grpc-status-details-bin` trailer as google.rpc.Status (see
https://google.aip.dev/193); homeport.api.status.v1 is wire-compatible with it, so that
googleapis-common-protos is not needed. Details that cannot be read are left out: code and
message stand without them.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError

from homeport.api.status.v1 import status_pb2
from homeport.failure import Code, Failure, Violation, Waiting

TRAILER = "grpc-status-details-bin"
TYPES = "type.googleapis.com/google.rpc."
DOMAIN = "homeport"


def failure_of(error: Any) -> Failure:
    """The Failure in a grpc.RpcError of a finished call, synchronous or not."""
    code = Code(error.code().name)
    message = error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == TRAILER:
            return _with_details(code, message, value)
    return Failure(code, message)


def _with_details(code: Code, message: str, payload: bytes) -> Failure:
    reason, retry_after_s, from_homeport = "", None, False
    violations: list[Violation] = []
    waiting: Waiting | None = None
    try:
        for detail in status_pb2.Status.FromString(payload).details:
            match detail.type_url.removeprefix(TYPES):
                case "RetryInfo":
                    info = status_pb2.RetryInfo.FromString(detail.value)
                    retry_after_s = seconds_of(info.retry_delay)
                case "ErrorInfo":
                    what = status_pb2.ErrorInfo.FromString(detail.value)
                    reason, from_homeport = what.reason, what.domain == DOMAIN
                    waiting = _waiting(what) if from_homeport else None
                case "BadRequest":
                    bad = status_pb2.BadRequest.FromString(detail.value)
                    violations += (Violation(v.field, v.description) for v in bad.field_violations)
    except DecodeError:
        return Failure(code, message)
    return Failure(code, message, reason, retry_after_s, tuple(violations), from_homeport, waiting)


def _waiting(what: status_pb2.ErrorInfo) -> Waiting | None:
    """What an error says of a client that waits for room; None: it does not."""
    token = what.metadata.get("waiting_token", "")
    if not token:
        return None
    return Waiting(
        token,
        _number(what, "waited_s"),
        _number(what, "within_ms"),
        _number(what, "relaxes_after_s"),
    )


def _number(what: status_pb2.ErrorInfo, name: str) -> float | None:
    try:
        return float(what.metadata[name]) if name in what.metadata else None
    except ValueError:
        return None


def seconds_of(duration: Duration) -> float:
    """A Duration in seconds, not below zero."""
    return max(0.0, duration.seconds + duration.nanos / 1e9)
