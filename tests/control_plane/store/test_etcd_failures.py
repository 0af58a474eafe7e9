"""What a failed call to etcd is taken to mean."""

from __future__ import annotations

import grpc
import pytest

from control_plane.store.etcd.calls import AuthenticationOff, CompactedAway, raise_for
from control_plane.store.etcd.failures import (
    Failure,
    FailureKind,
    StoreRefused,
    failure_of,
    failure_of_words,
)
from control_plane.store.port import LeaseLost, OutcomeUnknown, StoreUnavailable

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        pytest.param(
            Code.UNAVAILABLE, "etcdserver: no leader", FailureKind.UNANSWERED, id="no-leader"
        ),
        pytest.param(
            Code.UNAVAILABLE,
            "etcdserver: request timed out",
            FailureKind.UNANSWERED,
            id="proposed-but-not-applied-in-time",
        ),
        pytest.param(
            Code.UNAVAILABLE,
            "etcdserver: request timed out, possibly due to previous leader failure",
            FailureKind.UNANSWERED,
            id="the-leader-died-with-it",
        ),
        pytest.param(
            Code.UNAVAILABLE,
            "etcdserver: leader changed",
            FailureKind.LEADER_CHANGED,
            id="leader-changed",
        ),
        pytest.param(
            Code.UNAVAILABLE, "Socket closed", FailureKind.UNANSWERED, id="the-connection-broke"
        ),
        pytest.param(Code.DEADLINE_EXCEEDED, "", FailureKind.UNANSWERED, id="no-answer-in-time"),
        pytest.param(Code.UNKNOWN, "whatever", FailureKind.UNANSWERED, id="an-error-nobody-knows"),
        pytest.param(
            Code.RESOURCE_EXHAUSTED,
            "etcdserver: too many requests",
            FailureKind.BUSY,
            id="more-in-flight-than-etcd-takes",
        ),
        pytest.param(
            Code.RESOURCE_EXHAUSTED,
            "etcdserver: mvcc: database space exceeded",
            FailureKind.NO_SPACE,
            id="over-the-quota",
        ),
        pytest.param(
            Code.RESOURCE_EXHAUSTED,
            "grpc: received message larger than max (3 vs. 2)",
            FailureKind.INVALID,
            id="larger-than-the-server-reads",
        ),
        pytest.param(
            Code.UNAUTHENTICATED,
            "etcdserver: invalid auth token",
            FailureKind.TOKEN_EXPIRED,
            id="the-token-expired",
        ),
        pytest.param(
            Code.INVALID_ARGUMENT,
            "etcdserver: revision of auth store is old",
            FailureKind.TOKEN_EXPIRED,
            id="users-changed-since-the-token",
        ),
        pytest.param(
            Code.INVALID_ARGUMENT,
            "etcdserver: user name is empty",
            FailureKind.TOKEN_EXPIRED,
            id="authentication-was-turned-on",
        ),
        pytest.param(
            Code.FAILED_PRECONDITION,
            "etcdserver: authentication is not enabled",
            FailureKind.AUTHENTICATION_OFF,
            id="authentication-is-off",
        ),
        pytest.param(
            Code.INVALID_ARGUMENT,
            "etcdserver: authentication failed, invalid user ID or password",
            FailureKind.REFUSED,
            id="wrong-password",
        ),
        pytest.param(
            Code.PERMISSION_DENIED,
            "etcdserver: permission denied",
            FailureKind.REFUSED,
            id="a-role-is-missing",
        ),
        pytest.param(
            Code.OUT_OF_RANGE,
            "etcdserver: mvcc: required revision has been compacted",
            FailureKind.COMPACTED,
            id="compacted",
        ),
        pytest.param(
            Code.OUT_OF_RANGE,
            "etcdserver: mvcc: required revision is a future revision",
            FailureKind.INVALID,
            id="a-revision-of-the-future",
        ),
        pytest.param(
            Code.NOT_FOUND,
            "etcdserver: requested lease not found",
            FailureKind.LEASE_GONE,
            id="the-lease-is-gone",
        ),
        pytest.param(
            Code.INVALID_ARGUMENT,
            "etcdserver: duplicate key given in txn request",
            FailureKind.INVALID,
            id="a-key-written-twice",
        ),
        pytest.param(
            Code.INVALID_ARGUMENT,
            "etcdserver: too many operations in txn request",
            FailureKind.INVALID,
            id="too-many-operations",
        ),
    ],
)
def test_what_a_failure_means(code: grpc.StatusCode, words: str, kind: FailureKind) -> None:
    assert failure_of_words(code, words) == Failure(kind=kind, detail=words or code.name)


def test_a_timeout_is_no_answer() -> None:
    assert failure_of(TimeoutError()).kind is FailureKind.UNANSWERED


@pytest.mark.parametrize(
    ("kind", "of_a_write", "of_a_read"),
    [
        pytest.param(FailureKind.UNANSWERED, OutcomeUnknown, StoreUnavailable, id="unanswered"),
        pytest.param(
            # etcd applies the write that first exceeds the quota, and reports the error.
            FailureKind.NO_SPACE,
            OutcomeUnknown,
            StoreUnavailable,
            id="no-space",
        ),
        pytest.param(FailureKind.COMPACTED, CompactedAway, CompactedAway, id="compacted"),
        pytest.param(FailureKind.LEASE_GONE, LeaseLost, LeaseLost, id="lease-gone"),
        pytest.param(FailureKind.INVALID, ValueError, ValueError, id="invalid"),
        pytest.param(FailureKind.REFUSED, StoreRefused, StoreRefused, id="refused"),
        pytest.param(FailureKind.TOKEN_EXPIRED, StoreRefused, StoreRefused, id="token-expired"),
        pytest.param(
            FailureKind.AUTHENTICATION_OFF, AuthenticationOff, AuthenticationOff, id="auth-off"
        ),
    ],
)
def test_what_the_caller_is_told(
    kind: FailureKind, of_a_write: type[Exception], of_a_read: type[Exception]
) -> None:
    failure = Failure(kind=kind, detail="words of etcd")
    with pytest.raises(of_a_write, match="words of etcd") as written:
        raise_for(failure, "commit", written=True)
    with pytest.raises(of_a_read, match="words of etcd") as read:
        raise_for(failure, "commit", written=False)
    assert (type(written.value), type(read.value)) == (of_a_write, of_a_read)
