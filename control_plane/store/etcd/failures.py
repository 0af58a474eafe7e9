"""What a failed call to etcd means: may it have been applied, may it be sent again?

Reads the gRPC status and etcd's own words (rpctypes/error.go) and answers with a Failure;
never retries, sleeps or raises. When in doubt the answer is UNANSWERED, that is "it may have
been applied": a wrong guess in that direction costs one read, in the other a second write.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import grpc
import grpc.aio
from etcd3aio import EtcdError

from control_plane.store.port import StoreUnavailable

# What an awaited call can raise: gRPC's own error from calls that we make ourselves, the
# package's wrapper of it, and the timeout that the package lays around each call.
CALL_ERRORS = (grpc.aio.AioRpcError, EtcdError, TimeoutError)


class StoreRefused(StoreUnavailable):
    """etcd is there and refuses our credentials or lacks a permission for us. Nothing was
    applied; an operator must act before repeating helps."""

    reason = "STORE_REFUSED"
    retry_after_s = 30.0


class FailureKind(StrEnum):
    """What a failure means. The values are the keys of Health.errors."""

    UNREACHABLE = "unreachable"  # no connection: the request never left this process
    UNANSWERED = "unanswered"  # sent; whether it was applied nobody knows
    LEADER_CHANGED = "leader-changed"  # the same, and the member that said so has a leader now
    BUSY = "busy"  # etcd refused it before proposing it; it may be sent again
    TOKEN_EXPIRED = "token-expired"  # the same, and we must log in first
    NO_SPACE = "no-space"  # over its quota; the write may have been applied, see below
    COMPACTED = "compacted"
    LEASE_GONE = "lease-gone"
    INVALID = "invalid"  # the request itself is wrong
    AUTHENTICATION_OFF = "authentication-off"  # nobody can log in, and nobody needs to
    REFUSED = "refused"  # credentials or permissions


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed call. `detail`: what etcd or gRPC said."""

    kind: FailureKind
    detail: str


# etcd's words, in the order in which they are looked for.
_WORDS = (
    ("required revision has been compacted", FailureKind.COMPACTED),
    ("requested lease not found", FailureKind.LEASE_GONE),
    ("etcdserver: leader changed", FailureKind.LEADER_CHANGED),
    # Sent back before the proposal (EtcdServer.processInternalRaftRequestOnce).
    ("etcdserver: too many requests", FailureKind.BUSY),
    ("etcdserver: invalid auth token", FailureKind.TOKEN_EXPIRED),
    ("etcdserver: revision of auth store is old", FailureKind.TOKEN_EXPIRED),
    ("etcdserver: user name is empty", FailureKind.TOKEN_EXPIRED),  # auth is on, and we sent none
    # The write that first exceeds the quota is applied AND answered with this error
    # (quotaApplierV3 applies, then reports); later ones are not applied. The answer does not
    # say which of the two this was.
    ("database space exceeded", FailureKind.NO_SPACE),
    ("authentication is not enabled", FailureKind.AUTHENTICATION_OFF),
    ("authentication failed", FailureKind.REFUSED),
    ("permission denied", FailureKind.REFUSED),
    ("received message larger than max", FailureKind.INVALID),
)
_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: FailureKind.INVALID,
    grpc.StatusCode.OUT_OF_RANGE: FailureKind.INVALID,
    grpc.StatusCode.UNAUTHENTICATED: FailureKind.TOKEN_EXPIRED,
    grpc.StatusCode.PERMISSION_DENIED: FailureKind.REFUSED,
}


def failure_of(error: BaseException) -> Failure:
    """What one of CALL_ERRORS means.

    UNAVAILABLE is UNANSWERED whatever its text ("no leader", "request timed out", "Socket
    closed"; "leader changed" is a kind of it): requests leave only over connections that
    stand, so an endpoint that cannot be reached shows before (Member.ready), not here.
    """
    rpc_error = error if isinstance(error, grpc.aio.AioRpcError) else error.__cause__
    if not isinstance(rpc_error, grpc.aio.AioRpcError):
        return Failure(kind=FailureKind.UNANSWERED, detail=str(error) or "no answer in time")
    return failure_of_words(rpc_error.code(), rpc_error.details() or "")


def failure_of_words(code: grpc.StatusCode, detail: str) -> Failure:
    """What a status with these words means; also for the reason of a cancelled watch."""
    for words, kind in _WORDS:
        if words in detail:
            return Failure(kind=kind, detail=detail)
    kind = _CODES.get(code, FailureKind.UNANSWERED)
    return Failure(kind=kind, detail=detail or code.name)
