"""Turns Homeport's errors into gRPC statuses, in this one place.

The status carries google.rpc details (ErrorInfo always, BadRequest for a field at fault,
RetryInfo where repeating helps) in the `grpc-status-details-bin` trailer, as
https://google.aip.dev/193 asks.
"""

from __future__ import annotations

from typing import NamedTuple

import grpc
from google.protobuf import duration_pb2, message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from control_plane import errors

DOMAIN = "homeport"

_CODES: tuple[tuple[type[errors.ServiceError], grpc.StatusCode], ...] = (
    (errors.InvalidInput, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.NotFound, grpc.StatusCode.NOT_FOUND),
    (errors.PermissionDenied, grpc.StatusCode.PERMISSION_DENIED),
    (errors.Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    (errors.Refused, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Exhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.Conflict, grpc.StatusCode.ABORTED),
    (errors.HistoryGone, grpc.StatusCode.OUT_OF_RANGE),
    (errors.AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
    (errors.Unavailable, grpc.StatusCode.UNAVAILABLE),
    (errors.DataLoss, grpc.StatusCode.DATA_LOSS),
)


class Status(NamedTuple):
    """A gRPC status as the transports want it."""

    code: grpc.StatusCode
    message: str
    trailers: tuple[tuple[str, bytes], ...]


def code_of(error: errors.ServiceError) -> grpc.StatusCode:
    """The canonical status of an error; INTERNAL for kinds nobody named."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return grpc.StatusCode.INTERNAL


def duration(seconds: float) -> duration_pb2.Duration:
    """Seconds, zero or more, as a protobuf Duration."""
    whole = int(seconds)
    return duration_pb2.Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))


def status_of(error: errors.ServiceError) -> Status:
    """Code, message and details of an error."""
    code = code_of(error)
    details: list[message.Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    ]
    if isinstance(error, errors.InvalidInput):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=error.message
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after_s is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=duration(error.retry_after_s)))
    number: int = code.value[0]
    rich = status_pb2.Status(code=number, message=error.message)
    for detail in details:
        rich.details.add().Pack(detail)
    made = rpc_status.to_status(rich)
    return Status(made.code, made.details, made.trailing_metadata)
