"""Failure: the status of one try of a call that failed.

The clients make one from what gRPC raised; the core decides what follows. Plain values, no
gRPC and no protobuf in here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Code(StrEnum):
    """The canonical status codes, by name (https://grpc.io/docs/guides/status-codes/).
    A name nobody knows is UNKNOWN."""

    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    INTERNAL = "INTERNAL"
    UNAVAILABLE = "UNAVAILABLE"
    DATA_LOSS = "DATA_LOSS"
    UNAUTHENTICATED = "UNAUTHENTICATED"

    @classmethod
    def _missing_(cls, value: object) -> Code:
        return cls.UNKNOWN


class Violation(NamedTuple):
    """One field of a request that is wrong."""

    field: str
    description: str


class Waiting(NamedTuple):
    """That a client waits for room within a cap in latency. token: to be sent with the next try;
    waited_s: so far; within_ms: the cap, None: any; relaxes_after_s: of waiting in all, None: not
    any more."""

    token: str
    waited_s: float | None = None
    within_ms: float | None = None
    relaxes_after_s: float | None = None


class Failure(NamedTuple):
    """`from_homeport`: the words are a Homeport server's own and say what to do; otherwise
    they are gRPC's. `retry_after_s` None: nobody promised that repeating helps."""

    code: Code
    message: str
    reason: str = ""  # stable UPPER_SNAKE word for machines, from ErrorInfo
    retry_after_s: float | None = None
    violations: tuple[Violation, ...] = ()
    from_homeport: bool = False
    waiting: Waiting | None = None
