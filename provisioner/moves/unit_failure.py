"""UnitFailure: why a call to a unit failed, as the unit answered it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeAlias, TypeVar

import grpc
from grpc import aio

from homeport.api.unit.v1 import unit_pb2 as pb

STATUS_POLLS, STATUS_POLL_S = 50, 0.01  # for a status after the write that failed for it
_OF_A_LATE_WRITE = "Internal error from Core"
# Statuses that another try may not get: the unit is away or slow, or bytes were hurt.
RETRYABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
T = TypeVar("T")
ImportCall: TypeAlias = aio.StreamUnaryCall[pb.ImportClientRequest, pb.ImportClientResponse]


class UnitFailure(NamedTuple):
    """What a unit answered instead of doing it."""

    reason: str  # goes on after the unit's name
    retryable: bool


def failure(code: grpc.StatusCode, details: str | None) -> UnitFailure:
    """A status that is not OK."""
    return UnitFailure(f"answered {code.name}: {details}", code in RETRYABLE)


class ImportStatus:
    """How an import call ended, as the unit answered it.

    A write that finds the stream closed makes grpc.aio put INTERNAL over the status that
    closed the stream, or before it (https://github.com/grpc/grpc/issues/36066). A status is
    passed to a done callback when it is set, so there it is kept before INTERNAL can hide it;
    one that comes after INTERNAL replaces it a moment later: within STATUS_POLLS looks, poll_s
    seconds apart.
    """

    def __init__(self, call: ImportCall, *, poll_s: float = STATUS_POLL_S) -> None:
        self._call = call
        self._poll_s = poll_s
        self._failure: UnitFailure | None = None
        call.add_done_callback(self._record)

    def _record(self, call: ImportCall) -> None:
        code, details = _result_now(call.code()), _result_now(call.details())
        if code is not None and details != _OF_A_LATE_WRITE:
            self._failure = failure(code, details or "")

    async def failure(self, error: aio.AioRpcError) -> UnitFailure:
        """What the unit answered, where that is more than `error`."""
        if error.details() != _OF_A_LATE_WRITE:
            return failure(error.code(), error.details())
        for _ in range(STATUS_POLLS):
            self._record(self._call)
            if self._failure is not None:
                return self._failure
            await asyncio.sleep(self._poll_s)
        return UnitFailure("ended the call without a status", True)


def _result_now(answer: Coroutine[Any, Any, T]) -> T | None:
    """What a coroutine that has nothing to wait for returns; None where it would wait."""
    try:
        answer.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    answer.close()
    return None
