"""From a gRPC status to a typed error whose message says what to do."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import grpc
import pytest

import homeport
from homeport.api.status.v1 import status_pb2
from homeport.errors import error_of
from homeport.failure import Code, Failure
from homeport.status_details import failure_of


def rpc_error(code=grpc.StatusCode.UNAVAILABLE, message="gone", trailers=()):
    """As much of a grpc.RpcError as is looked at."""
    return SimpleNamespace(
        code=lambda: code, details=lambda: message, trailing_metadata=lambda: trailers
    )


@pytest.mark.parametrize("code", list(grpc.StatusCode)[1:], ids=lambda code: code.name)
def test_every_status_code_is_known(code):
    failure = failure_of(rpc_error(code))
    assert failure.code.name == code.name
    assert isinstance(error_of(failure), homeport.HomeportError)


@pytest.mark.parametrize(
    "trailers",
    [
        pytest.param((), id="no trailers"),
        pytest.param(None, id="trailers not known"),
        pytest.param((("grpc-status-details-bin", b"\xff\xff\xff"),), id="broken details"),
        pytest.param((("x-other", "text"),), id="other trailers"),
    ],
)
def test_a_status_stands_without_its_details(trailers):
    assert failure_of(rpc_error(trailers=trailers)) == Failure(Code.UNAVAILABLE, "gone")


def test_details_of_unknown_types_are_passed_over():
    status = status_pb2.Status()
    status.details.add(type_url="type.googleapis.com/google.rpc.Help", value=b"\xff")
    info = status_pb2.RetryInfo()
    info.retry_delay.FromMilliseconds(1_500)
    status.details.add(
        type_url="type.googleapis.com/google.rpc.RetryInfo", value=info.SerializeToString()
    )
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    assert failure_of(rpc_error(trailers=trailers)).retry_after_s == 1.5


@pytest.mark.parametrize(("domain", "ours"), [("homeport", True), ("example.net", False)])
def test_only_homeports_words_are_taken_for_homeports(domain, ours):
    """A proxy in between has details of its own, and its words do not say what to do."""
    what = status_pb2.ErrorInfo(reason="WORD", domain=domain)
    status = status_pb2.Status()
    status.details.add(
        type_url="type.googleapis.com/google.rpc.ErrorInfo", value=what.SerializeToString()
    )
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    failure = failure_of(rpc_error(trailers=trailers))
    assert (failure.reason, failure.from_homeport) == ("WORD", ours)


def test_a_servers_own_words_are_left_as_they_are():
    failure = Failure(Code.NOT_FOUND, "there is no tenant 'x'; apply it", from_homeport=True)
    error = error_of(failure, servers=("a:1",))
    assert (str(error), error.detail) == ("there is no tenant 'x'; apply it", "")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(Code.UNAVAILABLE, "a:1, b:2: boom; check that a Homeport server", id="away"),
        pytest.param(Code.UNIMPLEMENTED, "a:1, b:2: boom; check that a Homeport", id="other"),
        pytest.param(Code.UNAUTHENTICATED, "a:1, b:2: boom; give the client token=", id="who"),
        pytest.param(Code.RESOURCE_EXHAUSTED, "a:1, b:2: boom; change the request", id="size"),
    ],
)
def test_what_grpc_says_is_followed_by_what_to_do(code, expected):
    error = error_of(Failure(code, "boom"), servers=["a:1", "b:2", "a:1"], attempts=3)
    assert str(error).startswith(expected)
    assert (error.attempts, error.server, error.detail) == (3, "a:1", "boom")


def test_a_code_nobody_knows_is_a_fault_of_the_server():
    assert isinstance(error_of(Failure(Code("SOMETHING_NEW"), "")), homeport.ServerFault)


def test_errors_travel_between_processes():
    error = error_of(
        Failure(Code.RESOURCE_EXHAUSTED, "full", "EXHAUSTED", 2.0, from_homeport=True),
        servers=("a:1",),
        attempts=2,
    )
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (homeport.NoRoom, "full", vars(error))
