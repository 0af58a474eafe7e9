"""The reason of a failed call: what status.py put into it, as a caller inside Homeport reads it."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc import aio

_TRAILER = "grpc-status-details-bin"


def reason_of(error: aio.AioRpcError) -> str:
    """ErrorInfo's; empty where there is none that can be read."""
    for key, value in error.trailing_metadata() or ():
        if key != _TRAILER or not isinstance(value, bytes):
            continue
        try:
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return str(info.reason)
        except DecodeError:
            return ""
    return ""
