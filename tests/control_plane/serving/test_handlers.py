"""Handlers keep their kind, whatever is put around what they do, and failures have their status."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from control_plane.serving.handlers import behaviour_of, status_of_failure, with_behaviour

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


class Context:
    """Of a call that was given this status."""

    def __init__(self, code: Any) -> None:
        self._code = code

    def code(self) -> Any:
        return self._code


def handler_of(kind: str) -> Any:
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(lambda request, context: "first", bytes.decode, str.encode)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reads_bytes", [False, True])
def test_a_handler_with_another_behaviour_is_of_the_same_kind(kind: str, reads_bytes: bool) -> None:
    before = handler_of(kind)
    assert behaviour_of(before)(b"", None) == "first"
    after = with_behaviour(before, lambda request, context: "second", reads_bytes=reads_bytes)
    assert behaviour_of(after)(b"", None) == "second"
    assert [getattr(after, other) is not None for other in KINDS] == [one == kind for one in KINDS]
    assert (after.request_deserializer is None) is reads_bytes
    assert after.response_serializer("x") == b"x"


@pytest.mark.parametrize(
    ("error", "said", "status"),
    [
        (asyncio.CancelledError(), grpc.StatusCode.OK, grpc.StatusCode.CANCELLED),
        (GeneratorExit(), 0, grpc.StatusCode.CANCELLED),
        (ValueError(), grpc.StatusCode.NOT_FOUND, grpc.StatusCode.NOT_FOUND),
        (ValueError(), grpc.StatusCode.NOT_FOUND.value[0], grpc.StatusCode.NOT_FOUND),
        (ValueError(), 0, grpc.StatusCode.UNKNOWN),
        (ValueError(), None, grpc.StatusCode.UNKNOWN),
        (ValueError(), 99, grpc.StatusCode.UNKNOWN),
    ],
)
def test_the_status_of_a_call_that_raised(
    error: BaseException, said: object, status: grpc.StatusCode
) -> None:
    assert status_of_failure(error, Context(said)) is status
