"""Turns Homeport's errors into gRPC statuses, in this one place.

The status carries google.rpc details (ErrorInfo always, BadRequest for a field at fault,
RetryInfo where repeating helps) in the `grpc-status-details-bin` trailer, as
https://google.aip.dev/193 asks. All of it travels in trailers, of which gRPC clients take 8 KiB
(https://grpc.io/docs/guides/metadata/): a message is cut to what they take, and says so.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import grpc
from google.protobuf import duration_pb2, message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from control_plane import errors

DOMAIN = "homeport"
# What a message may take in the trailer `grpc-message`. It stands in the details as well, in
# base64, and its beginning in the description of the field: 7.5 KiB together.
MOST_MESSAGE_BYTES = 2_800
MOST_DESCRIPTION_BYTES = 512
MOST_FIELD_BYTES = 128
RETRY_STEP_S = 0.01  # between delays that are told apart
MOST_REMEMBERED = 4_096  # statuses, one to two kilobytes each
MOST_REMEMBERED_LETTERS = 200

CODES: tuple[tuple[type[errors.ServiceError], grpc.StatusCode], ...] = (
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
    for kind, code in CODES:
        if isinstance(error, kind):
            return code
    return grpc.StatusCode.INTERNAL


def duration(seconds: float) -> duration_pb2.Duration:
    """Seconds, zero or more, as a protobuf Duration."""
    whole = int(seconds)
    return duration_pb2.Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))


def status_of(error: errors.ServiceError) -> Status:
    """Code, message and details of an error."""
    if (
        isinstance(error, errors.Unavailable)
        and error.retry_after_s
        and not error.metadata
        and len(error.message) <= MOST_REMEMBERED_LETTERS
    ):
        # Servers that are overrun refuse thousands a second.
        return try_again(error.reason, error.message, error.retry_after_s, error.rest)
    return _made(error)


def try_again(reason: str, message: str, retry_after_s: float, rest: str = "") -> Status:
    """Of an Unavailable that says this; message: MOST_REMEMBERED_LETTERS at most."""
    return _try_again(reason, message, rest, round(retry_after_s / RETRY_STEP_S) or 1)


@lru_cache(maxsize=MOST_REMEMBERED)
def _try_again(reason: str, message: str, rest: str, steps: int) -> Status:
    """To be tried again after so many RETRY_STEP_S."""
    error = errors.Unavailable(message, retry_after_s=steps * RETRY_STEP_S)
    error.reason, error.rest = reason, rest
    return _made(error)


def _made(error: errors.ServiceError) -> Status:
    code = code_of(error)
    told = shortened(error.message, rest=error.rest)
    details: list[message.Message] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason, domain=DOMAIN, metadata=dict(error.metadata)
        )
    ]
    if isinstance(error, errors.InvalidInput):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=shortened(error.field, MOST_FIELD_BYTES),
            description=shortened(error.message, MOST_DESCRIPTION_BYTES, error.rest),
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after_s is not None:
        details.append(error_details_pb2.RetryInfo(retry_delay=duration(error.retry_after_s)))
    number: int = code.value[0]
    rich = status_pb2.Status(code=number, message=told)
    for detail in details:
        rich.details.add().Pack(detail)
    made = rpc_status.to_status(rich)
    return Status(made.code, made.details, made.trailing_metadata)


def shortened(text: str, most_bytes: int = MOST_MESSAGE_BYTES, rest: str = "") -> str:
    """A text of at most so many bytes as `grpc-message` encodes it: whole lines as far as they
    fit, with how many are left out and how to see them (`rest`), or the beginning of the first.

    >>> shortened("a fault\\nanother fault\\na third fault", 45, "see FILE")
    'a fault\\n… and 2 more: see FILE'
    """
    if len(text) <= most_bytes and _encoded_bytes(text) <= most_bytes:
        return text
    lines = text[: most_bytes + 1].split("\n")  # an encoded letter has a byte at least
    left = text.count("\n")
    hint = f": {rest}" if rest else ""
    kept, room = "", most_bytes - _encoded_bytes(f"\n… and {left} more{hint}")
    for line in lines[:-1]:
        room -= _encoded_bytes(f"{line}\n")
        if room < 0:
            break
        kept += f"{line}\n"
        left -= 1
    if kept:
        return f"{kept}… and {left + 1} more{hint}"
    room = most_bytes - _encoded_bytes("…")
    for letter in text[:most_bytes]:
        room -= _encoded_bytes(letter)
        if room < 0:
            break
        kept += letter
    return f"{kept}…"


def _encoded_bytes(text: str) -> int:
    """Percent-encoded, all but printable ASCII: https://github.com/grpc/grpc PROTOCOL-HTTP2."""
    return sum(
        1 if 0x20 <= byte < 0x7F and byte != 0x25 else 3 for byte in text.encode(errors="replace")
    )
