"""Turns a gRPC status that Homeport's servers sent back into the error that it was made of.

The other way round of control_plane.serving.status, for one service that calls another and passes
on what it was told. What no server of ours has said (a connection that broke, a deadline) is no
status of this kind.
"""

from __future__ import annotations

from types import MappingProxyType

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc import aio
from grpc_status import rpc_status

from control_plane.errors import InvalidInput, ServiceError
from control_plane.serving.status import CODES, DOMAIN


def error_of(failed: aio.AioRpcError) -> ServiceError | None:
    """What the server raised, with its reason, message, metadata and time to wait; None where no
    server of ours said it, or it said nothing that a caller may be told."""
    info, field, retry_after_s = error_details_pb2.ErrorInfo(), "", None
    try:
        status = rpc_status.from_call(failed)
        for detail in () if status is None else status.details:
            bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
            if detail.Unpack(bad) and bad.field_violations:
                field = bad.field_violations[0].field
            elif detail.Unpack(retry):
                retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
            else:
                detail.Unpack(info)
    except (DecodeError, ValueError):  # ValueError: its code is not the one of the call
        return None
    kind = next((kind for kind, code in CODES if code is failed.code()), None)
    if kind is None or info.domain != DOMAIN:
        return None
    message = failed.details() or ""
    error = InvalidInput(field, message) if kind is InvalidInput else kind(message)
    error.reason = info.reason
    error.metadata = MappingProxyType(dict(info.metadata))
    error.retry_after_s = retry_after_s
    return error
